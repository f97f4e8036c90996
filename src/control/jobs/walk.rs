//! What is to be done about a key, and ending those that nobody uses.

use std::time::Duration;

use futures_util::FutureExt;

use super::turns::{JOB, Jobs, State};
use crate::control::ControlError;
use crate::control::caller::{About, Caller};
use crate::control::keys::lifecycle_changes;
use crate::control::writer::Draft;
use crate::domain::audit::Action;
use crate::domain::change::Write;
use crate::domain::id::KeyId;
use crate::domain::key::{Key, KeyStatus, KeyVersion};
use crate::domain::lifecycle;
use crate::domain::notice::{self, Facts};
use crate::domain::policy::{Demands, Outlook};
use crate::domain::rotation::{Delivery, Schedule};
use crate::domain::rules::RuleSet;
use crate::domain::time::Timestamp;
use crate::store::KeyRow;

impl Jobs {
    /// Does what is due for one key.
    pub(super) async fn look_after(
        &self,
        row: KeyRow,
        rules: &RuleSet,
        state: &mut State,
    ) -> Result<(), ControlError> {
        let now = self.clock.now();
        let KeyRow { key, last_used } = row;
        let last_used = last_used.iter().map(|(_, at)| *at).max();
        let demands = Demands::on(&rules.policies, &key);
        let outlook = demands.outlook(&key, last_used, now);
        if is_forfeit(&outlook, now) {
            self.end_unused(key.id).await?;
            return Ok(());
        }
        let delivery = self.delivery(&key, &demands, now);
        let mut schedule = Schedule::of(&rules.rotation, &key, now);
        let facts = Facts {
            schedule,
            delivery,
            outlook: &outlook,
        };
        if !notice::due(&key, facts, now).is_empty() || self.has_old_tombstones(&key, now) {
            self.tell(key.id).await?;
        }
        if let Some(schedule) = &mut schedule
            && demands.has_outlived(&key, now)
        {
            schedule.due_at = None;
        }
        let waits = key.pending(now).is_some() || was_discarded(&key, now);
        if let Some(schedule) = schedule.filter(|schedule| schedule.is_due(now) || waits)
            && key.status(now) == KeyStatus::Active
            && let Some(sink) = self.sinks.of_key(&key)
            && self.lease.hold_sink(sink).await.is_some()
        {
            self.rotate(key, schedule, sink, state).await?;
        }
        Ok(())
    }

    /// How a new secret of `key` would reach its holder. One that has lived for as long as its policies let
    /// it is given none by itself: someone is reminded instead.
    pub(super) fn delivery(&self, key: &Key, demands: &Demands, now: Timestamp) -> Delivery {
        if demands.has_outlived(key, now) {
            Delivery::Nobody
        } else if self.sinks.of_key(key).is_some() {
            Delivery::Sink
        } else if key.settings.self_rotation {
            Delivery::Holder
        } else {
            Delivery::Nobody
        }
    }

    /// Revokes a key that its policy revokes because nobody uses it, if that still holds.
    async fn end_unused(&self, id: KeyId) -> Result<(), ControlError> {
        let Some(tenure) = self.lease.hold(JOB).await else {
            return Ok(());
        };
        let caller = Caller::system("policies");
        let end = || {
            async {
                let now = self.clock.now();
                let rules = self.store.rules().await?;
                let Some(before) = self.store.key(id).await? else {
                    return Ok(Draft::nothing(()));
                };
                // Asked of the store itself: a list may be answered from what this gate last heard.
                let last_used = self.store.last_used(id).await?;
                let last_used = last_used.iter().map(|(_, at)| *at).max();
                let demands = Demands::on(&rules.policies, &before);
                let outlook = demands.outlook(&before, last_used, now);
                if !is_forfeit(&outlook, now) {
                    return Ok(Draft::nothing(()));
                }
                let after = lifecycle::revoke(before.clone(), now)?;
                let mut entry = caller.did(Action::KeyRevocation, now)?.about_key(&after);
                entry.reason = Some(format!("not used since {}", outlook.idle_since));
                entry
                    .changes
                    .extend(lifecycle_changes(&before, &after, now));
                Ok(Draft {
                    writes: vec![Write::Key(after)],
                    audit: vec![entry],
                    value: (),
                })
            }
            .boxed()
        };
        self.commit(&tenure, end).await.map(drop)
    }
}

/// Whether a secret that was never current was given up a while ago. Whoever had made it may have been paused
/// since, and hand it over when it wakes, though it is dead.
fn was_discarded(key: &Key, now: Timestamp) -> bool {
    let is_it = |version: &KeyVersion| {
        let discarded_at = version
            .revoked_at
            .filter(|_| version.activated_at.is_none());
        discarded_at.is_some_and(|at| now.since(at) < LOOKED_AFTER)
    };
    key.versions.iter().any(is_it)
}

/// For how long a sink is looked at that may be given a dead secret.
const LOOKED_AFTER: Duration = Duration::from_secs(3_600);

fn is_forfeit(outlook: &Outlook, now: Timestamp) -> bool {
    outlook.fate.is_some_and(|fate| fate.revoke_at <= now)
}
