//! The whole life of a key: versions and their ends, by every way there is to change them.

mod audit;
mod automatic;
mod handover;
mod interleavings;
mod jobs;
mod many_gates;
mod policies;
mod rig;
mod rotation;
mod tested;
