//! What the reference says of a call. Each file of a call has an `about` beside its handler; the router's
//! table names both, so a call that nobody wrote of does not compile.
//!
//! Schemas come from the wire types themselves. What is the same for many calls – who may call, which problems
//! every call may end with, the fields of pages – is not written by them, but [derived](document) from the
//! table and from what they read.

pub(super) mod document;
pub(crate) mod example;
mod reference;

pub(crate) use reference::About;
