//! Why a service did not do what was asked.

use crate::domain::change::Revision;
use crate::domain::lifecycle::{FieldFault, LifecycleError};
use crate::store::StoreError;

/// Why a service did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such thing, or not for this caller.
    #[error("not found")]
    NotFound,
    /// The caller is bound to one owner, and this is not that owner's to do.
    #[error("caller is bound to one owner")]
    Bound,
    /// The holder of a key may not do this to it, or not with this version of it.
    #[error("not for the holder of this version")]
    NotForHolder,
    /// Some of what was asked for cannot be: each fault with its place.
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<FieldFault>),
    /// The key's life does not allow it.
    #[error("step is not allowed")]
    Lifecycle(#[from] LifecycleError),
    /// A disabled owner gets no new keys.
    #[error("owner is disabled")]
    OwnerDisabled,
    /// What the owner held when it was disabled is still being ended.
    #[error("owner is leaving")]
    OwnerLeaving,
    /// Another owner of this type has the name.
    #[error("name is taken")]
    NameTaken,
    /// Another product has the name, here or in the configuration.
    #[error("product's name is taken")]
    ProductTaken,
    /// Keys that are not revoked name the product.
    #[error("product is named by keys")]
    ProductInUse,
    /// A revoked token never changes again.
    #[error("token is revoked")]
    TokenRevoked,
    /// It stands in the configuration, and only that changes it.
    #[error("defined by the configuration")]
    ReadOnly,
    /// A gate that beats is not struck off.
    #[error("gate is live")]
    NodeLive,
    /// Only an admin does this.
    #[error("needs an admin")]
    NotAdmin,
    /// The owner still has keys that are not revoked.
    #[error("owner has keys")]
    OwnerHasKeys,
    /// The secret belongs to another key.
    #[error("secret belongs to another key")]
    DuplicateSecret,
    /// The idempotency key was used for another request.
    #[error("idempotency key was used for another request")]
    OtherRequest,
    /// The key is no longer as the caller last saw it.
    #[error("key has changed since it was read")]
    Changed,
    /// Others changed the store each time this change was tried.
    #[error("lost {attempts} races for the next revision")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// Another gate has taken over the job that this was part of.
    #[error("another gate does this job now")]
    Fenced(#[source] StoreError),
    /// The store has the change, but this gate does not act on it yet.
    #[error("revision {revision} is stored but was not applied in time")]
    NotApplied {
        /// The change's.
        revision: Revision,
    },
    /// The audit log is being verified already.
    #[error("audit log is being verified")]
    Verifying,
    /// The store does not answer.
    #[error("store does not answer")]
    StoreAway(#[source] StoreError),
    /// The store has no room left.
    #[error("store is full")]
    StoreFull(#[source] StoreError),
    /// What is where the store was is not this gate's store, or not one that it can use.
    #[error("store is not this gate's")]
    StoreEstranged(#[source] StoreError),
    /// What the store holds, or did, is not as it should be.
    #[error("store is not as it should be")]
    StoreBroken(#[source] StoreError),
    /// The system gives no random bytes.
    #[error("no random bytes")]
    Random(#[source] getrandom::Error),
}

impl From<StoreError> for ControlError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DuplicateHash { .. } => Self::DuplicateSecret,
            StoreError::Fenced { .. } => Self::Fenced(error),
            StoreError::Unavailable { .. } => Self::StoreAway(error),
            StoreError::Full { .. } => Self::StoreFull(error),
            StoreError::Unusable { .. } => Self::StoreEstranged(error),
            StoreError::Conflict { .. } | StoreError::Corrupt { .. } => Self::StoreBroken(error),
        }
    }
}

impl ControlError {
    /// The code that a caller is refused with; `None` where it is the gate that failed.
    #[must_use]
    pub const fn refusal(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotFound | Self::Lifecycle(LifecycleError::NoSuchVersion) => "not_found",
            Self::Bound | Self::NotForHolder | Self::NotAdmin => "forbidden",
            Self::Invalid(_) | Self::OtherRequest => "invalid",
            Self::Lifecycle(LifecycleError::Revoked) => "key_revoked",
            Self::Lifecycle(LifecycleError::Protected) => "protected",
            Self::Lifecycle(LifecycleError::Expired) => "key_expired",
            Self::Lifecycle(LifecycleError::TooManyVersions) => "too_many_versions",
            Self::Lifecycle(
                LifecycleError::PendingVersion
                | LifecycleError::CurrentVersion
                | LifecycleError::VersionRevoked,
            )
            | Self::NameTaken
            | Self::ProductTaken
            | Self::ProductInUse
            | Self::TokenRevoked
            | Self::OwnerHasKeys
            | Self::OwnerLeaving
            | Self::NodeLive
            | Self::ReadOnly => "conflict",
            Self::OwnerDisabled => "owner_disabled",
            Self::DuplicateSecret => "duplicate_secret",
            Self::Changed => "precondition_failed",
            Self::Verifying => "too_many_requests",
            Self::Contended { .. }
            | Self::Fenced(_)
            | Self::NotApplied { .. }
            | Self::StoreAway(_)
            | Self::StoreFull(_)
            | Self::StoreEstranged(_)
            | Self::StoreBroken(_)
            | Self::Random(_) => return None,
        })
    }

    /// One field is wrong.
    #[must_use]
    pub fn field(pointer: &str, code: &'static str, detail: &str) -> Self {
        Self::Invalid(vec![FieldFault::new(pointer, code, detail)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Callers are told to come back, and not that the gate has a fault.
    #[test]
    fn another_store_in_the_place_of_ours_is_not_taken_for_a_broken_one() {
        let other = StoreError::Unusable {
            place: "redis at 127.0.0.1:6379".to_owned(),
            reason: "it is another store".to_owned(),
        };
        let error = ControlError::from(other);
        assert!(
            matches!(error, ControlError::StoreEstranged(_)),
            "{error:?}"
        );
        assert_eq!(error.refusal(), None);
    }
}
