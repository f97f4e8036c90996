//! `POST /admin/keys/rotation/disable`: keys rotate by themselves no more.
//!
//! Takes `{"selector": …}` for the one rule of that selector, or no body for all rules. Doing it twice
//! changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, AskIfAny, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::rotation::answer;
use crate::admin::router::Shared;
use crate::admin::selector;
use crate::api::rotation::{DisableRotation, RotationRules};
use crate::control::ControlError;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "disableRotation",
        "Have keys rotate by themselves no more",
        "Takes the rule of a selector away; without a body, all of them.",
    )
    .body_if_any::<DisableRotation>(json!({"selector": {"label": "team=billing"}}))
    .answer::<RotationRules>(200, "The rules that are left.", example::rules())
}

/// Takes the rule away.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    _: NoQuery,
    AskIfAny(Ask { body: asked, .. }): AskIfAny<DisableRotation>,
) -> Result<Json<RotationRules>, Problem> {
    let mut faults = Vec::new();
    let selector = asked.selector;
    let selector = selector.map(|it| selector::read(Some(it), "/selector", &mut faults));
    if !faults.is_empty() {
        return Err(ControlError::Invalid(faults).into());
    }
    let rules = shared.rotation.disable(&caller, selector.as_ref()).await?;
    Ok(answer(&rules))
}
