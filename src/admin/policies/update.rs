//! `PATCH /admin/policies/{policy_id}`: changes a policy. What is left out stays; `null` takes a term away.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::policies::{answer, form};
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::policies::PatchPolicy;
use crate::api::policies::Policy;
use crate::control::ControlError;
use crate::domain::id::PolicyId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "changePolicy",
        "Change a policy",
        "What is left out stays; `null` takes a term away.",
    )
    .if_match()
    .body::<PatchPolicy>(json!({"stale_after": "45d", "max_age": null}))
    .answer::<Policy>(200, "The policy.", example::policy())
    .tagged()
    .code(Code::Conflict)
}

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
