//! `POST /admin/users/{user_id}/sign-in`: a link that signs an owner in, once, within 15 minutes.
//!
//! The code stands behind the `#`, which browsers send to nobody: not to a server, nor into its log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::admin::ask::{Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::session::Link;
use crate::domain::id::OwnerId;

/// Makes a link.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<OwnerId>,
    _: NoQuery,
) -> Result<(StatusCode, Json<Link>), Problem> {
    let link = shared.sessions.invite(&caller, id).await?;
    let body = Link {
        path: format!("/sign-in#{}", *link.code),
        expires_at: link.expires_at.into(),
    };
    Ok((StatusCode::CREATED, Json(body)))
}
