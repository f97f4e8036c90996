//! `POST /admin/users/{user_id}/sign-in`: a link that signs an owner in, once, within 15 minutes.
//!
//! The code stands behind the `#`, which browsers send to nobody: not to a server, nor into its log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::json;

use crate::admin::about::About;
use crate::admin::ask::{Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::session::Link;
use crate::domain::id::OwnerId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "signInLink",
        "Make a link that an owner signs in by",
        "Once, within 15 minutes.",
    )
    .answer::<Link>(
        201,
        "The link.",
        json!({"path": "/sign-in#3yKq…", "expires_at": "2026-01-31T12:15:00.000Z"}),
    )
    .codes(&[Code::OwnerDisabled, Code::Conflict])
}

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
