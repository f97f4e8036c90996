//! Calls about automatic rotation, one a file.

pub(crate) mod disable;
pub(crate) mod enable;
pub(in crate::admin) mod form;
pub(crate) mod list;

use axum::Json;

use crate::api::rotation::{RotationRules, Rule};
use crate::control::rotation::RuleView;

fn answer(views: &[RuleView]) -> Json<RotationRules> {
    let rules = views.iter().map(|view| Rule::new(&view.rule, view.due));
    Json(RotationRules {
        items: rules.collect(),
    })
}
