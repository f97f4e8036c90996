//! `POST /admin/keys/rotation/enable`: keys rotate by themselves, all of them or some.
//!
//! Takes `{"interval_days", "keep_previous", "grace", "selector"}`, each of which may be left out. Without
//! `interval_days` the interval follows the risk of a key: for every key, that makes three rules.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;

use crate::admin::ask::{Ask, AskIfAny, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::rotation::answer;
use crate::admin::router::Shared;
use crate::admin::selector;
use crate::api::rotation::{EnableRotation, RotationRules};
use crate::control::ControlError;
use crate::domain::key::Risk;
use crate::domain::lifecycle::{FieldFault, Grace};
use crate::domain::rotation::{RotationPlan, interval_days};
use crate::domain::selector::Selector;
use crate::domain::span::Span;

/// Makes the rule, or replaces the one of this selector.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    _: NoQuery,
    AskIfAny(Ask { body: asked, .. }): AskIfAny<EnableRotation>,
) -> Result<Json<RotationRules>, Problem> {
    let wanted = read(asked).map_err(ControlError::Invalid)?;
    Ok(answer(&shared.rotation.enable(&caller, &wanted).await?))
}

fn read(asked: EnableRotation) -> Result<Vec<(Selector, RotationPlan)>, Vec<FieldFault>> {
    let mut faults = Vec::new();
    let selector = selector::read(asked.selector, "/selector", &mut faults);
    let days = asked.interval_days;
    if days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        let detail = "an interval has 1 to 3650 days";
        faults.push(FieldFault::new("/interval_days", "range", detail));
    }
    let grace = grace(asked.grace.as_deref(), &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let plan = |interval_days| RotationPlan {
        interval_days,
        keep_previous: asked.keep_previous.unwrap_or(true),
        grace,
    };
    Ok(match (days, selector) {
        (Some(days), selector) => vec![(selector, plan(days))],
        (None, Selector::All) => [Risk::High, Risk::Standard, Risk::Low]
            .map(|risk| (Selector::Risk(risk), plan(interval_days(risk))))
            .into(),
        (None, Selector::Risk(risk)) => {
            vec![(Selector::Risk(risk), plan(interval_days(risk)))]
        }
        (None, selector) => vec![(selector, plan(interval_days(Risk::Standard)))],
    })
}

fn grace(text: Option<&str>, faults: &mut Vec<FieldFault>) -> Duration {
    let Some(text) = text else {
        return Duration::ZERO;
    };
    match text.parse::<Span>() {
        Ok(Span(span)) if Grace::new(span).is_some() => span,
        Ok(_) => {
            let detail = "a grace is at most 72h";
            faults.push(FieldFault::new("/grace", "too_long", detail));
            Duration::ZERO
        }
        Err(error) => {
            faults.push(FieldFault::new("/grace", "form", error.to_string()));
            Duration::ZERO
        }
    }
}

/// Ten years.
const DAYS_MAX: u32 = 3_650;
