//! `DELETE /admin/keys/{key_id}/versions/{number}?reason=&wait=&timeout=`: ends one version of a key, the
//! old one after a migration or a leaked one; 409 for the current one, which is ended by rotating.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::admin::about::{About, example};
use crate::admin::ask::{IdAndNumber, Params};
use crate::admin::auth::By;
use crate::admin::keys::revoke::{answer, terms};
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::keys::Revoked;
use crate::domain::id::KeyId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "revokeVersion",
        "Revoke a version of a key",
        "The old one after a migration, or a leaked one. The current one is ended by rotating.",
    )
    .if_match()
    .reason()
    .waits()
    .answer::<Revoked>(
        200,
        "It is revoked, as far as was asked for.",
        example::revoked(),
    )
    .tagged()
    .answer::<Revoked>(
        202,
        "It is revoked here; the store, or a gate that was waited for, may not have it yet.",
        example::revoked(),
    )
    .tagged()
    .codes(&[Code::KeyRevoked, Code::Protected, Code::Conflict])
}

/// Revokes a version.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    IdAndNumber(id, number): IdAndNumber<KeyId>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Problem> {
    let (terms, wait) = terms(&headers, params)?;
    let done = shared.keys.revoke_version(&caller, id, number, terms);
    Ok(answer(&shared, &done.await?, wait).await)
}
