//! A change: everything that must land together, or not at all.

use std::time::Duration;

use super::audit::AuditEntry;
use super::audit::checkpoint::Checkpoint;
use super::event::Event;
use super::id::{KeyId, OwnerId, PolicyId, ProductId, RotationRuleId};
use super::key::Key;
use super::owner::Owner;
use super::policy::Policy;
use super::product::KeptProduct;
use super::rotation::RotationRule;
use super::time::Timestamp;
use super::token::AdminToken;

/// A store's counter: each change makes it one greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a change, so that one whose answer was lost can be asked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChangeId(pub [u8; 16]);

impl ChangeId {
    /// Names a change that someone waits for to be in force everywhere: gates say at once that they have
    /// applied it. The name itself says so, because it is what every gate, of whatever version, is told of a
    /// change; 112 bits of it are still `random`.
    #[must_use]
    pub const fn awaited(mut random: [u8; 16]) -> Self {
        let [first, second, ..] = AWAITED;
        random[0] = first;
        random[1] = second;
        Self(random)
    }

    /// Whether someone waits for the change. One in 65,536 others is taken for such, which costs a word.
    #[must_use]
    pub const fn is_awaited(&self) -> bool {
        self.0[0] == AWAITED[0] && self.0[1] == AWAITED[1]
    }
}

/// What the names of changes begin with that someone waits for.
const AWAITED: [u8; 2] = [0xac, 0x4e];

/// Everything that lands together.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its name; sending it again does nothing more.
    pub id: ChangeId,
    /// The revision it was made against; the store refuses it if it has moved on.
    pub expect: Revision,
    /// What is written. Each replaces what had its id.
    pub writes: Vec<Write>,
    /// What the audit log says of it.
    pub audit: Vec<AuditEntry>,
}

/// One record, whole, as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// A key with all its versions.
    Key(Key),
    /// An owner.
    Owner(Owner),
    /// An admin token.
    Token(AdminToken),
    /// That a creation was asked for under an idempotency key, and what it made.
    Receipt(Receipt),
    /// How far the audit chain went, signed.
    Checkpoint(Checkpoint),
    /// That the personal values are taken out of all entries before this change that are about this owner
    /// or its keys, or of what it did itself.
    Erasure(OwnerId),
    /// Something to tell those outside: a row of the outbox, which nothing replaces.
    Event(Event),
    /// A product.
    Product(KeptProduct),
    /// A policy.
    Policy(Policy),
    /// A rule of automatic rotation.
    RotationRule(RotationRule),
    /// That there is no such rule any more. Keys, owners and tokens never go: they end.
    Gone(Gone),
}

/// Which rule is gone. Taking away what is not there changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gone {
    /// A product.
    Product(ProductId),
    /// A policy.
    Policy(PolicyId),
    /// A rule of automatic rotation.
    RotationRule(RotationRuleId),
}

/// What a call with an `Idempotency-Key` did, so that its repetition does it no second time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// SHA-256 of the caller's id and the idempotency key.
    pub digest: [u8; 32],
    /// SHA-256 of the method, path and body: another one under the same key is a mistake.
    pub request: [u8; 32],
    /// The key that was made, or rotated.
    pub key: KeyId,
    /// The version that was made of it.
    pub version: u16,
    /// When; receipts are kept for 24 hours.
    pub at: Timestamp,
}

impl Receipt {
    /// For how long a receipt is kept.
    pub const KEPT: Duration = Duration::from_secs(24 * 3_600);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_change_says_whether_someone_waits_for_it() {
        assert!(ChangeId::awaited([7; 16]).is_awaited());
        assert_eq!(ChangeId::awaited([7; 16]).0[2..], [7; 14]);
        assert_ne!(ChangeId::awaited([7; 16]), ChangeId::awaited([8; 16]));
        assert!(!ChangeId([7; 16]).is_awaited());
        assert!(!ChangeId([0; 16]).is_awaited());
    }
}
