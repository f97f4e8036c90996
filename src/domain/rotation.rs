//! Automatic rotation: which keys, how often, and what becomes of the version before.

use std::time::Duration;

use super::id::RotationRuleId;
use super::key::{Key, KeyStatus, Risk};
use super::lifecycle::Activation;
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

impl RotationPlan {
    /// What becomes of the versions before one that is activated.
    #[must_use]
    pub const fn activation(&self) -> Activation {
        if self.keep_previous {
            Activation::KeepPrevious
        } else {
            Activation::Retire(self.grace)
        }
    }

    /// How long a version is current.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_secs(DAY_S * self.interval_days as u64)
    }
}

/// How often a key is rotated where nobody says: by how bad its loss would be.
#[must_use]
pub const fn interval_days(risk: Risk) -> u32 {
    match risk {
        Risk::High => 30,
        Risk::Standard => 90,
        Risk::Low => 365,
    }
}

/// How a new secret reaches whoever uses the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// A sink takes it: the key rotates by itself.
    Sink,
    /// The holder rotates the key and is given the secret: it is reminded.
    Holder,
    /// There is no way yet. The key is left working, and someone is reminded.
    Nobody,
}

impl Delivery {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Holder => "holder",
            Self::Nobody => "none",
        }
    }
}

/// The rule that rules `key`: of those that cover it the narrowest, and of those the newest.
#[must_use]
pub fn rule_of<'a>(rules: &'a [RotationRule], key: &Key) -> Option<&'a RotationRule> {
    rules
        .iter()
        .filter(|rule| rule.selector.covers(key))
        .max_by_key(|rule| (rule.selector.narrowness(), rule.created_at, rule.id))
}

/// When a key is next due by this plan: so long after its current version became that. `None` for a key
/// that is ended, for that is never due.
#[must_use]
pub fn due_at(key: &Key, plan: &RotationPlan, now: Timestamp) -> Option<Timestamp> {
    match key.status(now) {
        KeyStatus::Revoked | KeyStatus::Expired => None,
        KeyStatus::Active | KeyStatus::Suspended => {
            let since = key.current().and_then(|version| version.activated_at);
            Some(since.unwrap_or(key.created_at).after(plan.interval()))
        }
    }
}

/// A rule, and when it next wants a key to be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// How it is to be rotated.
    pub plan: RotationPlan,
    /// When it is next due; `None` once the key has ended.
    pub due_at: Option<Timestamp>,
}

impl Schedule {
    /// What `rules` want of `key`, if any of them covers it.
    #[must_use]
    pub fn of(rules: &[RotationRule], key: &Key, now: Timestamp) -> Option<Self> {
        let plan = rule_of(rules, key)?.plan;
        Some(Self {
            plan,
            due_at: due_at(key, &plan, now),
        })
    }

    /// Whether the key should have been rotated by now.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.due_at.is_some_and(|due| due <= now)
    }
}

/// Seconds in a day.
const DAY_S: u64 = 24 * 3_600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{KeyId, OwnerId};
    use crate::domain::key::{KeySettings, Standing};
    use crate::domain::lifecycle::{Birth, create};
    use crate::domain::secret::{Fingerprint, KeyHash};

    const DAY: Duration = Duration::from_secs(DAY_S);

    fn at(days: u32) -> Timestamp {
        Timestamp::from_millis(1_000).after(DAY * days)
    }

    fn key() -> Key {
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
        let mut settings = KeySettings::named("k");
        settings.products = vec!["starter".into()];
        settings.labels.insert("team".into(), "billing".into());
        create(birth, settings, at(0))
    }

    fn rule(id: u8, selector: Selector, days: u32) -> RotationRule {
        RotationRule {
            id: RotationRuleId::from_random([id; 10]),
            selector,
            plan: RotationPlan {
                interval_days: days,
                keep_previous: true,
                grace: Duration::ZERO,
            },
            created_at: at(u32::from(id)),
        }
    }

    // S3-05, S4-01
    #[test]
    fn the_narrowest_rule_that_covers_a_key_rules_it() {
        let key = key();
        let narrower_and_narrower = [
            Selector::All,
            Selector::Risk(Risk::Standard),
            Selector::Label {
                name: "team".into(),
                value: None,
            },
            Selector::Product("starter".into()),
            Selector::Owner(key.owner),
            Selector::Key(key.id),
        ];
        // The narrower a rule, the older it is here: age decides between equals alone.
        let mut rules: Vec<RotationRule> = Vec::new();
        for (at, selector) in (0..).zip(narrower_and_narrower) {
            rules.push(rule(100 - at, selector, u32::from(at) + 1));
            assert_eq!(
                rule_of(&rules, &key).map(|rule| rule.plan.interval_days),
                Some(u32::from(at) + 1)
            );
        }
        rules.push(rule(200, Selector::Key(key.id), 77));
        assert_eq!(rule_of(&rules, &key).unwrap().plan.interval_days, 77);
        let other = [rule(1, Selector::Risk(Risk::High), 5)];
        assert_eq!(rule_of(&other, &key), None);
    }

    // S0-01, S4-05
    #[test]
    fn a_key_is_due_so_long_after_its_current_version_became_that() {
        let mut key = key();
        let rules = [rule(1, Selector::All, interval_days(Risk::Standard))];
        let schedule = Schedule::of(&rules, &key, at(1)).unwrap();
        assert_eq!(schedule.due_at, Some(at(90)));
        assert!(!schedule.is_due(at(90).before(Duration::from_millis(1))));
        assert!(schedule.is_due(at(90)));

        let mut second = key.versions[0].clone();
        second.number = 2;
        second.activated_at = None;
        key.versions.push(second);
        let due = |key: &Key, now| Schedule::of(&rules, key, now).unwrap().due_at;
        assert_eq!(
            due(&key, at(1)),
            Some(at(90)),
            "a pending version is not current"
        );
        key.versions[1].activated_at = Some(at(40));
        assert_eq!(due(&key, at(41)), Some(at(130)));

        key.settings.expires_at = Some(at(50));
        assert_eq!(due(&key, at(50)), None);
        key.settings.expires_at = None;
        key.standing = Standing::Suspended { at: at(41) };
        assert_eq!(due(&key, at(50)), Some(at(130)));
        key.standing = Standing::Revoked { at: at(41) };
        assert_eq!(due(&key, at(50)), None);
    }

    #[test]
    fn the_worse_the_loss_the_shorter_the_interval() {
        let days = [Risk::High, Risk::Standard, Risk::Low].map(interval_days);
        assert_eq!(days, [30, 90, 365]);
    }
}
