//! What surrounds every call: its id, the `Host` it may have, and what every answer carries.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{Extensions, HeaderName, HeaderValue};

use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::domain::id::BASE62;

/// Names a call, in its answer, the audit log and the process's log.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// A new one. Without random bytes it is all zeros: an id names, and a call need not fail for one.
    fn draw() -> Self {
        let mut random = [0_u8; 16];
        let _ = getrandom::fill(&mut random);
        let digits = random.iter().map(|byte| {
            let digit = BASE62.get(usize::from(byte % 62));
            char::from(digit.copied().unwrap_or(b'0'))
        });
        Self("req_".chars().chain(digits).collect())
    }

    /// The id of the call that these extensions belong to.
    pub(crate) fn of(extensions: &Extensions) -> Option<String> {
        extensions.get::<Self>().map(|id| id.0.clone())
    }
}

/// Runs a call inside its shell.
pub(crate) async fn wrap(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId::draw();
    request.extensions_mut().insert(id.clone());
    let mut response = if is_ours(&request, &shared.settings.hosts) {
        next.run(request).await
    } else {
        Problem::new(
            Code::Misdirected,
            "this host is none of the admin API's; `admin.hosts` names them",
        )
        .into_response()
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        problem.write(&mut response, &id.0);
    }
    let headers = response.headers_mut();
    for (name, value) in FIELDS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::try_from(id.0) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}

/// Answers for a handler that panicked; the panic itself is in the log by then.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    let detail = "the gate could not do this; its log says why";
    Problem::new(Code::Internal, detail).into_response()
}

/// Whether a request was meant for the admin API.
///
/// A page somewhere may have its own name resolved to this address (DNS rebinding), but a browser then
/// still sends that name. An address cannot be rebound, so every address is ours.
fn is_ours(request: &Request, hosts: &[String]) -> bool {
    let mut fields = request.headers().get_all(HOST).iter();
    let authority = match (request.uri().authority(), fields.next(), fields.next()) {
        // HTTP/2 has it in the target; a field beside it must then say the same (RFC 9113 §8.3.1).
        (Some(authority), None, None) => authority.as_str(),
        (Some(authority), Some(field), None) if field == authority.as_str() => authority.as_str(),
        (None, Some(field), None) => match field.to_str() {
            Ok(field) => field,
            Err(_) => return false,
        },
        _ => return false,
    };
    let host = without_port(authority);
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    address.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host))
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// What every answer carries unless it says otherwise: nothing here is to be kept, sniffed or framed.
const FIELDS: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn only_addresses_and_known_names_are_ours() {
        let hosts = ["gate.example".to_owned()];
        for (host, ours) in [
            ("127.0.0.1", true),
            ("127.0.0.1:9900", true),
            ("[::1]:9900", true),
            ("[::1]", true),
            ("localhost", true),
            ("LocalHost:9900", true),
            ("gate.example:9900", true),
            ("GATE.example", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("gate.example.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            let request = Request::builder()
                .uri("/admin/keys")
                .header(HOST, host)
                .body(Body::empty())
                .unwrap();
            assert_eq!(is_ours(&request, &hosts), ours, "{host}");
        }
    }

    #[test]
    fn a_request_without_one_host_is_not_ours() {
        let none = Request::builder().uri("/").body(Body::empty()).unwrap();
        assert!(!is_ours(&none, &[]));
        let two = Request::builder()
            .uri("/")
            .header(HOST, "localhost")
            .header(HOST, "localhost")
            .body(Body::empty())
            .unwrap();
        assert!(!is_ours(&two, &[]));
        let split = Request::builder()
            .uri("http://localhost/")
            .header(HOST, "evil.example")
            .body(Body::empty())
            .unwrap();
        assert!(!is_ours(&split, &[]));
    }
}
