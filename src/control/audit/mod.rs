//! The audit log: what was done, and what was tried, found and proved whole.

mod checkpoints;
mod erasures;
mod refusals;
mod requests;
mod service;

pub(crate) use checkpoints::{AuditFault, Checkpoints};
pub(crate) use erasures::Erasures;
pub(in crate::control) use refusals::Refusals;
pub(crate) use requests::{RequestsLost, keep_requests};
pub use service::{AuditService, Found};
