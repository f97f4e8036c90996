//! The audit log: what was done, and what was tried, found and proved whole.

mod service;

pub use service::{AuditService, Found};
