//! Calls about products, one a file. Those of the configuration file are read-only here.

pub(crate) mod create;
mod form;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod remove;
mod told;
pub(crate) mod update;

use told::{answer, wire};
