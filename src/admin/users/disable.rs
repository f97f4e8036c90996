//! `POST /admin/users/{user_id}/keys/disable`: revokes every key of an owner in one step.
//!
//! Protected keys too, and the admin tokens bound to the owner end. It gets no new keys until an admin
//! lets it back in (`PATCH …/users/{user_id}` with `"disabled": false`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

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
) -> Result<Json<OwnerDisabled>, Problem> {
    let reason = asked.body.reason;
    let done = shared.owners.switch_off(&caller, id, reason).await?;
    Ok(Json(OwnerDisabled {
        owner: Owner::from(&done.value.owner),
        revoked: done.value.keys,
        tokens_ended: done.value.tokens,
        revocation: revocation(&shared, done.revision),
    }))
}
