//! `POST /admin/users`: makes an owner. 409 if one of its type has the name.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::owners::{CreateOwner, Owner};
use crate::control::ControlError;
use crate::domain::owner::OwnerKind;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "createOwner",
        "Make an owner",
        "A user, a team or a system.",
    )
    .body::<CreateOwner>(json!({"name": "Billing", "type": "team"}))
    .answer::<Owner>(201, "The owner.", example::owner())
    .located()
    .code(Code::Conflict)
    .makes("user_id", "/id")
}

/// Makes an owner.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    _: NoQuery,
    Ask { body, .. }: Ask<CreateOwner>,
) -> Result<Response, Problem> {
    let Some(kind) = OwnerKind::from_word(&body.kind) else {
        let detail = "`user`, `team` or `system`";
        return Err(ControlError::field("/type", "unknown_word", detail).into());
    };
    let owner = shared.owners.create(&caller, kind, &body.name).await?;
    let place = format!("/admin/users/{}", owner.id);
    let body = Json(Owner::from(&owner));
    Ok((StatusCode::CREATED, [(LOCATION, place)], body).into_response())
}
