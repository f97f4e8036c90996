//! `POST /admin/users/{user_id}/keys/disable`: switches an owner off, with every key in one step.
//!
//! Protected keys too, and the admin tokens bound to the owner: all of them are refused when this is
//! answered. 200 when each of them is also written down as ended, 202 while the gate is still at it. The
//! owner gets no new keys until an admin lets it back in (`PATCH …/users/{user_id}` with `"disabled": false`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::admin::ask::{AskIfAny, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::keys::revoke::revocation;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::owners::{DisableKeys, Owner, OwnerDisabled};
use crate::domain::id::OwnerId;

/// Switches an owner off.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<OwnerId>,
    _: NoQuery,
    AskIfAny(asked): AskIfAny<DisableKeys>,
) -> Result<(StatusCode, Json<OwnerDisabled>), Problem> {
    let reason = asked.body.reason;
    let done = shared.owners.switch_off(&caller, id, reason).await?;
    shared.sessions.end_of(id);
    let progress = done.value.progress;
    let status = if progress.is_done {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let body = OwnerDisabled {
        owner: Owner::from(&done.value.owner),
        revoked: progress.keys,
        tokens_ended: progress.tokens,
        under_way: !progress.is_done,
        revocation: revocation(&shared, done.revision),
    };
    Ok((status, Json(body)))
}
