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

use crate::admin::ask::{Ask, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::keys::{form, idempotency, wire};
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::keys::{CreateKey, KeyCreated};
use crate::control::keys::{Created, NewKey};

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
