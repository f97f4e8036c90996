//! Calls about policies, one a file.

pub(crate) mod create;
pub(crate) mod delete;
mod form;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod preview;
pub(crate) mod update;

use axum::Json;
use axum::response::{IntoResponse, Response};

use crate::admin::etag;
use crate::api;
use crate::control::policies::tag;
use crate::domain::policy::Policy;

/// One policy, with its tag.
fn answer(policy: &Policy) -> Response {
    let body = Json(api::policies::Policy::from(policy));
    (etag::field(&tag(policy)), body).into_response()
}
