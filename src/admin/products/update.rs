//! `PATCH /admin/products/{product}`: changes a product, and with it at once what its keys may do.
//!
//! What is left out stays; what is given replaces the field whole. 409 for one of the configuration, and
//! for another name while keys have this one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::problem::{Code, Problem};
use crate::admin::products::{answer, form};
use crate::admin::router::Shared;
use crate::api::products::PatchProduct;
use crate::api::products::Product;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "changeProduct",
        "Change a product",
        "And with it at once what its keys may do. What is left out stays, what is given replaces the field whole.",
    )
    .if_match()
    .body::<PatchProduct>(json!({"rate_limits": [{"rate": "20/second"}]}))
    .answer::<Product>(200, "The product.", example::product())
    .tagged()
    .code(Code::Conflict)
}

/// Changes a product.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(wanted): Id<String>,
    headers: HeaderMap,
    _: NoQuery,
    Ask { body, .. }: Ask<PatchProduct>,
) -> Result<Response, Problem> {
    let if_match = etag::if_match(&headers)?;
    let (patch, faults) = form::patch(body);
    let changed = shared
        .products
        .change(&caller, &wanted, &patch, &faults, if_match.as_deref())
        .await?;
    Ok(answer(&changed))
}
