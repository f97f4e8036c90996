//! `POST /admin/keys/{key_id}/rotate`: gives a key a new secret, shown this once; the old one works for a
//! grace of `0s` to `72h`, a day if nothing is said.
//!
//! All else about the key stays. With an `Idempotency-Key` a repetition rotates no second time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, AskIfAny, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::keys::{form, idempotency, wire};
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::keys::{KeyCreated, Previous, RotateKey, SinkTold};
use crate::control::keys::{Rotated, Rotation, Terms};
use crate::domain::id::KeyId;
use crate::domain::key::KeyVersion;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "rotateKey",
        "Rotate a key",
        "Gives it a new secret, told this once; the old one works for a grace of `0s` to `72h`, a day if nothing is said. All else about the key stays.",
    )
    .if_match()
    .idempotent()
    .body_if_any::<RotateKey>(json!({"grace": "24h", "reason": "regular"}))
    .answer::<KeyCreated>(200, "The key, its new secret, and the version before.", example::key_rotated())
    .tagged()
    .with(idempotency::REPLAYED_FIELD, "`true` where an earlier call is answered again, without the secret.")
    .codes(&[Code::KeyRevoked, Code::KeyExpired, Code::TooManyVersions, Code::Conflict, Code::OwnerDisabled])
}

/// Rotates a key.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<KeyId>,
    headers: HeaderMap,
    _: NoQuery,
    AskIfAny(Ask { body, digest }): AskIfAny<RotateKey>,
) -> Result<Response, Problem> {
    let asked = Rotation {
        idempotency: idempotency::read(&caller, &headers, digest)?,
        ..form::rotation(&body)
    };
    let terms = Terms {
        if_match: etag::if_match(&headers)?,
        reason: body.reason,
        ..Terms::default()
    };
    let rotated = shared.keys.rotate(&caller, id, &asked, terms).await?;
    Ok(answer(&shared, rotated))
}

/// A version that was replaced, in its wire form.
pub(in crate::admin) fn replaced(version: &KeyVersion) -> Previous {
    Previous {
        number: version.number,
        fingerprint: version.fingerprint.to_string(),
        retires_at: version.stops_at().map(Into::into),
    }
}

fn answer(shared: &Shared, rotated: Rotated) -> Response {
    let Rotated {
        view,
        secret,
        previous,
        handed,
    } = rotated;
    let is_repetition = secret.is_none();
    let body = KeyCreated {
        key: wire(&view, shared.clock.now()),
        secret: secret.map(|secret| secret.reveal().to_owned()),
        previous: previous.as_ref().map(replaced),
        sink: handed.map(|handed| SinkTold {
            name: handed.sink.to_string(),
            delivered: handed.is_there,
        }),
    };
    let mut response = (etag::field(&view.tag()), Json(body)).into_response();
    if is_repetition {
        idempotency::mark_replayed(&mut response);
    }
    response
}
