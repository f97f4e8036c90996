//! The control plane: everything that may take its time.
//!
//! **Services** change what is kept. Each call loads what it needs, asks `domain` what becomes of it,
//! and hands the store one [`Change`](crate::domain::change::Change): the records and the audit entry
//! that tells of them, whole or not at all. [`writer`] is the one way there: it serialises the changes of
//! this gate, tries again where another gate came first, and returns only when this gate's own cache has
//! what was written. So a key that was revoked is refused on the very next request, and a key that was
//! made opens the gate before its maker has read the answer.
//!
//! **Tasks** keep what is in memory and what is stored in step: [`sync`] follows the store's feed into the
//! cache; [`flush`] carries counts to the store, every second and once more at the end; [`quotas`] and [`leases`] fetch
//! what requests spend of quotas and of limits that gates share, and [`thresholds`] tells how far quotas are used up;
//! [`jobs`] does what is due as time goes by: rotates, warns, ends and forgets; [`live`] shows whoever watches what
//! finishes, here and at the other gates.
//!
//! Every call names its [`caller`]: who goes into the audit entry, and the one owner a caller may be
//! bound to. What belongs to another owner is *not found* here, so no surface has to remember it.

pub mod audit;
pub mod caller;
mod error;
pub mod fleet;
pub(crate) mod flush;
pub mod jobs;
pub mod keys;
pub(crate) mod leases;
mod leaving;
pub mod live;
pub mod owners;
pub mod policies;
pub mod products;
pub(crate) mod quotas;
pub mod rotation;
pub mod rules;
pub mod sessions;
pub mod sinks;
pub(crate) mod sync;
pub(crate) mod thresholds;
pub mod tokens;
pub mod told;
pub(crate) mod traces;
pub mod usage;
pub mod writer;

pub use error::ControlError;
pub use leaving::SwitchedOff;
