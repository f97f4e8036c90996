//! `GET /admin/policies/{policy_id}`: one policy.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::admin::about::{About, example};
use crate::admin::ask::{Id, NoQuery};
use crate::admin::policies::answer;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::policies::Policy;
use crate::domain::id::PolicyId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new("getPolicy", "Show a policy", "")
        .answer::<Policy>(200, "The policy.", example::policy())
        .tagged()
}

/// Tells of one policy.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    Id(id): Id<PolicyId>,
    _: NoQuery,
) -> Result<Response, Problem> {
    Ok(answer(&shared.policies.load(id).await?))
}
