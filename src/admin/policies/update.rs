//! `PATCH /admin/policies/{policy_id}`: changes a policy. What is left out stays; `null` takes a term away.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::admin::ask::{Ask, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::policies::{answer, form};
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::policies::PatchPolicy;
use crate::control::ControlError;
use crate::domain::id::PolicyId;

/// Changes a policy.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<PolicyId>,
    headers: HeaderMap,
    _: NoQuery,
    Ask { body, .. }: Ask<PatchPolicy>,
) -> Result<Response, Problem> {
    let if_match = etag::if_match(&headers)?;
    let edit = form::patch(body).map_err(ControlError::Invalid)?;
    let policies = &shared.policies;
    let changed = policies.change(&caller, id, if_match.as_deref(), |draft| {
        edit.clone().apply(draft)
    });
    Ok(answer(&changed.await?))
}
