//! `GET /openapi.json`: this API, for programs. It tells no secret, and needs no token.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::json;

use crate::admin::about::About;
use crate::admin::about::document::document;
use crate::admin::ask::NoQuery;
use crate::api::form;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "openapi",
        "This document",
        "OpenAPI 3.1; `portcullis openapi` prints the same.",
    )
    .answer::<form::Metadata>(
        200,
        "The document.",
        json!({"openapi": "3.1.1", "info": {"title": "Portcullis admin API"}}),
    )
}

/// Tells what there is to call.
pub(crate) async fn call(_: NoQuery) -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// It is the same for as long as the process runs.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());
