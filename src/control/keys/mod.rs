//! Keys: made, found, changed, paused, ended.
//!
//! **Invariant:** every change of a key is a step of [`lifecycle`](crate::domain::lifecycle), committed
//! with its audit entry through [`Writer`](super::writer::Writer). Nothing else writes a key.

mod access;
mod amend;
mod change;
mod create;
mod first_use;
mod ground;
mod import;
mod quotas;
mod refused;
mod rotate;
mod service;

pub use access::AccessView;
pub use change::KeyChange;
pub use create::{Created, Idempotency, NewKey, OwnerChoice};
pub(crate) use first_use::confirm_all;
pub use import::{Import, Imported, Known, Outcomes};
pub use quotas::QuotaStanding;
pub use rotate::{Rotated, Rotation};
pub use service::{KeyService, KeyView, Rules, Step, Terms};
pub(in crate::control) use service::{lifecycle_changes, visible};
