//! `GET /admin/session`: who is signed in.
//!
//! Nobody is an answer, not a fault: a page asks this first, to know whether to ask for a login.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, SET_COOKIE};
use http::{Extensions, HeaderMap, Method};

use crate::admin::about::{About, example};
use crate::admin::ask::NoQuery;
use crate::admin::auth::authenticate;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::admin::session::{cookie, told};
use crate::api::session::Signed;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "getSession",
        "Who is signed in",
        "Nobody is an answer, not a fault.",
    )
    .answer::<Signed>(200, "Who asks; `null` is nobody.", example::signed())
    .with(
        "Set-Cookie",
        "Takes back the cookie of a session that has ended.",
    )
    .codes(&[
        Code::Unauthenticated,
        Code::Forbidden,
        Code::NotFound,
        Code::TooManyRequests,
        Code::StoreUnavailable,
    ])
}

/// Tells who asks.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    extensions: Extensions,
    _: NoQuery,
) -> Result<Response, Problem> {
    let nobody = Json(Signed { session: None });
    let has_token = headers.contains_key(AUTHORIZATION);
    let has_session = cookie::of(&headers).is_some();
    if !has_token && !has_session {
        return Ok(nobody.into_response());
    }
    match authenticate(&shared, &Method::GET, &headers, &extensions).await {
        Ok(caller) => Ok(Json(told::signed(&shared, &caller).await?).into_response()),
        // A session that is over is to be forgotten; a wrong token is a fault of who showed it.
        Err(problem) if !has_token && problem.code() == Code::Unauthenticated.as_str() => {
            let mut response = nobody.into_response();
            if let Some(forget) = cookie::forget() {
                response.headers_mut().insert(SET_COOKIE, forget);
            }
            Ok(response)
        }
        Err(problem) => Err(problem),
    }
}
