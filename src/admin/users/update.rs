//! `PATCH /admin/users/{user_id}`: gives an owner another name, or lets a disabled one have keys again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::owners::{Owner, PatchOwner};
use crate::control::ControlError;
use crate::domain::id::OwnerId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "changeOwner",
        "Change an owner",
        "Gives it another name, or lets one that was switched off have keys again (`\"disabled\": false`, role `admin`).",
    )
    .body::<PatchOwner>(json!({"name": "Billing and tax"}))
    .answer::<Owner>(200, "The owner.", example::owner())
    .code(Code::Conflict)
}

/// Changes an owner; what is left out stays.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<OwnerId>,
    _: NoQuery,
    Ask { body, .. }: Ask<PatchOwner>,
) -> Result<Json<Owner>, Problem> {
    if body.disabled == Some(true) {
        let detail = "an owner is disabled with all its keys, by POST …/keys/disable";
        return Err(ControlError::field("/disabled", "unsupported", detail).into());
    }
    let lets_back_in = body.disabled == Some(false);
    let name = body.name.as_deref();
    let update = shared.owners.update(&caller, id, name, lets_back_in);
    let owner = update.await?;
    Ok(Json(Owner::from(&owner)))
}
