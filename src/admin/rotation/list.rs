//! `GET /admin/keys/rotation`: the rules of automatic rotation, and how many keys of each are due.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::about::{About, example};
use crate::admin::ask::NoQuery;
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::rotation::answer;
use crate::admin::router::Shared;
use crate::api::rotation::RotationRules;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "listRotationRules",
        "List the rules of automatic rotation",
        "The widest first; where several cover a key, the narrowest rules it.",
    )
    .answer::<RotationRules>(
        200,
        "The rules, and how many keys of each are due.",
        example::rules(),
    )
}

/// Lists them, the widest first.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    _: NoQuery,
) -> Result<Json<RotationRules>, Problem> {
    Ok(answer(&shared.rotation.rules(&caller).await?))
}
