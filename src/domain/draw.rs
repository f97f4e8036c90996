//! What a gate asks of the store for a quota, what it is granted, and the one rule both go by.
//!
//! The store knows of each quota, key and period what it has *granted*: given out to be spent. A gate draws
//! ahead of need, and says in the same breath what it gives back and what it spent without a grant. It
//! also says what it has *received* so far, so that a call whose answer was lost is undone by the next.

use std::sync::Arc;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::event::{Event, EventKind};
use super::id::{EventId, KeyId};
use super::key::Key;
use super::period::Span;
use super::time::Timestamp;

/// What one gate asks of one quota of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaDraw {
    /// Whose.
    pub key: KeyId,
    /// Which of its quotas, by name.
    pub quota: Arc<str>,
    /// In which period.
    pub span: Span,
    /// How much it allows.
    pub limit: u64,
    /// How much cannot be done without.
    pub need: u64,
    /// How much is wished for, ahead of need.
    pub want: u64,
    /// What was spent without a grant: charged whatever the limit.
    pub charge: u64,
    /// What was granted and is given back.
    pub back: u64,
    /// Tells this gate's account of the period from any it had before.
    pub run: u64,
    /// What the gate has received in this run: granted and charged, less what it gave back.
    pub received: u64,
    /// Up to which of [`THRESHOLDS`] those outside have been told; 0: nothing new.
    pub reached: u8,
}

/// What came of a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaGrant {
    /// How much more may be spent.
    pub units: u64,
    /// How much has been given out in this period in all.
    pub granted: u64,
    /// Up to which threshold had been told of before.
    pub reached_before: u8,
}

/// Where what was given out of a quota is kept: one row a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaPlace {
    /// Whose.
    pub key: KeyId,
    /// Which of its quotas, by name.
    pub quota: Arc<str>,
    /// In which period.
    pub span: Span,
}

/// That so much of a quota is spent, for the first time in its period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Of which quota.
    pub place: QuotaPlace,
    /// How much it allows.
    pub limit: u64,
    /// How many per cent of that: one of [`THRESHOLDS`].
    pub percent: u8,
    /// How much was spent when that was seen.
    pub spent: u64,
    /// When that was.
    pub at: Timestamp,
}

impl Reached {
    /// Names the event, the same at every gate: a limit that was changed is told of anew.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        let QuotaPlace { key, quota, span } = &self.place;
        let text = format!(
            "quota.reached\n{key}\n{quota}\n{}\n{}\n{}\n",
            span.first_day, self.limit, self.percent
        );
        let digest: [u8; 32] = Sha256::digest(text).into();
        EventId::from_random(std::array::from_fn(|at| {
            digest.get(at).copied().unwrap_or_default()
        }))
    }

    /// What those outside are told; `key` is whose quota it is.
    #[must_use]
    pub fn event(&self, key: &Key) -> Event {
        let mut event = Event::about_key(self.event_id(), EventKind::QuotaReached, key, self.at);
        event.say("quota", &*self.place.quota);
        event.say("limit", self.limit);
        event.say("percent", self.percent);
        event.say("used", self.spent);
        let renews_at = self.place.span.end().map(|end| end.to_string());
        event.say("renews_at", json!(renews_at));
        event
    }
}

/// How many per cent of a quota are told of, each once a period.
pub const THRESHOLDS: [u8; 4] = [50, 80, 90, 100];

impl QuotaDraw {
    /// How much is given, and how much is out then in all, where `granted` was before.
    ///
    /// Ahead of need a gate gets at most a quarter of what is left, so that what it may lose shrinks with
    /// what there is, and the last unit is given exactly.
    #[must_use]
    pub fn grant(&self, granted: u64) -> (u64, u64) {
        let out = granted
            .saturating_sub(self.back)
            .saturating_add(self.charge);
        let left = self.limit.saturating_sub(out);
        let units = self.need.max(self.want.min(left / 4)).min(left);
        (units, out + units)
    }

    /// What the store is to remember as told of, and what had been, where it remembered `before` per cent of
    /// `limit`: of a limit that was raised so much less was told of, of one that was lowered nothing yet.
    #[must_use]
    pub fn reach(&self, before: u8, limit: u64) -> (u8, u8) {
        if self.limit < limit {
            return (self.reached, 0);
        }
        let units = u128::from(before) * u128::from(limit);
        let before = u8::try_from(units / u128::from(self.limit.max(1))).unwrap_or(u8::MAX);
        (self.reached.max(before), before)
    }
}

/// The thresholds above `before` up to `reached`.
pub fn thresholds(before: u8, reached: u8) -> impl Iterator<Item = u8> {
    THRESHOLDS
        .into_iter()
        .filter(move |it| (before + 1..=reached).contains(it))
}

