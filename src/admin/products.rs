//! `GET /admin/products`: the products keys may be given. They come from the configuration file, and are
//! read-only here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::ask::{PageAsk, Params};
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::page::Page;
use crate::api::products::Product;
use crate::domain;
use crate::domain::query::{Position, SortValue};

/// Lists them by name.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    mut params: Params,
) -> Result<Json<Page<Product>>, Problem> {
    let PageAsk { limit, after, tag } = params.page()?;
    params.finish()?;
    let mut products: Vec<_> = shared.keys.products().iter().collect();
    products.sort_unstable_by_key(|product| &product.name);
    if let Some(after) = after {
        products.retain(|product| product.name > after.id);
    }
    let more = products.len() > limit;
    products.truncate(limit);
    let last = products.last().filter(|_| more);
    let page = domain::query::Page {
        next: last.map(|product| Position {
            value: SortValue::Number(0),
            id: product.name.clone(),
        }),
        items: products,
    };
    Ok(Json(PageAsk::answer(tag, page, Product::from)))
}
