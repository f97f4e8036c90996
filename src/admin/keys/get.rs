//! `GET /admin/keys/{key_id}`: one key with all its versions, ended ones too.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::admin::about::{About, example};
use crate::admin::ask::{Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::keys::answer;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::keys::Key;
use crate::domain::id::KeyId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "getKey",
        "Show a key",
        "With all its versions, ended ones too.",
    )
    .answer::<Key>(200, "The key.", example::key())
    .tagged()
}

/// Tells of one key.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<KeyId>,
    _: NoQuery,
) -> Result<Response, Problem> {
    let view = shared.keys.load(&caller, id).await?;
    Ok(answer(&view, shared.clock.now()))
}
