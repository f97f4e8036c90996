//! `GET /admin/policies?limit=&cursor=`: policies, in the order of their ids.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::about::{About, example};
use crate::admin::ask::{PageAsk, Params};
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api;
use crate::api::page::Page;
use crate::domain;
use crate::domain::query::{Position, SortValue};

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new("listPolicies", "List policies", "")
        .paged()
        .answer::<Page<api::policies::Policy>>(
            200,
            "A page of policies.",
            example::page(example::policy()),
        )
}

/// Lists policies.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    mut params: Params,
) -> Result<Json<Page<api::policies::Policy>>, Problem> {
    let PageAsk { limit, after, tag } = params.page()?;
    params.finish()?;
    let mut policies = shared.policies.list().await?;
    if let Some(after) = after {
        policies.retain(|policy| policy.id.chars() > after.id.as_str());
    }
    let more = policies.len() > limit;
    policies.truncate(limit);
    let last = policies.last().filter(|_| more);
    let page = domain::query::Page {
        next: last.map(|policy| Position {
            value: SortValue::Number(0),
            id: policy.id.chars().to_owned(),
        }),
        items: policies,
    };
    let wire = |policy| api::policies::Policy::from(&policy);
    Ok(Json(PageAsk::answer(tag, page, wire)))
}
