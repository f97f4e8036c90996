//! How a product is told of.

use axum::Json;
use axum::response::{IntoResponse, Response};

use crate::admin::etag;
use crate::api::products::Product;
use crate::control::products::ProductView;

/// A product in its wire form.
pub(super) fn wire(view: &ProductView) -> Product {
    match view {
        ProductView::Configured(product) => Product::configured(product),
        ProductView::Kept(kept) => Product::from(kept),
    }
}

/// One product, with its tag.
pub(super) fn answer(view: &ProductView) -> Response {
    (etag::field(&view.tag()), Json(wire(view))).into_response()
}
