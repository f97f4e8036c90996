//! Who may call what.
//!
//! A call needs a role, or nothing; the table in [`router`](mod@super::router) says which. The token is
//! looked at before anything else of the request, so that a stranger learns nothing from the rest.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Extensions, HeaderMap, Method};

use crate::admin::audit::refused::Attempt;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::admin::session::{cookie, origin};
use crate::admin::shell::RequestId;
use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::sessions::Counts;
use crate::domain::token::Role;

/// What a call asks of whoever makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it tells no more than whether the gate lives.
    Nothing,
    /// A token of this role or a greater one.
    Role(Role, Reach),
    /// A viewer's token, unless `admin.open_metrics` is set.
    Metrics,
}

/// How far a call reaches: what a token may do that is bound to one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Things that have an owner. A bound token may call it, and sees its owner's.
    Owned,
    /// The gate as a whole. A bound token may not.
    Gate,
}

/// Lets a call through that may be made, with its [`Caller`].
pub(crate) async fn authorise(
    State((shared, needs)): State<(Arc<Shared>, Needs)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (role, reach) = match needs {
        Needs::Nothing => return Ok(next.run(request).await),
        Needs::Metrics if shared.settings.open_metrics => return Ok(next.run(request).await),
        Needs::Metrics => (Role::Viewer, Reach::Gate),
        Needs::Role(role, reach) => (role, reach),
    };
    let method = request.method();
    let mut caller = authenticate(&shared, method, request.headers(), request.extensions()).await?;
    place(&mut caller, request.extensions());
    let attempt = Attempt::of(request.method(), request.uri().path());
    if let Err(problem) = may_call(&caller, role, reach) {
        if let Some(attempt) = attempt {
            attempt.refused(&shared, &caller, &problem);
        }
        return Err(problem);
    }
    request.extensions_mut().insert(caller.clone());
    let response = next.run(request).await;
    if let (Some(attempt), Some(problem)) = (attempt, response.extensions().get::<Problem>()) {
        attempt.refused(&shared, &caller, problem);
    }
    Ok(response)
}

fn may_call(caller: &Caller, role: Role, reach: Reach) -> Result<(), Problem> {
    if caller.role < role {
        let detail = match role {
            Role::Viewer => "this needs a token of role viewer",
            Role::Operator => "this needs a token of role operator",
            Role::Admin => "this needs a token of role admin",
        };
        return Err(Problem::new(Code::Forbidden, detail));
    }
    if reach == Reach::Gate && caller.bound_to.is_some() {
        return Err(Problem::new(
            Code::Forbidden,
            "a token that is bound to one owner may not do this",
        ));
    }
    Ok(())
}

/// Says where a caller is and which call this is.
pub(crate) fn place(caller: &mut Caller, extensions: &Extensions) {
    caller.address = peer(extensions);
    caller.request_id = RequestId::of(extensions);
}

/// Who calls: by a token or, where none is shown, by a session. A token is what a program meant to show, so
/// beside one a cookie that a browser adds by itself says nothing.
pub(crate) async fn authenticate(
    shared: &Shared,
    method: &Method,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<Caller, Problem> {
    if !headers.contains_key(AUTHORIZATION)
        && let Some(cookie) = cookie::of(headers)
    {
        origin::check(method, headers)?;
        let caller = shared.sessions.recognise(cookie, Counts::AsUse).await?;
        return caller.ok_or_else(|| {
            let detail = "this session has ended; sign in again";
            Problem::new(Code::Unauthenticated, detail)
        });
    }
    let Some(secret) = bearer(headers) else {
        return Err(Problem::new(
            Code::Unauthenticated,
            "this needs one admin token, as `Authorization: Bearer …`",
        ));
    };
    let look = shared.tokens.recognise(secret);
    let known = unhurried(shared, extensions, look).await?;
    known.ok_or_else(|| {
        Problem::new(
            Code::Unauthenticated,
            "this token is not known, has ended or was revoked",
        )
    })
}

/// Looks whether a secret opens anything, at the pace of an address that showed many which did not.
pub(crate) async fn unhurried<T>(
    shared: &Shared,
    extensions: &Extensions,
    look: impl Future<Output = Result<Option<T>, ControlError>>,
) -> Result<Option<T>, Problem> {
    let now = shared.clock.read();
    // Where the address is not known, all share one: better too strict than not at all.
    let address = peer(extensions).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    // A right token is never refused for its neighbours; where many were wrong, it waits its turn.
    let wait = shared.throttle.wait(address, now);
    let _turn = match wait {
        Some(_) => shared.throttle.turn().await,
        None => None,
    };
    if let Some(found) = look.await? {
        return Ok(Some(found));
    }
    if let Some(wait) = wait {
        return Err(Problem::too_many(
            wait,
            "too many wrong tokens from this address",
        ));
    }
    shared.throttle.failed(address, now);
    Ok(None)
}

/// Returns when the token or the session in these fields is no longer good: what goes on for long ends
/// with it.
pub(crate) async fn ended(shared: Arc<Shared>, headers: HeaderMap) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let known = match (bearer(&headers), cookie::of(&headers)) {
            (Some(secret), _) => shared.tokens.recognise(secret).await,
            (None, Some(cookie)) => {
                let sessions = &shared.sessions;
                sessions.recognise(cookie, Counts::AsNothing).await
            }
            (None, None) => return,
        };
        // A store that does not answer ends nothing.
        if let Ok(None) = known {
            return;
        }
    }
}

/// The one bearer token of a request (RFC 6750 §2.1); the scheme's case does not matter.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' '))
}

/// The address of who called, without its port.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(address.ip().to_canonical())
}

/// Who makes the call.
pub(crate) struct By(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // A handler that asks for a caller on a call that needs none would be a mistake here: closed.
        let caller = parts.extensions.get::<Caller>().cloned();
        caller
            .map(Self)
            .ok_or_else(|| Problem::new(Code::Forbidden, "nobody is known to ask for this"))
    }
}

/// How often a token is looked at again while something goes on.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_token_is_read_from_one_bearer_field() {
        for (fields, expected) in [
            (vec!["Bearer abc"], Some("abc")),
            (vec!["bearer  abc"], Some("abc")),
            (vec!["Basic abc"], None),
            (vec!["Bearer"], None),
            (vec!["Bearer a", "Bearer b"], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for field in &fields {
                headers.append(AUTHORIZATION, HeaderValue::from_static(field));
            }
            assert_eq!(bearer(&headers), expected, "{fields:?}");
        }
    }
}
