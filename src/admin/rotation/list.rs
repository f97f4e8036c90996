//! `GET /admin/keys/rotation`: the rules of automatic rotation, and how many keys of each are due.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::ask::NoQuery;
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::rotation::answer;
use crate::admin::router::Shared;
use crate::api::rotation::RotationRules;

/// Lists them, the widest first.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    _: NoQuery,
) -> Result<Json<RotationRules>, Problem> {
    Ok(answer(&shared.rotation.rules(&caller).await?))
}