/// The highest threshold that `spent` of `limit` has reached; 0 if none.
#[must_use]
pub fn threshold(spent: u64, limit: u64) -> u8 {
    let is_reached = |it: &u8| u128::from(spent) * 100 >= u128::from(limit) * u128::from(*it);
    THRESHOLDS.into_iter().rfind(is_reached).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::OwnerId;
    use crate::domain::key::KeySettings;
    use crate::domain::lifecycle::{Birth, create};
    use crate::domain::secret::{Fingerprint, KeyHash};

    fn draw(limit: u64, need: u64, want: u64) -> QuotaDraw {
        QuotaDraw {
            key: KeyId::from_random([1; 10]),
            quota: "key-day".into(),
            span: Span {
                first_day: 1,
                end_day: 2,
            },
            limit,
            need,
            want,
            charge: 0,
            back: 0,
            run: 1,
            received: 0,
            reached: 0,
        }
    }

    #[test]
    fn what_is_wished_for_is_given_up_to_a_quarter_and_what_is_needed_to_the_last() {
        assert_eq!(draw(100, 1, 10).grant(0), (10, 10));
        assert_eq!(draw(100, 1, 10).grant(80), (5, 85));
        assert_eq!(draw(100, 1, 10).grant(97), (1, 98));
        assert_eq!(draw(100, 3, 10).grant(98), (2, 100));
        assert_eq!(draw(100, 1, 10).grant(100), (0, 100));
        assert_eq!(draw(100, 0, 10).grant(97), (0, 97));
    }

    #[test]
    fn what_was_spent_is_charged_whatever_the_limit_and_what_comes_back_can_be_given_again() {
        let charged = QuotaDraw {
            charge: 7,
            ..draw(10, 0, 0)
        };
        assert_eq!(charged.grant(8), (0, 15));
        let back = QuotaDraw {
            back: 5,
            ..draw(10, 2, 0)
        };
        assert_eq!(back.grant(10), (2, 7));
    }

    #[test]
    fn a_threshold_is_told_of_once_and_anew_for_another_limit() {
        assert_eq!(
            (
                threshold(49, 100),
                threshold(50, 100),
                threshold(1, 1),
                threshold(3, 0)
            ),
            (0, 50, 100, 100)
        );
        let at_90 = QuotaDraw {
            reached: 90,
            ..draw(100, 0, 0)
        };
        assert_eq!(at_90.reach(50, 100), (90, 50));
        assert_eq!(thresholds(50, 90).collect::<Vec<_>>(), [80, 90]);
        assert_eq!(at_90.reach(90, 100), (90, 90));
        assert_eq!(thresholds(90, 90).count(), 0);
        // What is now all of 100 was half of 200, and nobody was told that it is all.
        assert_eq!(at_90.reach(50, 200), (90, 0));
        // All of 100 were half of 200.
        let at_80_of_200 = QuotaDraw {
            reached: 80,
            ..draw(200, 0, 0)
        };
        assert_eq!(at_80_of_200.reach(100, 100), (80, 50));
    }

    /// Two gates that see the same name it the same; whatever is another thing has another name.
    #[test]
    fn an_event_of_a_threshold_is_named_by_what_it_tells() {
        let reached = Reached {
            place: QuotaPlace {
                key: KeyId::from_random([1; 10]),
                quota: "key-day".into(),
                span: Span {
                    first_day: 20_454,
                    end_day: 20_455,
                },
            },
            limit: 100,
            percent: 80,
            spent: 81,
            at: Timestamp::from_millis(5),
        };
        let id = reached.event_id();
        let elsewhere = Reached {
            spent: 83,
            at: Timestamp::from_millis(9),
            ..reached.clone()
        };
        assert_eq!(elsewhere.event_id(), id);
        let mut others = vec![
            Reached {
                limit: 101,
                ..reached.clone()
            },
            Reached {
                percent: 90,
                ..reached.clone()
            },
        ];
        for change in [
            |place: &mut QuotaPlace| place.key = KeyId::from_random([2; 10]),
            |place: &mut QuotaPlace| place.quota = "key-week".into(),
            |place: &mut QuotaPlace| place.span.first_day += 1,
        ] {
            let mut other = reached.clone();
            change(&mut other.place);
            others.push(other);
        }
        for other in others {
            assert_ne!(other.event_id(), id, "{other:?}");
        }

        let birth = Birth {
            id: reached.place.key,
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            hash: KeyHash {
                pepper: 0,
                digest: [1; 32],
            },
            fingerprint: Fingerprint::from_bytes([1; 6]),
            created_by: "tok_x".into(),
        };
        let key = create(birth, KeySettings::named("k"), Timestamp::from_millis(1));
        let event = reached.event(&key);
        assert_eq!((event.id, event.kind), (id, EventKind::QuotaReached));
        let said = |name: &str| event.data[name].clone();
        assert_eq!(
            [said("quota"), said("limit"), said("percent"), said("used")],
            [json!("key-day"), json!(100), json!(80), json!(81)]
        );
        assert_eq!(said("renews_at"), "2026-01-02T00:00:00.000Z");
        assert_eq!(said("key_name"), "k");
    }
}
