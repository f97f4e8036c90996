//! `Idempotency-Key`: a call that is repeated does nothing a second time.
//!
//! A repetition within 24 hours answers alike, with `Idempotency-Replayed: true` and no secret, for that
//! is gone: a lost one is replaced by rotating.

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::admin::problem::{Code, Problem};
use crate::control::caller::Caller;
use crate::control::keys::Idempotency;

/// What tells a repetition of this call from another one, where the caller wants that.
///
/// # Errors
/// 400 for what is no idempotency key.
pub(super) fn read(
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

/// Says that the answer is that of an earlier call.
pub(super) fn mark_replayed(response: &mut Response) {
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
}

/// The field's name, as people write it.
pub(super) const REPLAYED_FIELD: &str = "Idempotency-Replayed";

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
