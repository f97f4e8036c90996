//! `DELETE /admin/users/{user_id}?reason=`: erases the person and keeps the id. 409 while a key lives.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::about::{About, example};
use crate::admin::ask::{Id, Params};
use crate::admin::auth::By;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::owners::Owner;
use crate::domain::id::OwnerId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "eraseOwner",
        "Erase a person",
        "Its name and what else is personal is taken out of the owner and the audit log; the id stays. Not while one of its keys lives.",
    )
    .reason()
    .answer::<Owner>(200, "The owner, as it is now.", example::owner())
    .code(Code::Conflict)
}

/// Erases an owner.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<OwnerId>,
    mut params: Params,
) -> Result<Json<Owner>, Problem> {
    let reason = params.text("reason");
    params.finish()?;
    let owner = shared.owners.erase(&caller, id, reason).await?;
    shared.sessions.end_of(id);
    Ok(Json(Owner::from(&owner)))
}
