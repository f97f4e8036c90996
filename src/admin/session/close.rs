//! `DELETE /admin/session`: signs out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{AUTHORIZATION, SET_COOKIE};
use serde_json::json;

use crate::admin::about::About;
use crate::admin::ask::NoQuery;
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::admin::session::cookie;
use crate::api::session::Signed;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new("closeSession", "Sign out", "A token that asks goes on.")
        .answer::<Signed>(200, "Nobody is signed in.", json!({"session": null}))
        .with("Set-Cookie", "Takes the session's cookie back.")
}

/// Ends the session that asks, if one does; a token goes on.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    headers: HeaderMap,
    _: NoQuery,
) -> Result<Response, Problem> {
    if !headers.contains_key(AUTHORIZATION)
        && let Some(session) = cookie::of(&headers)
    {
        shared.sessions.close(&caller, session).await?;
    }
    let mut response = Json(Signed { session: None }).into_response();
    if let Some(forget) = cookie::forget() {
        response.headers_mut().insert(SET_COOKIE, forget);
    }
    Ok(response)
}
