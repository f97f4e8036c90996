//! What there is to tell of a key as time goes by: warnings, reminders, and that something has ended.
//!
//! Each notice has a moment that follows from the key and the rules alone, and a key remembers when each
//! kind was last told. So a notice is told once for its moment, however often it is asked for, whichever
//! gate asks, and however long none could.

use std::time::Duration;

use super::key::{Key, KeyStatus};
use super::policy::Outlook;
use super::rotation::{Delivery, Schedule};
use super::time::Timestamp;
use super::word::words;

words! {
    /// A kind of notice; its word is what records have.
    Notice {
        /// The key will end by itself.
        Expiring = "expiring";
        /// It has ended by itself.
        Expired = "expired";
        /// The grace of one of its versions is over.
        Retired = "retired";
        /// It will be due for rotation, or is, and someone has to do it.
        RotationDue = "rotation_due";
        /// It has not been used for some days.
        Unused = "unused";
        /// It has not been used for so long that it may be forgotten.
        Stale = "stale";
        /// It will be revoked because nobody uses it.
        Revoking = "revoking";
    }
}

/// Something to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// What.
    pub notice: Notice,
    /// Since when there is that to tell.
    pub since: Timestamp,
    /// Whole days until it happens; 0 once it has.
    pub days_left: u32,
    /// When it happens, or happened.
    pub at: Timestamp,
}

/// What is known of a key besides itself.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// When it is to be rotated, if a rule covers it.
    pub schedule: Option<Schedule>,
    /// How a new secret would reach its holder.
    pub delivery: Delivery,
    /// What the policies have to say of it.
    pub outlook: &'a Outlook,
}

/// What is to be told of a key at `now` and was not told yet, in a fixed order.
#[must_use]
pub fn due(key: &Key, facts: Facts<'_>, now: Timestamp) -> Vec<Due> {
    let status = key.status(now);
    let mut found = Vec::new();
    if status == KeyStatus::Revoked {
        return found;
    }
    if let Some(end) = key.settings.expires_at {
        if end <= now {
            found.push(happened(Notice::Expired, end));
        } else {
            found.extend(before(Notice::Expiring, end, EXPIRY_DAYS, now));
        }
    }
    let retired = key.versions.iter().filter(|it| it.revoked_at.is_none());
    let ends = retired.filter_map(|version| version.retires_at);
    if let Some(last) = ends.filter(|end| *end <= now).max() {
        found.push(happened(Notice::Retired, last));
    }
    if let Some(due) = facts.schedule.and_then(|schedule| schedule.due_at) {
        found.extend(rotation(due, facts.delivery, now));
    }
    if status != KeyStatus::Expired {
        let outlook = facts.outlook;
        for (notice, since) in [
            (Notice::Unused, outlook.unused_at),
            (Notice::Stale, outlook.stale_at),
        ] {
            if let Some(since) = since.filter(|since| *since <= now) {
                found.push(happened(notice, since));
            }
        }
        if let Some(fate) = outlook.fate.filter(|fate| fate.warn_at <= now) {
            found.push(Due {
                notice: Notice::Revoking,
                since: fate.warn_at,
                days_left: days(fate.revoke_at.since(now)),
                at: fate.revoke_at,
            });
        }
    }
    found.retain(|due| {
        key.told
            .get(&due.notice)
            .is_none_or(|told| *told < due.since)
    });
    found
}

/// Reminders before a rotation is due, and then once a week. A sink needs none; if the key is still due a
/// day later, its sink does not take the secret.
fn rotation(due: Timestamp, delivery: Delivery, now: Timestamp) -> Option<Due> {
    let late = now.since(due);
    if delivery == Delivery::Sink {
        let since = due.after(DAY);
        return (since <= now).then(|| Due {
            since: since.after(whole(late.saturating_sub(DAY), WEEK)),
            ..happened(Notice::RotationDue, due)
        });
    }
    if due <= now {
        return Some(Due {
            since: due.after(whole(late, WEEK)),
            ..happened(Notice::RotationDue, due)
        });
    }
    before(Notice::RotationDue, due, REMINDER_DAYS, now)
}

fn happened(notice: Notice, at: Timestamp) -> Due {
    Due {
        notice,
        since: at,
        days_left: 0,
        at,
    }
}

/// The nearest of some days before `end` that has come.
fn before(notice: Notice, end: Timestamp, days_before: &[u32], now: Timestamp) -> Option<Due> {
    let left = end.since(now);
    let nearest = days_before
        .iter()
        .copied()
        .filter(|days| left <= DAY * *days);
    nearest.min().map(|threshold| Due {
        notice,
        since: end.before(DAY * threshold),
        days_left: days(left),
        at: end,
    })
}

/// Whole steps in a span.
fn whole(span: Duration, step: Duration) -> Duration {
    let steps = span.as_millis() / step.as_millis().max(1);
    step * u32::try_from(steps).unwrap_or(u32::MAX)
}

/// Days in a span, the last one begun counted.
fn days(span: Duration) -> u32 {
    let days = span.as_millis().div_ceil(DAY.as_millis());
    u32::try_from(days).unwrap_or(u32::MAX)
}

