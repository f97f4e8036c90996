//! `GET /admin/users/{user_id}`: one owner.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::about::{About, example};
use crate::admin::ask::{Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::owners::Owner;
use crate::domain::id::OwnerId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new("getOwner", "Show an owner", "").answer::<Owner>(200, "The owner.", example::owner())
}

/// Tells of one owner.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<OwnerId>,
    _: NoQuery,
) -> Result<Json<Owner>, Problem> {
    let owner = shared.owners.load(&caller, id).await?;
    Ok(Json(Owner::from(&owner)))
}
