//! Carrying a whole store: into a file and out of it, from one backend to the other.
//!
//! Everything goes through one form, the tables of the embedded store. A store in Redis is first brought into
//! such tables ([`Whole::of_redis`]), and one that goes there is read from them ([`Whole::into_redis`]). So a
//! snapshot, a restore and a migration are one mechanism, and what arrives can be compared with what left,
//! table by table.
//!
//! Nothing is half there: a file has its name, and a target becomes a store, when all of it has arrived and was
//! looked through. What broke off before that is begun anew.

mod file;
mod whole;

pub use whole::{About, MayReplace, Progress, Standing, Whole, revision_in_redis};
