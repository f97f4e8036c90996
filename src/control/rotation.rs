//! Automatic rotation: turned on, turned off, looked at.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::writer::{Draft, Writer, draw};
use crate::domain::audit::{Action, AuditEntry, FieldChange};
use crate::domain::change::{Gone, Write};
use crate::domain::id::RotationRuleId;
use crate::domain::query::{KeyQuery, KeySort};
use crate::domain::rotation::{RotationPlan, RotationRule, Schedule, rule_of};
use crate::domain::rules::RuleSet;
use crate::domain::selector::Selector;
use crate::domain::span::Span;
use crate::domain::time::Clock;
use crate::store::Store;

/// Turns automatic rotation on and off.
pub struct RotationService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
}

/// A rule, and how many of its keys are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleView {
    /// The rule.
    pub rule: RotationRule,
    /// How many of the keys that it rules should have been rotated by now; `None` if they could not be
    /// counted.
    pub due: Option<u64>,
}

impl RotationService {
    /// A service over `store`; every change goes through `writer`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, writer: Arc<Writer>) -> Self {
        Self {
            store,
            clock,
            writer,
        }
    }

    /// Has keys rotated by these rules; one there is of the same selector is replaced.
    ///
    /// # Errors
    /// [`ControlError::Bound`], or what the store returns.
    pub async fn enable(
        &self,
        caller: &Caller,
        wanted: &[(Selector, RotationPlan)],
    ) -> Result<Vec<RuleView>, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        let enable = || {
            async {
                let now = self.clock.now();
                let rules = self.store.rules().await?;
                let mut writes = Vec::new();
                let mut entry = caller.did(Action::Config, now)?;
                for (selector, plan) in wanted {
                    let before = rules.rotation.iter().find(|it| it.selector == *selector);
                    if before.is_some_and(|rule| rule.plan == *plan) {
                        continue;
                    }
                    let id = match before {
                        Some(rule) => rule.id,
                        None => unused_id(&rules)?,
                    };
                    let after = RotationRule {
                        id,
                        selector: selector.clone(),
                        plan: *plan,
                        created_at: before.map_or(now, |rule| rule.created_at),
                    };
                    tell(&mut entry, before, Some(&after));
                    writes.push(Write::RotationRule(after));
                }
                Ok(told_if_any(writes, entry))
            }
            .boxed()
        };
        self.writer.commit(enable).await?;
        self.rules_as_they_are().await
    }

    /// Has keys rotated no more by the rule of this selector; by none at all, where none is named.
    ///
    /// # Errors
    /// [`ControlError::Bound`], or what the store returns.
    pub async fn disable(
        &self,
        caller: &Caller,
        selector: Option<&Selector>,
    ) -> Result<Vec<RuleView>, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        let disable = || {
            async {
                let now = self.clock.now();
                let rules = self.store.rules().await?;
                let mut entry = caller.did(Action::Config, now)?;
                let mut writes = Vec::new();
                let is_meant =
                    |rule: &&RotationRule| selector.is_none_or(|it| rule.selector == *it);
                for rule in rules.rotation.iter().filter(is_meant) {
                    tell(&mut entry, Some(rule), None);
                    writes.push(Write::Gone(Gone::RotationRule(rule.id)));
                }
                Ok(told_if_any(writes, entry))
            }
            .boxed()
        };
        self.writer.commit(disable).await?;
        self.rules_as_they_are().await
    }

    /// The rules there are, the widest first.
    ///
    /// # Errors
    /// [`ControlError::Bound`], or what the store returns.
    pub async fn rules(&self, caller: &Caller) -> Result<Vec<RuleView>, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        self.rules_as_they_are().await
    }

    /// The rules, after a change that has landed: that not all keys can be read is no reason to say that
    /// it has not.
    async fn rules_as_they_are(&self) -> Result<Vec<RuleView>, ControlError> {
        let rules = self.store.rules().await?.rotation;
        let due = match self.count_due(&rules).await {
            Ok(due) => Some(due),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "the keys that are due for rotation cannot be counted"
                );
                None
            }
        };
        let count = |rule: &RotationRule| {
            let due = due.as_ref()?;
            Some(due.get(&rule.id).copied().unwrap_or_default())
        };
        let mut views: Vec<RuleView> = rules
            .iter()
            .map(|rule| RuleView {
                due: count(rule),
                rule: rule.clone(),
            })
            .collect();
        views.sort_by_key(|view| (view.rule.selector.narrowness(), view.rule.created_at));
        Ok(views)
    }

    /// How many keys are due by each rule that any is due by. Reads all keys.
    async fn count_due(
        &self,
        rules: &[RotationRule],
    ) -> Result<HashMap<RotationRuleId, u64>, ControlError> {
        let mut due = HashMap::new();
        if rules.is_empty() {
            return Ok(due);
        }
        let now = self.clock.now();
        let query = KeyQuery {
            now,
            ..KeyQuery::default()
        };
        let mut after = None;
        loop {
            let page = self
                .store
                .keys(&query, KeySort::default(), PAGE, after)
                .await?;
            for row in &page.items {
                let Some(rule) = rule_of(rules, &row.key) else {
                    continue;
                };
                let schedule = Schedule::of(std::slice::from_ref(rule), &row.key, now);
                if schedule.is_some_and(|schedule| schedule.is_due(now)) {
                    *due.entry(rule.id).or_default() += 1;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(due);
            }
        }
    }
}

/// The change that makes `writes`; none, if there are none: then things are as they were asked to be.
fn told_if_any(writes: Vec<Write>, entry: AuditEntry) -> Draft<()> {
    if writes.is_empty() {
        return Draft::nothing(());
    }
    Draft {
        writes,
        audit: vec![entry],
        value: (),
    }
}

fn unused_id(rules: &RuleSet) -> Result<RotationRuleId, ControlError> {
    loop {
        let id = RotationRuleId::from_random(draw()?);
        if rules.rotation.iter().all(|rule| rule.id != id) {
            return Ok(id);
        }
    }
}

fn tell(entry: &mut AuditEntry, before: Option<&RotationRule>, after: Option<&RotationRule>) {
    let told = |rule: Option<&RotationRule>| rule.map_or(Value::Null, told);
    entry.changes.push(FieldChange {
        field: "rotation".to_owned(),
        from: told(before),
        to: told(after),
    });
}

fn told(rule: &RotationRule) -> Value {
    json!({
        "id": rule.id.to_string(),
        "selector": rule.selector.to_string(),
        "interval_days": rule.plan.interval_days,
        "keep_previous": rule.plan.keep_previous,
        "grace": Span(rule.plan.grace).to_string(),
    })
}

const PAGE: usize = 1_000;
