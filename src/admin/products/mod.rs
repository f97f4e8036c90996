//! Calls about products, one a file. Those of the configuration file are read-only here.

pub(crate) mod create;
mod form;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod update;

use axum::Json;
use axum::response::{IntoResponse, Response};

use crate::admin::etag;
use crate::api::products::Product;
use crate::control::products::ProductView;

/// A product in its wire form.
fn wire(view: &ProductView) -> Product {
    match view {
        ProductView::Configured(product) => Product::configured(product),
        ProductView::Kept(kept) => Product::from(kept),
    }
}

/// One product, with its tag.
fn answer(view: &ProductView) -> Response {
    (etag::field(&view.tag()), Json(wire(view))).into_response()
}
