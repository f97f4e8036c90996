//! Rules of rotation whose one key has ended for ever: taken away, for there may be only so many.

use futures_util::FutureExt;

use super::turns::{JOB, Jobs};
use crate::control::ControlError;
use crate::control::caller::{About, Caller};
use crate::control::rotation::RuleStep;
use crate::control::writer::Draft;
use crate::domain::audit::Action;
use crate::domain::key::{Key, Standing};
use crate::domain::rotation::RotationRule;
use crate::domain::rules::RuleSet;
use crate::domain::selector::Selector;

impl Jobs {
    /// Takes away what rules no key any more.
    pub(super) async fn drop_idle_rules(&self, rules: &RuleSet) -> Result<(), ControlError> {
        let mut idle = Vec::new();
        for rule in &rules.rotation {
            if idle.len() < AT_ONCE && self.ruled_by(rule).await?.is_some_and(|key| is_over(&key)) {
                idle.push(rule.id);
            }
        }
        if idle.is_empty() {
            return Ok(());
        }
        let Some(tenure) = self.lease.hold(JOB).await else {
            return Ok(());
        };
        let caller = Caller::system("rotation");
        let drop = || {
            async {
                let now = self.clock.now();
                let rules = self.store.rules().await?;
                let mut draft = Draft::nothing(());
                for rule in rules.rotation.iter().filter(|rule| idle.contains(&rule.id)) {
                    let Some(key) = self.ruled_by(rule).await?.filter(is_over) else {
                        continue;
                    };
                    let step = RuleStep::gone(rule);
                    let mut entry = caller.did(Action::Config, now)?.about_key(&key);
                    entry.reason = Some("its key is revoked".to_owned());
                    entry.changes.push(step.change);
                    draft.audit.push(entry);
                    draft.writes.push(step.write);
                }
                Ok(draft)
            }
            .boxed()
        };
        self.commit(&tenure, drop).await.map(|_| ())
    }

    /// The key of a rule that rules one alone.
    async fn ruled_by(&self, rule: &RotationRule) -> Result<Option<Key>, ControlError> {
        match rule.selector {
            Selector::Key(id) => Ok(self.store.key(id).await?),
            _ => Ok(None),
        }
    }
}

const fn is_over(key: &Key) -> bool {
    matches!(key.standing, Standing::Revoked { .. })
}

/// How many one walk takes away, in one change.
const AT_ONCE: usize = 100;
