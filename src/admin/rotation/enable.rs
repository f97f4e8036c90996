//! `POST /admin/keys/rotation/enable`: keys rotate by themselves, all of them or some.
//!
//! Takes `{"interval_days", "keep_previous", "grace", "selector"}`, each of which may be left out. Without
//! `interval_days` the interval follows the risk of a key: for every key, that makes three rules.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, AskIfAny, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::rotation::{answer, form};
use crate::admin::router::Shared;
use crate::admin::selector;
use crate::api::rotation::{EnableRotation, RotationRules};
use crate::control::ControlError;
use crate::domain::key::Risk;
use crate::domain::lifecycle::FieldFault;
use crate::domain::rotation::{RotationPlan, interval_days};
use crate::domain::selector::Selector;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "enableRotation",
        "Have keys rotate by themselves",
        "All of them, or those of a selector; replaces the rule of this selector. Without `interval_days` the interval follows the risk of a key.",
    )
    .body_if_any::<EnableRotation>(json!({"interval_days": 90, "keep_previous": true}))
    .answer::<RotationRules>(200, "All rules.", example::rules())
}

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
    let keep_previous = asked.keep_previous.unwrap_or(true);
    let mut plan = |days| form::plan(days, keep_previous, asked.grace.as_deref(), "", &mut faults);
    let wanted = match (asked.interval_days, selector) {
        (Some(days), selector) => vec![(selector, plan(days))],
        (None, Selector::All) => {
            let plan = plan(interval_days(Risk::Standard));
            let of_risk = |risk| RotationPlan {
                interval_days: interval_days(risk),
                ..plan
            };
            [Risk::High, Risk::Standard, Risk::Low]
                .map(|risk| (Selector::Risk(risk), of_risk(risk)))
                .into()
        }
        (None, Selector::Risk(risk)) => {
            vec![(Selector::Risk(risk), plan(interval_days(risk)))]
        }
        (None, selector) => vec![(selector, plan(interval_days(Risk::Standard)))],
    };
    if faults.is_empty() {
        Ok(wanted)
    } else {
        Err(faults)
    }
}
