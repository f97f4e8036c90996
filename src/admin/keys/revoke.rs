//! `DELETE /admin/keys/{key_id}?reason=&wait=&timeout=`: ends a key for ever.
//!
//! When it answers, no request with the key passes this gate any more, and the answer says where else
//! that is so. `wait=all` waits up to `timeout` for every gate; one gate has nobody to wait for.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;

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
    (etag::field(&done.value.tag()), Json(body)).into_response()
}

/// How far a revocation that landed at `revision` has come.
pub(in crate::admin) fn revocation(shared: &Shared, revision: Revision) -> Revocation {
    let node = shared.gate.node().to_owned();
    let mut durable_on = vec!["store".to_owned()];
    if shared.keys.store_kind() == "embedded" {
        durable_on.push(node.clone());
    }
    Revocation {
        revision: Some(revision.0),
        durable_on,
        applied_on: vec![node],
        pending: Vec::new(),
    }
}

const TIMEOUT: &str = "a time like `500ms` or `5s`, at most 60s";
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
