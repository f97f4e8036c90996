//! `POST /admin/session`: a token, or the code of an owner's link, for a session.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{Extensions, HeaderMap};
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, NoQuery};
use crate::admin::auth::{place, unhurried};
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::admin::session::{cookie, origin, told};
use crate::api::session::{SignIn, Signed};
use crate::control::ControlError;
use crate::control::sessions::Credential;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "openSession",
        "Sign in",
        "By an admin token, or the code behind the `#` of an owner's link: exactly one of them.",
    )
    .body::<SignIn>(json!({"token": "pk_admin_…"}))
    .answer::<Signed>(200, "Who is signed in now.", example::signed())
    .with(
        "Set-Cookie",
        "The session; it ends after 30 minutes without use.",
    )
    .codes(&[
        Code::Unauthenticated,
        Code::Forbidden,
        Code::TooManyRequests,
        Code::StoreUnavailable,
        Code::StoreFull,
    ])
}

/// Signs in.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    extensions: Extensions,
    _: NoQuery,
    Ask { body, .. }: Ask<SignIn>,
) -> Result<Response, Problem> {
    origin::check_entry(&headers)?;
    let credential = match (&body.token, &body.code) {
        (Some(token), None) => Credential::Token(token),
        (None, Some(code)) => Credential::Code(code),
        _ => {
            let detail = "one of `token` and `code`";
            return Err(ControlError::field("/token", "missing", detail).into());
        }
    };
    let opening = shared
        .sessions
        .open(credential, |caller| place(caller, &extensions));
    let Some(opened) = unhurried(&shared, &extensions, opening).await? else {
        let detail = match credential {
            Credential::Token(_) => "this token is not known, has ended or was revoked",
            Credential::Code(_) => "this link was used, has ended or is not known; ask for another",
        };
        return Err(Problem::new(Code::Unauthenticated, detail));
    };
    let signed = told::signed(&shared, &opened.caller).await?;
    let mut response = Json(signed).into_response();
    if let Some(carry) = cookie::carry(&opened.cookie) {
        response.headers_mut().insert(SET_COOKIE, carry);
    }
    Ok(response)
}
