//! Automatic rotation: which keys, how often, and what becomes of the version before.

use std::time::Duration;

use super::id::RotationRuleId;
use super::selector::Selector;
use super::time::Timestamp;

/// A rule of automatic rotation. Of those that cover a key the narrowest rules it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationRule {
    /// Names it for ever.
    pub id: RotationRuleId,
    /// Which keys it rotates.
    pub selector: Selector,
    /// How it rotates them.
    pub plan: RotationPlan,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How keys are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationPlan {
    /// How many days a version is current.
    pub interval_days: u32,
    /// Whether the version before stays valid until the next rotation.
    pub keep_previous: bool,
    /// Where it does not: how long it still works once the new one is active.
    pub grace: Duration,
}
