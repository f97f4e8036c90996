//! The whole life of a key: versions and their ends, by every way there is to change them.

mod interleavings;
mod rotation;
mod tested;
