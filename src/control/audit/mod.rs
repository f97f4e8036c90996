//! The audit log: what was done, and what was tried, found and proved whole.

mod checkpoints;
mod refusals;
mod service;

pub(crate) use checkpoints::Checkpoints;
pub(in crate::control) use refusals::Refusals;
pub use service::{AuditService, Found};
