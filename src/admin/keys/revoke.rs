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
use crate::control::keys::{Step, Terms};
use crate::domain::change::Revision;
use crate::domain::id::KeyId;

/// Revokes a key.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<KeyId>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Problem> {
    let terms = Terms {
        if_match: etag::if_match(&headers)?,
        reason: params.text("reason"),
    };
    params.read("wait", "`all`", |text| (text == "all").then_some(()));
    params.read(
        "timeout",
        "a time like `500ms` or `5s`, at most 60s",
        timeout,
    );
    params.finish()?;
    let done = shared.keys.take(&caller, id, Step::Revoke, terms).await?;
    let body = Revoked {
        key: wire(&done.value, shared.clock.now()),
        revocation: revocation(&shared, done.revision),
    };
    Ok((etag::field(&done.value.tag()), Json(body)).into_response())
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

fn timeout(text: &str) -> Option<Duration> {
    let (number, unit_ms) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s')?, 1_000),
    };
    let span = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(unit_ms)?);
    (span <= Duration::from_secs(60)).then_some(span)
}
