//! Requests, as this gate keeps them on its own disk for the audit log: in files that each hold a stretch of
//! time, so that what is too old goes by deleting a file.
//!
//! One file is written to; when it is large or old enough it is closed, and a digest of it is signed and
//! laid beside it; where an owner is erased, the addresses of its callers go from all of them, and closed ones
//! are signed anew. Questions go to every file whose time they touch. Nothing here is waited for by a
//! request, and what a crash leaves unwritten, a second's worth at most, is only missing here.

mod erase;
mod log;
mod segment;
#[cfg(test)]
mod tests;

pub use log::{Kept, RequestLog};
