//! `PATCH /admin/keys/{key_id}`: changes a key, never its secret.
//!
//! What is left out stays; what is given replaces the field whole.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::admin::ask::{Ask, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::keys::{answer, form};
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::keys::PatchKey;
use crate::control::keys::Terms;
use crate::domain::id::KeyId;

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
