//! `GET /admin/products/{product}`: one product, by id or name.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::admin::about::{About, example};
use crate::admin::ask::{Id, NoQuery};
use crate::admin::problem::Problem;
use crate::admin::products::answer;
use crate::admin::router::Shared;
use crate::api::products::Product;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new("getProduct", "Show a product", "By its id or its name.")
        .answer::<Product>(200, "The product.", example::product())
        .tagged()
}

/// Tells of one product.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    Id(wanted): Id<String>,
    _: NoQuery,
) -> Result<Response, Problem> {
    Ok(answer(&shared.products.load(&wanted).await?))
}
