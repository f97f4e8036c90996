//! `PATCH /admin/keys/{key_id}`: changes a key, never its secret.
//!
//! What is left out stays; what is given replaces the field whole.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::keys::{answer, form};
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::keys::Key;
use crate::api::keys::PatchKey;
use crate::control::keys::Terms;
use crate::domain::id::KeyId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "changeKey",
        "Change a key",
        "Never its secret. What is left out stays, what is given replaces the field whole, and `null` empties what may be empty.",
    )
    .if_match()
    .body::<PatchKey>(json!({"description": "nightly export", "quotas": [{"limit": 1000, "per": "day"}]}))
    .answer::<Key>(200, "The key.", example::key())
    .tagged()
    .codes(&[Code::KeyRevoked, Code::KeyExpired, Code::Conflict])
}

/// Changes a key.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<KeyId>,
    headers: HeaderMap,
    _: NoQuery,
    Ask { body, .. }: Ask<PatchKey>,
) -> Result<Response, Problem> {
    let terms = Terms {
        if_match: etag::if_match(&headers)?,
        ..Terms::default()
    };
    let asked = form::patch(body);
    let view = shared.keys.change(&caller, id, &asked, terms).await?;
    Ok(answer(&view, shared.clock.now()))
}
