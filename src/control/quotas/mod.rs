//! Quotas of this gate: [`draws`] on the store for its requests, and what was [drawn](lease).

mod draws;
mod lease;

pub(crate) use draws::Quotas;
