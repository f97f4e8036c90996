//! `PATCH /admin/users/{user_id}`: gives an owner another name.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::ask::{Ask, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::owners::{Owner, PatchOwner};
use crate::domain::id::OwnerId;

/// Renames an owner; without a name there is nothing to do.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<OwnerId>,
    _: NoQuery,
    Ask { body, .. }: Ask<PatchOwner>,
) -> Result<Json<Owner>, Problem> {
    let owner = match body.name {
        Some(name) => shared.owners.rename(&caller, id, &name).await?,
        None => shared.owners.load(&caller, id).await?,
    };
    Ok(Json(Owner::from(&owner)))
}
