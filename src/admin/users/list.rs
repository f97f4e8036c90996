//! `GET /admin/users?name=&limit=&cursor=`: owners by name; `name` is any part of it, any case.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::about::{About, example};
use crate::admin::ask::{PageAsk, Params};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::owners::Owner;
use crate::api::page::Page;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new("listOwners", "List owners", "By name.")
        .query::<String>(
            "name",
            "bill",
            "Those with this in their name, in any case.",
        )
        .paged()
        .answer::<Page<Owner>>(200, "A page of owners.", example::page(example::owner()))
}

/// Lists owners.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    mut params: Params,
) -> Result<Json<Page<Owner>>, Problem> {
    let name = params.text("name");
    let PageAsk { limit, after, tag } = params.page()?;
    params.finish()?;
    let owners = shared.owners.list(&caller, name.as_deref(), limit, after);
    let wire = |owner| Owner::from(&owner);
    Ok(Json(PageAsk::answer(tag, owners.await?, wire)))
}
