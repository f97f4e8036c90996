//! `GET /admin/products/{product}`: one product, by id or name.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::admin::ask::{Id, NoQuery};
use crate::admin::problem::Problem;
use crate::admin::products::answer;
use crate::admin::router::Shared;

/// Tells of one product.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    Id(wanted): Id<String>,
    _: NoQuery,
) -> Result<Response, Problem> {
    Ok(answer(&shared.products.load(&wanted).await?))
}
