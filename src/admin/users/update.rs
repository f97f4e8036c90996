//! `PATCH /admin/users/{user_id}`: gives an owner another name, or lets a disabled one have keys again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::ask::{Ask, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::owners::{Owner, PatchOwner};
use crate::control::ControlError;
use crate::domain::id::OwnerId;

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
    let mut owner = shared.owners.load(&caller, id).await?;
    if body.disabled == Some(false) {
        owner = shared.owners.let_back_in(&caller, id).await?;
    }
    if let Some(name) = body.name {
        owner = shared.owners.rename(&caller, id, &name).await?;
    }
    Ok(Json(Owner::from(&owner)))
}
