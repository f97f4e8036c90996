//! `DELETE /admin/products/{product}?reason=`: takes a product away. 409 while a key that is not revoked
//! names it, and for one of the configuration.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::HeaderMap;

use crate::admin::about::{About, example};
use crate::admin::ask::{Id, Params};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::problem::{Code, Problem};
use crate::admin::products::wire;
use crate::admin::router::Shared;
use crate::api::products::Product;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "deleteProduct",
        "Take a product away",
        "Not while a key that is not revoked names it.",
    )
    .if_match()
    .reason()
    .answer::<Product>(200, "What it was.", example::product())
    .code(Code::Conflict)
}

/// Takes a product away.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(wanted): Id<String>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Json<Product>, Problem> {
    let if_match = etag::if_match(&headers)?;
    let reason = params.text("reason");
    params.finish()?;
    let gone = shared
        .products
        .remove(&caller, &wanted, if_match.as_deref(), reason)
        .await?;
    Ok(Json(wire(&gone)))
}
