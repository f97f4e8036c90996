//! `POST /admin/policies`: makes a policy. 409 if there is one of this name.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;

use crate::admin::ask::{Ask, NoQuery};
use crate::admin::auth::By;
use crate::admin::policies::{answer, form};
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::policies::CreatePolicy;
use crate::control::ControlError;

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
