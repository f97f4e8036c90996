//! `POST /admin/keys/{key_id}/suspend`: pauses a key; its secrets are refused until it is resumed.
//!
//! Takes `{"reason": "…"}` or no body. Doing it twice changes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, AskIfAny, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::keys::answer;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::keys::Key;
use crate::api::keys::Reason;
use crate::control::keys::{Step, Terms};
use crate::domain::id::KeyId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "suspendKey",
        "Pause a key",
        "Its secrets are refused until it is resumed. Doing it twice changes nothing.",
    )
    .if_match()
    .body_if_any::<Reason>(json!({"reason": "odd traffic"}))
    .answer::<Key>(200, "The key.", example::key())
    .tagged()
    .codes(&[Code::KeyRevoked, Code::KeyExpired])
}

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
