//! `POST /admin/keys/{key_id}/suspend`: pauses a key; its secrets are refused until it is resumed.
//!
//! Takes `{"reason": "…"}` or no body. Doing it twice changes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::admin::ask::{Ask, AskIfAny, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::keys::answer;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::keys::Reason;
use crate::control::keys::{Step, Terms};
use crate::domain::id::KeyId;

/// Pauses a key.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<KeyId>,
    headers: HeaderMap,
    _: NoQuery,
    AskIfAny(Ask { body, .. }): AskIfAny<Reason>,
) -> Result<Response, Problem> {
    let terms = Terms {
        if_match: etag::if_match(&headers)?,
        reason: body.reason,
        ..Terms::default()
    };
    let done = shared.keys.take(&caller, id, Step::Suspend, terms).await?;
    Ok(answer(&done.value, shared.clock.now()))
}
