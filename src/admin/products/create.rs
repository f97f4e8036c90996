//! `POST /admin/products`: makes a product. 409 if there is one of its name, here or in the
//! configuration.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, NoQuery};
use crate::admin::auth::By;
use crate::admin::etag;
use crate::admin::problem::{Code, Problem};
use crate::admin::products::{form, wire};
use crate::admin::router::Shared;
use crate::api::products::CreateProduct;
use crate::api::products::Product;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new("createProduct", "Make a product", "All but the name has a default.")
        .body::<CreateProduct>(json!({"name": "starter", "scopes": ["orders:read"], "rate_limits": [{"rate": "10/second", "burst": 20}]}))
        .answer::<Product>(201, "The product.", example::product())
        .tagged()
        .located()
        .code(Code::Conflict)
    .makes("product", "/name")
}

/// Makes a product.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    _: NoQuery,
    Ask { body, .. }: Ask<CreateProduct>,
) -> Result<Response, Problem> {
    let (asked, faults) = form::create(body);
    let made = shared.products.create(&caller, &asked, &faults).await?;
    let place = format!("/admin/products/{}", made.product().name);
    Ok((
        StatusCode::CREATED,
        etag::field(&made.tag()),
        [(LOCATION, place)],
        Json(wire(&made)),
    )
        .into_response())
}
