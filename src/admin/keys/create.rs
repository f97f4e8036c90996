//! `POST /admin/keys`: makes a key. 201, with its secret this once.
//!
//! With an `Idempotency-Key` a repetition within 24 hours answers alike, with
//! `Idempotency-Replayed: true` and no secret, for that is gone: a lost one is replaced by rotating.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use crate::admin::ask::{Ask, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::keys::form::{self, Read};
use crate::admin::keys::wire;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::keys::{CreateKey, KeyCreated};
use crate::control::caller::Caller;
use crate::control::keys::{Created, Idempotency, NewKey};

/// Makes a key.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    headers: HeaderMap,
    _: NoQuery,
    Ask { mut body, digest }: Ask<CreateKey>,
) -> Result<Response, Problem> {
    let idempotency = idempotency(&caller, &headers, digest)?;
    let env = body.env.take();
    let Read {
        value: (owner, settings),
        faults,
    } = form::create(body);
    let asked = NewKey {
        owner,
        env,
        settings,
        faults,
        idempotency,
    };
    let made = shared.keys.create(&caller, &asked).await?;
    Ok(answer(&shared, made))
}

fn answer(shared: &Shared, made: Created) -> Response {
    let Created { view, secret } = made;
    let is_replayed = secret.is_none();
    let body = KeyCreated {
        key: wire(&view, shared.clock.now()),
        secret: secret.map(|secret| secret.reveal().to_owned()),
        previous: None,
    };
    let mut response = (
        StatusCode::CREATED,
        etag::field(&view.tag()),
        [(LOCATION, format!("/admin/keys/{}", view.key.id))],
        Json(body),
    )
        .into_response();
    if is_replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// What tells a repetition of this call from another one, where the caller wants that.
fn idempotency(
    caller: &Caller,
    headers: &HeaderMap,
    request: [u8; 32],
) -> Result<Option<Idempotency>, Problem> {
    let mut fields = headers.get_all(IDEMPOTENCY_KEY).iter();
    let key = match (fields.next(), fields.next()) {
        (None, _) => return Ok(None),
        (Some(key), None) => key.as_bytes(),
        (Some(_), Some(_)) => b"",
    };
    if !(1..=255).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        return Err(Problem::new(
            Code::BadRequest,
            "an Idempotency-Key is given once and has 1 to 255 visible ASCII characters",
        ));
    }
    // The caller's id has no control characters, so the zero keeps the two apart.
    let digest = Sha256::new()
        .chain_update(&caller.actor.id)
        .chain_update([0])
        .chain_update(key)
        .finalize();
    Ok(Some(Idempotency {
        digest: digest.into(),
        request,
    }))
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
