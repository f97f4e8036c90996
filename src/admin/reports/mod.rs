//! Reports, one a file.

pub(crate) mod access_review;
