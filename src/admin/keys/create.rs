//! `POST /admin/keys`: makes a key. 201, with its secret this once.
//!
//! With an `Idempotency-Key` a repetition within 24 hours answers alike, with
//! `Idempotency-Replayed: true` and no secret, for that is gone: a lost one is replaced by rotating.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::keys::{form, idempotency, wire};
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::keys::{CreateKey, KeyCreated};
use crate::control::keys::{Created, NewKey};

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "createKey",
        "Make a key",
        "The secret is told this once. One of `owner_id` and `owner` is mandatory; an inline owner is found by type and name, or made.",
    )
    .idempotent()
    .body::<CreateKey>(json!({
        "name": "billing-worker",
        "owner": {"name": "Billing", "type": "team"},
        "scopes": ["orders:read"],
        "rate_limits": [{"rate": "100/minute", "burst": 20}],
    }))
    .answer::<KeyCreated>(201, "The key, and its secret.", example::key_created())
    .tagged()
    .located()
    .with(idempotency::REPLAYED_FIELD, "`true` where an earlier call is answered again, without the secret.")
    .codes(&[Code::OwnerDisabled, Code::Conflict, Code::DuplicateSecret])
    .makes("key_id", "/key/id")
}

/// Makes a key.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    headers: HeaderMap,
    _: NoQuery,
    Ask { body, digest }: Ask<CreateKey>,
) -> Result<Response, Problem> {
    let asked = NewKey {
        idempotency: idempotency::read(&caller, &headers, digest)?,
        ..form::create(body)
    };
    let made = shared.keys.create(&caller, &asked).await?;
    Ok(answer(&shared, made))
}

fn answer(shared: &Shared, made: Created) -> Response {
    let Created { view, secret } = made;
    let is_repetition = secret.is_none();
    let body = KeyCreated {
        key: wire(&view, shared.clock.now()),
        secret: secret.map(|secret| secret.reveal().to_owned()),
        previous: None,
        sink: None,
    };
    let mut response = (
        StatusCode::CREATED,
        etag::field(&view.tag()),
        [(LOCATION, format!("/admin/keys/{}", view.key.id))],
        Json(body),
    )
        .into_response();
    if is_repetition {
        idempotency::mark_replayed(&mut response);
    }
    response
}
