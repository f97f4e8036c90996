//! Automatic rotation: turned on, turned off, looked at.

use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::writer::{Draft, Writer, draw};
use crate::domain::audit::{Action, FieldChange};
use crate::domain::change::{Gone, Write};
use crate::domain::id::{KeyId, RotationRuleId};
use crate::domain::query::{KeyQuery, KeySort};
use crate::domain::rotation::{RotationPlan, RotationRule, Schedule, rule_of};
use crate::domain::rules::RuleSet;
use crate::domain::selector::Selector;
use crate::domain::span::Span;
use crate::domain::time::{Clock, Timestamp};
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
    /// How many of the keys that it rules should have been rotated by now.
    pub due: u64,
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
                    let step = rule_step(&rules, selector, Some(*plan), "/selector", now)?;
                    if let Some(step) = step {
                        entry.changes.push(step.change);
                        writes.push(step.write);
                    }
                }
                Ok(Draft {
                    writes,
                    audit: vec![entry],
                    value: (),
                })
            }
            .boxed()
        };
        self.writer.commit(enable).await?;
        self.rules(caller).await
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
                    let step = RuleStep::gone(rule);
                    entry.changes.push(step.change);
                    writes.push(step.write);
                }
                Ok(Draft {
                    writes,
                    audit: vec![entry],
                    value: (),
                })
            }
            .boxed()
        };
        self.writer.commit(disable).await?;
        self.rules(caller).await
    }

    /// The rules there are, the widest first.
    ///
    /// # Errors
    /// [`ControlError::Bound`], or what the store returns.
    pub async fn rules(&self, caller: &Caller) -> Result<Vec<RuleView>, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        let rules = self.store.rules().await?.rotation;
        let mut views: Vec<RuleView> = rules
            .iter()
            .map(|rule| RuleView {
                rule: rule.clone(),
                due: 0,
            })
            .collect();
        self.count_due(&rules, &mut views).await?;
        views.sort_by_key(|view| (view.rule.selector.narrowness(), view.rule.created_at));
        Ok(views)
    }

    async fn count_due(
        &self,
        rules: &[RotationRule],
        views: &mut [RuleView],
    ) -> Result<(), ControlError> {
        if rules.is_empty() {
            return Ok(());
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
                if schedule.is_some_and(|schedule| schedule.is_due(now))
                    && let Some(view) = views.iter_mut().find(|view| view.rule.id == rule.id)
                {
                    view.due += 1;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// A step in the life of a rule, and what the audit log says of it.
pub(in crate::control) struct RuleStep {
    pub(in crate::control) write: Write,
    pub(in crate::control) change: FieldChange,
}

impl RuleStep {
    /// The rule is taken away.
    pub(in crate::control) fn gone(rule: &RotationRule) -> Self {
        Self {
            write: Write::Gone(Gone::RotationRule(rule.id)),
            change: change(Some(rule), None),
        }
    }
}

/// What has the keys of `selector` rotated by `plan`, by no rule of their own where there is none; `None`
/// if it is so already.
///
/// # Errors
/// [`ControlError::Invalid`] at `pointer` if there are as many rules as there may be.
fn rule_step(
    rules: &RuleSet,
    selector: &Selector,
    plan: Option<RotationPlan>,
    pointer: &str,
    now: Timestamp,
) -> Result<Option<RuleStep>, ControlError> {
    let before = rules.rotation.iter().find(|it| it.selector == *selector);
    let Some(plan) = plan else {
        return Ok(before.map(RuleStep::gone));
    };
    if before.is_some_and(|rule| rule.plan == plan) {
        return Ok(None);
    }
    let id = match before {
        Some(rule) => rule.id,
        None if rules.rotation.len() >= RULES_MAX => {
            return Err(ControlError::field(pointer, "too_many", TOO_MANY));
        }
        None => unused_id(rules)?,
    };
    let after = RotationRule {
        id,
        selector: selector.clone(),
        plan,
        created_at: before.map_or(now, |rule| rule.created_at),
    };
    Ok(Some(RuleStep {
        change: change(before, Some(&after)),
        write: Write::RotationRule(after),
    }))
}

/// Like [`rule_step`], for the rule of one key.
pub(in crate::control) fn own_rule_step(
    rules: &RuleSet,
    key: KeyId,
    plan: Option<RotationPlan>,
    now: Timestamp,
) -> Result<Option<RuleStep>, ControlError> {
    rule_step(rules, &Selector::Key(key), plan, "/rotation", now)
}

fn unused_id(rules: &RuleSet) -> Result<RotationRuleId, ControlError> {
    loop {
        let id = RotationRuleId::from_random(draw()?);
        if rules.rotation.iter().all(|rule| rule.id != id) {
            return Ok(id);
        }
    }
}

fn change(before: Option<&RotationRule>, after: Option<&RotationRule>) -> FieldChange {
    let told = |rule: Option<&RotationRule>| rule.map_or(Value::Null, told);
    FieldChange {
        field: "rotation".to_owned(),
        from: told(before),
        to: told(after),
    }
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
/// They are held whole in the memory of every gate, and each key is held against all of them.
const RULES_MAX: usize = 1_000;
const TOO_MANY: &str = "there are 1000 rules of rotation, which is the most there may be: one by label, product, owner or risk rules many keys";
