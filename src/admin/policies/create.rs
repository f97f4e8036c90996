//! `POST /admin/policies`: makes a policy. 409 if there is one of this name.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, NoQuery};
use crate::admin::auth::By;
use crate::admin::policies::{answer, form};
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::policies::CreatePolicy;
use crate::api::policies::Policy;
use crate::control::ControlError;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new("createPolicy", "Make a policy", "All but the name has a default.")
        .body::<CreatePolicy>(json!({"name": "house rules", "require_expiry": true, "max_age": "365d", "revoke_unused_after": "180d"}))
        .answer::<Policy>(201, "The policy.", example::policy())
        .tagged()
        .located()
        .code(Code::Conflict)
    .makes("policy_id", "/id")
}

/// Makes a policy.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    _: NoQuery,
    Ask { body, .. }: Ask<CreatePolicy>,
) -> Result<Response, Problem> {
    let wanted = form::create(body, "").map_err(ControlError::Invalid)?;
    let policy = shared.policies.create(&caller, &wanted).await?;
    let place = format!("/admin/policies/{}", policy.id);
    Ok((StatusCode::CREATED, [(LOCATION, place)], answer(&policy)).into_response())
}
