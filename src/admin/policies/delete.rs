//! `DELETE /admin/policies/{policy_id}`: takes a policy away; answers what it was.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::admin::about::{About, example};
use crate::admin::ask::{Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::policies::answer;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::policies::Policy;
use crate::domain::id::PolicyId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new("deletePolicy", "Take a policy away", "")
        .if_match()
        .answer::<Policy>(200, "What it was.", example::policy())
        .tagged()
}

/// Takes a policy away.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<PolicyId>,
    headers: HeaderMap,
    _: NoQuery,
) -> Result<Response, Problem> {
    let if_match = etag::if_match(&headers)?;
    let gone = shared.policies.delete(&caller, id, if_match.as_deref());
    Ok(answer(&gone.await?))
}
