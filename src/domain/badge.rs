//! What to know of a key at a glance.

use std::time::Duration;

use super::key::Key;
use super::rotation::Schedule;
use super::time::Timestamp;

/// A word beside a key in lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Badge {
    /// More than one of its secrets is admitted.
    Rotating,
    /// It should have been rotated by now.
    RotationDue,
    /// It has not been used for so long that it may be forgotten.
    PotentiallyStale,
}

impl Badge {
    /// The word itself.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rotating => "rotating",
            Self::RotationDue => "rotation due",
            Self::PotentiallyStale => "potentially stale",
        }
    }
}

/// After how long without use (since creation, if there was none) a key may be forgotten.
pub const STALE_AFTER: Duration = Duration::from_secs(30 * 24 * 3_600);

impl Key {
    /// The badges the key has at `now`, having last been used at `last_used_at` and being rotated by `schedule`.
    pub fn badges(
        &self,
        last_used_at: Option<Timestamp>,
        schedule: Option<Schedule>,
        now: Timestamp,
    ) -> impl Iterator<Item = Badge> {
        let live = self
            .versions
            .iter()
            .filter(|version| self.told_state(version, now).is_live());
        let rotating = live.count() > 1;
        let stale = now.since(last_used_at.unwrap_or(self.created_at)) >= STALE_AFTER;
        [
            rotating.then_some(Badge::Rotating),
            schedule
                .filter(|schedule| schedule.is_due(now))
                .map(|_| Badge::RotationDue),
            stale.then_some(Badge::PotentiallyStale),
        ]
        .into_iter()
        .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{KeyId, OwnerId};
    use crate::domain::key::{KeySettings, Standing};
    use crate::domain::lifecycle::{Birth, create};
    use crate::domain::secret::{Fingerprint, KeyHash};

    fn key(made: Timestamp) -> Key {
        let birth = Birth {
            id: KeyId::from_random([1; 10]),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            hash: KeyHash {
                pepper: 0,
                digest: [1; 32],
            },
            fingerprint: Fingerprint::from_bytes([1; 6]),
            created_by: "tok_x".into(),
        };
        create(birth, KeySettings::named("k"), made)
    }

    #[test]
    fn a_key_is_rotating_while_two_of_its_secrets_are_admitted_and_not_once_it_is_revoked() {
        let made = Timestamp::from_millis(1_000);
        let end = made.after(Duration::from_secs(60));
        let mut key = key(made);
        let mut newer = key.versions[0].clone();
        newer.number = 2;
        newer.hash.digest = [2; 32];
        newer.activated_at = Some(made);
        key.versions[0].retires_at = Some(end);
        key.versions.push(newer);
        let just_before = end.before(Duration::from_millis(1));
        assert!(key.badges(None, None, just_before).eq([Badge::Rotating]));
        assert_eq!(key.badges(None, None, end).count(), 0);
        key.standing = Standing::Revoked { at: made };
        assert_eq!(key.badges(None, None, just_before).count(), 0);
    }

    #[test]
    fn a_key_may_be_forgotten_thirty_days_after_its_last_use_and_not_before() {
        let made = Timestamp::from_millis(1_000);
        let key = key(made);
        let end = made.after(STALE_AFTER);
        let just_before = end.before(Duration::from_millis(1));
        assert_eq!(key.badges(None, None, just_before).count(), 0);
        assert!(key.badges(None, None, end).eq([Badge::PotentiallyStale]));
        assert_eq!(key.badges(Some(just_before), None, end).count(), 0);
    }
}
