//! `DELETE /admin/keys/{key_id}?reason=&wait=&timeout=`: ends a key for ever.
//!
//! When it answers, no request with the key passes this gate any more, and the answer says where else
//! that is so. `wait=all` waits up to `timeout` for every gate of the roster: 200 when all of them refuse the
//! key, 202 with those that may not yet. 202 also while the store is away: then this gate alone has it, on its
//! disk, and the store is told when it is back.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;

use crate::admin::about::{About, example};
use crate::admin::ask::{Id, Params};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::keys::wait::Wait;
use crate::admin::keys::wire;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::keys::Revoked;
use crate::control::keys::{KeyView, Step, Terms};
use crate::control::writer::Done;
use crate::domain::id::KeyId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "revokeKey",
        "Revoke a key",
        "For ever. When it is answered no request with the key passes this gate any more, and the answer says where else that is so.",
    )
    .if_match()
    .reason()
    .waits()
    .answer::<Revoked>(200, "It is revoked, as far as was asked for.", example::revoked())
    .tagged()
    .answer::<Revoked>(202, "It is revoked here; the store, or a gate that was waited for, may not have it yet.", example::revoked())
    .tagged()
    .codes(&[Code::Protected, Code::Conflict])
}

/// Revokes a key.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<KeyId>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Problem> {
    let (terms, wait) = terms(&headers, params)?;
    let done = shared.keys.take(&caller, id, Step::Revoke, terms).await?;
    Ok(answer(&shared, &done, wait).await)
}

/// What a revocation is asked with, and how long its answer may take.
pub(super) fn terms(headers: &HeaderMap, mut params: Params) -> Result<(Terms, Wait), Problem> {
    let if_match = etag::if_match(headers)?;
    let reason = params.text("reason");
    let wait = Wait::read(&mut params);
    params.finish()?;
    let terms = Terms {
        if_match,
        reason,
        audience: wait.audience(),
    };
    Ok((terms, wait))
}

/// The key, and where its secrets are refused.
pub(super) async fn answer(shared: &Shared, done: &Done<KeyView>, wait: Wait) -> Response {
    let (status, revocation) = wait.revocation(shared, done).await;
    let body = Revoked {
        key: wire(&done.value, shared.clock.now()),
        revocation,
    };
    (status, etag::field(&done.value.tag()), Json(body)).into_response()
}
