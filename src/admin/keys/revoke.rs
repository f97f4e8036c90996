//! `DELETE /admin/keys/{key_id}?reason=&wait=&timeout=`: ends a key for ever.
//!
//! When it answers, no request with the key passes this gate any more, and the answer says where else
//! that is so. 202 while the store is away: then this gate alone has it, on its disk, and the store is told
//! when it is back. `wait=all` waits up to `timeout` for every gate; one gate has nobody to wait for.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use crate::admin::ask::{Id, Params};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::keys::wire;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::keys::{Revocation, Revoked};
use crate::control::keys::{KeyView, Step, Terms};
use crate::control::writer::Done;
use crate::domain::change::Revision;
use crate::domain::id::KeyId;
use crate::domain::span::Span;

/// Revokes a key.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<KeyId>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Problem> {
    let terms = terms(&headers, params)?;
    let done = shared.keys.take(&caller, id, Step::Revoke, terms).await?;
    Ok(answer(&shared, &done))
}

/// What a revocation is asked with. One gate has nobody to wait for, so how long is only read.
pub(super) fn terms(headers: &HeaderMap, mut params: Params) -> Result<Terms, Problem> {
    let terms = Terms {
        if_match: etag::if_match(headers)?,
        reason: params.text("reason"),
    };
    params.read("wait", "`all`", |text| (text == "all").then_some(()));
    params.read("timeout", TIMEOUT, |text| {
        let Span(wait) = text.parse().ok()?;
        (wait <= TIMEOUT_MAX).then_some(())
    });
    params.finish()?;
    Ok(terms)
}

/// The key, and where its secrets are refused.
pub(super) fn answer(shared: &Shared, done: &Done<KeyView>) -> Response {
    let body = Revoked {
        key: wire(&done.value, shared.clock.now()),
        revocation: revocation(shared, done.revision),
    };
    let status = status(done.revision);
    (status, etag::field(&done.value.tag()), Json(body)).into_response()
}

/// 202 while only this gate has it, the store being away.
const fn status(revision: Option<Revision>) -> StatusCode {
    match revision {
        Some(_) => StatusCode::OK,
        None => StatusCode::ACCEPTED,
    }
}

/// How far a revocation has come that landed at `revision`, or is on this gate's disk alone.
pub(in crate::admin) fn revocation(shared: &Shared, revision: Option<Revision>) -> Revocation {
    let node = shared.gate.node().to_owned();
    // Every gate has what has ended on its disk, before it says so.
    let mut durable_on = vec![node.clone()];
    if revision.is_some() {
        durable_on.insert(0, "store".to_owned());
    }
    Revocation {
        revision: revision.map(|revision| revision.0),
        durable_on,
        applied_on: vec![node],
        pending: Vec::new(),
    }
}

const TIMEOUT: &str = "a time like `500ms` or `5s`, at most 60s";
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