const DAY: Duration = Duration::from_secs(24 * 3_600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How many days before its end a key is warned of.
pub const EXPIRY_DAYS: &[u32] = &[30, 14, 7, 1];
/// How many days before it is due a rotation is reminded of.
pub const REMINDER_DAYS: &[u32] = &[14, 7, 1];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{KeyId, OwnerId};
    use crate::domain::key::KeySettings;
    use crate::domain::lifecycle::{Birth, change, create};
    use crate::domain::policy::Fate;
    use crate::domain::rotation::RotationPlan;
    use crate::domain::secret::{Fingerprint, KeyHash};

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
        create(birth, KeySettings::named("k"), at(0))
    }

    /// Turns the clock day by day and tells what there is to tell; what was told on which day.
    fn year(
        mut key: Key,
        facts: impl Fn(Timestamp) -> (Option<Schedule>, Delivery, Outlook),
    ) -> Vec<(u32, Notice, u32)> {
        let mut told = Vec::new();
        for day in 0..365 {
            // Twice a day: what was told is not told again.
            for now in [at(day), at(day).after(DAY / 2)] {
                let (schedule, delivery, outlook) = facts(now);
                let facts = Facts {
                    schedule,
                    delivery,
                    outlook: &outlook,
                };
                for due in due(&key, facts, now) {
                    key.told.insert(due.notice, now);
                    told.push((day, due.notice, due.days_left));
                }
            }
        }
        told
    }

    #[test]
    fn an_end_is_warned_of_at_30_14_7_and_1_days_and_told_once() {
        let mut key = key();
        key.settings.expires_at = Some(at(100));
        let told = year(key, |_| (None, Delivery::Nobody, Outlook::default()));
        assert_eq!(
            told,
            [
                (70, Notice::Expiring, 30),
                (86, Notice::Expiring, 14),
                (93, Notice::Expiring, 7),
                (99, Notice::Expiring, 1),
                (100, Notice::Expired, 0),
            ]
        );
    }

    // S0-02
    #[test]
    fn whoever_must_rotate_a_key_is_reminded_before_and_then_weekly() {
        let plan = RotationPlan {
            interval_days: 90,
            keep_previous: true,
            grace: Duration::ZERO,
        };
        let schedule = Some(Schedule {
            plan,
            due_at: Some(at(340)),
        });
        for delivery in [Delivery::Nobody, Delivery::Holder] {
            let told = year(key(), |_| (schedule, delivery, Outlook::default()));
            let days: Vec<_> = told.iter().map(|(day, _, left)| (*day, *left)).collect();
            let expected = [
                (326, 14),
                (333, 7),
                (339, 1),
                (340, 0),
                (347, 0),
                (354, 0),
                (361, 0),
            ];
            assert_eq!(days, expected, "{delivery:?}");
        }
        let told = year(key(), |_| (schedule, Delivery::Sink, Outlook::default()));
        let days: Vec<_> = told.iter().map(|(day, ..)| *day).collect();
        assert_eq!(
            days,
            [341, 348, 355, 362],
            "its sink does not take the secret"
        );
    }

    #[test]
    fn an_end_that_is_moved_is_warned_of_anew() {
        let mut key = key();
        key.settings.expires_at = Some(at(20));
        let outlook = Outlook::default();
        let facts = Facts {
            schedule: None,
            delivery: Delivery::Nobody,
            outlook: &outlook,
        };
        assert_eq!(due(&key, facts, at(1))[0].days_left, 19);
        key.told.insert(Notice::Expiring, at(1));
        assert_eq!(due(&key, facts, at(2)), []);
        let mut settings = key.settings.clone();
        settings.expires_at = Some(at(4));
        let key = change(key, settings, at(2)).unwrap();
        let [again] = due(&key, facts, at(2))[..] else {
            panic!("one warning");
        };
        assert_eq!((again.days_left, again.at), (2, at(4)));
    }

    #[test]
    fn each_version_that_retires_is_told_and_a_revoked_key_no_more() {
        let mut key = key();
        key.versions[0].retires_at = Some(at(3));
        let told = year(key.clone(), |_| {
            (None, Delivery::Nobody, Outlook::default())
        });
        assert_eq!(told, [(3, Notice::Retired, 0)]);
        key.standing = crate::domain::key::Standing::Revoked { at: at(2) };
        let told = year(key, |_| (None, Delivery::Nobody, Outlook::default()));
        assert_eq!(told, []);
    }

    // S3-13, S3-15, S4-06
    #[test]
    fn what_nobody_uses_is_told_in_steps() {
        let outlook = |_| {
            let outlook = Outlook {
                unused_at: Some(at(7)),
                stale_at: Some(at(30)),
                fate: Some(Fate {
                    warn_at: at(166),
                    revoke_at: at(180),
                }),
                ..Outlook::default()
            };
            (None, Delivery::Nobody, outlook)
        };
        assert_eq!(
            year(key(), outlook),
            [
                (7, Notice::Unused, 0),
                (30, Notice::Stale, 0),
                (166, Notice::Revoking, 14),
            ]
        );
    }
}
