//! `POST /admin/users/{user_id}/keys/disable?wait=&timeout=`: switches an owner off, with every key in one step.
//!
//! Protected keys too, and the admin tokens bound to the owner: all of them are refused when this is
//! answered. 200 when each of them is also written down as ended, 202 while the gate is still at it. The
//! owner gets no new keys until an admin lets it back in (`PATCH …/users/{user_id}` with `"disabled": false`).
//! `?wait=all&timeout=` waits for every gate of the roster to refuse them, and is 202 while one may not.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{AskIfAny, Id, Params};
use crate::admin::auth::By;
use crate::admin::keys::wait::Wait;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::owners::{DisableKeys, Owner, OwnerDisabled};
use crate::domain::id::OwnerId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "disableOwner",
        "Switch an owner off",
        "With every key in one step, protected ones too, and with the admin tokens bound to it: all of them are refused when this is answered.",
    )
    .waits()
    .body_if_any::<DisableKeys>(json!({"reason": "left the company"}))
    .answer::<OwnerDisabled>(200, "All of it is written down as ended.", example::owner_disabled(false))
    .answer::<OwnerDisabled>(202, "All of it is refused; the gate is still writing it down, or a gate that was waited for may not refuse it yet.", example::owner_disabled(true))
    .code(Code::Conflict)
}

/// Switches an owner off.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<OwnerId>,
    mut params: Params,
    AskIfAny(asked): AskIfAny<DisableKeys>,
) -> Result<(StatusCode, Json<OwnerDisabled>), Problem> {
    let wait = Wait::read(&mut params);
    params.finish()?;
    let (reason, audience) = (asked.body.reason, wait.audience());
    let done = shared.owners.switch_off(&caller, id, reason, audience);
    let done = done.await?;
    shared.sessions.end_of(id);
    let progress = done.value.progress;
    let (reached, revocation) = wait.revocation(&shared, &done).await;
    let status = if progress.is_done {
        reached
    } else {
        StatusCode::ACCEPTED
    };
    let body = OwnerDisabled {
        owner: Owner::from(&done.value.owner),
        revoked: progress.keys,
        tokens_ended: progress.tokens,
        under_way: !progress.is_done,
        revocation,
    };
    Ok((status, Json(body)))
}
