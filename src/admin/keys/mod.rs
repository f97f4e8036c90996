//! Calls about keys, one a file.

pub(crate) mod create;
pub(in crate::admin) mod form;
pub(crate) mod get;
mod idempotency;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod resume;
pub(crate) mod revoke;
pub(crate) mod revoke_version;
pub(crate) mod rotate;
pub(crate) mod suspend;
pub(crate) mod test;
pub(crate) mod update;
pub(crate) mod usage;
pub(in crate::admin) mod wait;

use axum::Json;
use axum::response::{IntoResponse, Response};

use crate::admin::etag;
use crate::api;
use crate::control::keys::KeyView;
use crate::domain::time::Timestamp;

/// A key in its wire form.
pub(in crate::admin) fn wire(view: &KeyView, now: Timestamp) -> api::keys::Key {
    let owner = (&view.owner).into();
    api::keys::Key::new(&view.key, owner, &view.last_used, view.schedule, now).having(&view.spent)
}

/// One key, with its tag.
fn answer(view: &KeyView, now: Timestamp) -> Response {
    (etag::field(&view.tag()), Json(wire(view, now))).into_response()
}
