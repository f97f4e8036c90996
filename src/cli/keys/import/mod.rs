//! `keys import`: secrets there are already, from a CSV file, from Kong, or as NDJSON.

mod csv;
mod kong;
mod run;

pub(super) use run::Import;
