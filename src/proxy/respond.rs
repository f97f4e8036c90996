//! Refusals as replies: the only place of the data plane that writes statuses and bodies of its own.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::domain::permission::{Method, Methods};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::proxy::body::Outgoing;
use crate::proxy::headers::X_REQUEST_ID;
use crate::proxy::record::Record;

/// Why a request goes no further.
#[derive(Debug)]
pub(crate) struct Halt {
    /// What the client is told.
    pub(crate) refusal: Refusal,
    /// The methods that would have been served, where that was the matter.
    pub(crate) allow: Option<Methods>,
    /// Whether to answer as gRPC does.
    pub(crate) is_grpc: bool,
}

/// The reply to a request that goes no further.
pub(crate) fn local_reply(halt: &Halt, mut record: Box<Record>) -> Response<Outgoing> {
    let code = halt.refusal.code;
    record.reply(code.status(), Some(code));
    let mut response = Response::new(());
    record.limit_fields(response.headers_mut());
    response
        .headers_mut()
        .insert(X_REQUEST_ID, record.request_id.clone());
    if halt.is_grpc {
        return grpc(halt, response, record);
    }
    *response.status_mut() = status(&halt.refusal);
    let body = problem(&halt.refusal, &record.request_id);
    let headers = response.headers_mut();
    fields(&halt.refusal, headers);
    if let Some(methods) = halt.allow {
        headers.insert(ALLOW, allow(methods.iter()));
    }
    headers.insert(CONTENT_LENGTH, body.len().into());
    response.map(|()| Outgoing::whole(Bytes::from(body), record))
}

/// The reply to what never became a request, as bytes on a connection that ends with it.
pub(crate) fn bytes(refusal: &Refusal, mut record: Box<Record>) -> Vec<u8> {
    record.reply(refusal.code.status(), Some(refusal.code));
    let body = problem(refusal, &record.request_id);
    record.add_bytes_out(body.len());
    let status = status(refusal);
    let mut head = HeaderMap::new();
    fields(refusal, &mut head);
    head.insert(X_REQUEST_ID, record.request_id.clone());
    head.insert(CONTENT_LENGTH, body.len().into());
    head.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    let reason = status.canonical_reason().unwrap_or_default();
    let mut out = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &head {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
    out
}

fn status(refusal: &Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

fn fields(refusal: &Refusal, headers: &mut HeaderMap) {
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if refusal.code == RefusalCode::MethodNotAllowed {
        // Every 405 says what is allowed (RFC 9110 §15.5.6); of a method no route has, all that some have.
        headers.insert(ALLOW, allow(Method::ALL.into_iter()));
    }
    if refusal.code.status() == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("ApiKey"));
    }
    if let Some(wait) = refusal.retry_after {
        // Whole seconds, rounded up: trying again after them must not be too early.
        let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
        headers.insert(
            RETRY_AFTER,
            u64::try_from(seconds).unwrap_or(u64::MAX).into(),
        );
    }
}

fn allow(methods: impl Iterator<Item = Method>) -> HeaderValue {
    let methods: Vec<&str> = methods.map(Method::as_str).collect();
    // Methods are tokens, so there is nothing in them that no field may have.
    HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

/// A problem document (RFC 9457). Nothing in it comes from the client, so nothing needs an escape.
fn problem(refusal: &Refusal, request_id: &HeaderValue) -> Vec<u8> {
    let code = refusal.code;
    let detail = refusal.detail.unwrap_or(code.title()).replace('`', "'");
    format!(
        "{{\"type\":\"urn:portcullis:problem:{code}\",\"title\":\"{}\",\"status\":{},\"code\":\"{code}\",\"detail\":\"{detail}\",\"request_id\":\"{}\"}}",
        code.title(),
        code.status(),
        request_id.to_str().unwrap_or_default(),
    )
    .into_bytes()
}

/// A gRPC response of trailers alone (gRPC over HTTP2, "Responses").
fn grpc(halt: &Halt, mut response: Response<()>, record: Box<Record>) -> Response<Outgoing> {
    const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
    const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
    let code = halt.refusal.code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, u16::from(code.grpc_status()).into());
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(code.as_str()));
    response.map(|()| Outgoing::whole(Bytes::new(), record))
}

/// A 200 with this JSON.
pub(crate) fn json(body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer on a path of the gate's own, which nobody is to keep.
pub(crate) fn own(mut answer: Response<Bytes>, mut record: Box<Record>) -> Response<Outgoing> {
    record.reply(answer.status().as_u16(), None);
    let length = answer.body().len();
    let headers = answer.headers_mut();
    record.limit_fields(headers);
    headers.insert(X_REQUEST_ID, record.request_id.clone());
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.map(|body| Outgoing::whole(body, record))
}
