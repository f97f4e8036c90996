//! What may happen to a key: each step takes a key and gives back the key it becomes, or says why not.
//!
//! [`steps`] are of the key as a whole, [`versions`] of its secrets.
//!
//! **Invariant:** no step brings back what has ended: a revoked key or version stays revoked, and the end
//! of a version, once set, never moves.

pub mod most;
mod steps;
#[cfg(test)]
mod tests;
mod versions;

pub use steps::{
    Birth, Bounds, FieldFault, LifecycleError, address_text, change, create, end_with_owner,
    faults, is_text, resume, revoke, suspend,
};
pub use versions::{
    Activation, Earlier, Grace, LIVE_VERSIONS_MAX, NewVersion, RotationTerms, activate,
    begin_rotation, discard_pending, forget_tombstones, revoke_version, rotate,
};
