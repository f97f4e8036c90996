//! `GET /admin/products`: the products keys may be given, by name. Those of the configuration file have
//! `source: config` and are read-only here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::about::{About, example};
use crate::admin::ask::{PageAsk, Params};
use crate::admin::problem::Problem;
use crate::admin::products::wire;
use crate::admin::router::Shared;
use crate::api::page::Page;
use crate::api::products::Product;
use crate::domain;
use crate::domain::query::{Position, SortValue};

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new("listProducts", "List products", "By name. Those of the configuration file have `\"source\": \"config\"` and are read-only here.")
        .paged()
        .answer::<Page<Product>>(200, "A page of products.", example::page(example::product()))
}

/// Lists them by name.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    mut params: Params,
) -> Result<Json<Page<Product>>, Problem> {
    let PageAsk { limit, after, tag } = params.page()?;
    params.finish()?;
    let mut products = shared.products.list().await?;
    if let Some(after) = after {
        products.retain(|view| view.product().name > after.id);
    }
    let more = products.len() > limit;
    products.truncate(limit);
    let last = products.last().filter(|_| more);
    let page = domain::query::Page {
        next: last.map(|view| Position {
            value: SortValue::Number(0),
            id: view.product().name.clone(),
        }),
        items: products,
    };
    Ok(Json(PageAsk::answer(tag, page, |view| wire(&view))))
}
