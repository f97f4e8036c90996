//! What of a request's fields the upstream sees: what is meant for this hop goes, what would pass for
//! ours goes, and ours is set.

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::domain::refusal::{Refusal, RefusalCode};
use crate::proxy::carrier::{Fields, Lines};
use crate::proxy::digits;
use crate::proxy::forward::Outbound;
use crate::proxy::forwarded;
use crate::proxy::record::Record;
use crate::proxy::trace;
use crate::proxy::worker::Worker;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const KEY_RETIRES: HeaderName = HeaderName::from_static("x-portcullis-key-retires");
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(crate) const LEGACY_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
pub(crate) const LEGACY_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
pub(crate) const LEGACY_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Names of fields that go no further.
pub(crate) type Dropped = SmallVec<[HeaderName; 2]>;

/// Looks through a request's fields once: which of them go no further.
///
/// # Errors
/// `bad_request` for a field that another server might take for one of ours (`X_API_Key`), for a
/// `Connection` that asks us to drop what is ours to say (RFC 9110 §7.6.1), and for what HTTP/2 can bring
/// here and HTTP/1 cannot: two lengths (RFC 9110 §8.6), space at the ends of a value (RFC 9113 §8.2.1).
pub(crate) fn inspect(headers: &HeaderMap, is_trusted: bool) -> Result<Dropped, Refusal> {
    const BAD: Refusal = Refusal::new(RefusalCode::BadRequest);
    let mut dropped = Dropped::new();
    for name in headers.keys() {
        match fate(name.as_str()) {
            Fate::Passes => {}
            Fate::Drops => dropped.push(name.clone()),
            Fate::DropsUnlessTrusted if is_trusted => {}
            Fate::DropsUnlessTrusted => dropped.push(name.clone()),
            Fate::Refused => {
                return Err(BAD.because("a field's name could be taken for one of the gate's own"));
            }
        }
    }
    let mut lengths = 0;
    for (name, value) in headers {
        lengths += usize::from(name == CONTENT_LENGTH);
        if has_space_at_an_end(value.as_bytes()) {
            return Err(BAD.because("a field's value begins or ends with a space"));
        }
    }
    if lengths > 1 {
        return Err(BAD.because("there is more than one length"));
    }
    if !dropped.contains(&CONNECTION) {
        return Ok(dropped);
    }
    for line in headers.get_all(CONNECTION) {
        for name in line
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
        {
            let Ok(name) = HeaderName::from_bytes(name) else {
                continue;
            };
            if is_ours_to_say(name.as_str()) {
                return Err(BAD.because("Connection names a field that is not for this hop alone"));
            }
            dropped.push(name);
        }
    }
    Ok(dropped)
}

fn has_space_at_an_end(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_space(value.first()) || is_space(value.last())
}

/// Takes out of a request's trailers what would not pass as a field either, from anyone.
pub(crate) fn for_upstream_trailers(trailers: &mut HeaderMap) {
    let dropped: Dropped = trailers
        .keys()
        .filter(|name| fate(name.as_str()) != Fate::Passes || is_ours_to_say(name.as_str()))
        .cloned()
        .collect();
    for name in dropped {
        trailers.remove(name);
    }
}

/// What becomes of a field on the way through.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Passes,
    Drops,
    /// Says where a request came from: believed from trusted proxies only.
    DropsUnlessTrusted,
    /// Could be taken for a field of ours by a server that reads `_` as `-`, as CGI does, or whatever is
    /// no letter and no digit, as some of its heirs do.
    Refused,
}

fn fate(name: &str) -> Fate {
    let is_odd = |byte: u8| byte != b'-' && !byte.is_ascii_alphanumeric();
    if name.bytes().any(is_odd) {
        let meant = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let is_twin = matches!(
            &*meant,
            "x-api-key" | "content-length" | "host" | "authorization"
        ) || fate(&meant) != Fate::Passes;
        return if is_twin { Fate::Refused } else { Fate::Passes };
    }
    match name {
        // RFC 9110 §7.6.1, and what other versions and hands have used.
        "connection"
        | "keep-alive"
        | "proxy-connection"
        | "te"
        | "transfer-encoding"
        | "upgrade"
        | "http2-settings"
        | "proxy-authorization"
        | "proxy-authenticate" => Fate::Drops,
        // Answered here (RFC 9110 §10.1.1).
        "expect" => Fate::Drops,
        // Would have the upstream do something else than what was judged here.
        "x-http-method-override"
        | "x-method-override"
        | "x-http-method"
        | "x-original-url"
        | "x-rewrite-url"
        | "proxy" => Fate::Drops,
        "forwarded" | "x-real-ip" | "x-request-id" => Fate::DropsUnlessTrusted,
        _ if name.starts_with("x-portcullis-") => Fate::Drops,
        _ if name.starts_with("x-forwarded-") => Fate::DropsUnlessTrusted,
        _ => Fate::Passes,
    }
}

fn is_ours_to_say(name: &str) -> bool {
    matches!(
        name,
        "host" | "content-length" | "authorization" | "x-api-key" | "cookie"
    ) || name.starts_with("x-portcullis-")
        || fate(name) == Fate::DropsUnlessTrusted
}

/// A request's fields as the upstream is to see them: what came, less what goes no further, and ours.
#[derive(Debug)]
pub(crate) struct ForUpstream<'a> {
    outbound: &'a Outbound<'a>,
    record: &'a Record,
}

impl<'a> ForUpstream<'a> {
    pub(crate) fn new(outbound: &'a Outbound<'a>, record: &'a Record) -> Self {
        Self { outbound, record }
    }

    /// Passes on what came and is not dropped or said anew.
    fn pass(&self, lines: &mut Lines<'_>) -> Passed {
        let mut passed = Passed::default();
        for (name, value) in self.outbound.headers {
            if self.outbound.dropped.contains(name) {
                continue;
            }
            match name.as_str() {
                "x-request-id" | "x-forwarded-for" | "forwarded" => continue,
                // HTTP/2 lets a client cut its cookies into crumbs; HTTP/1.1 has one line (RFC 9113 §8.2.3).
                // The lines of one name come together.
                "cookie" if passed.has_cookie => {
                    lines.go_on(&[b"; ", value.as_bytes()]);
                    continue;
                }
                "cookie" => passed.has_cookie = true,
                "traceparent" | "tracestate" if !self.record.trace.passes(name.as_str()) => {
                    continue;
                }
                "traceparent" => passed.has_trace = true,
                "x-forwarded-proto" => passed.has_scheme = true,
                "x-forwarded-host" => passed.has_host = true,
                _ => {}
            }
            lines.pass(name, value);
        }
        passed
    }

    /// Adds to a list that a trusted proxy may have begun, in one line or in several.
    fn list(&self, lines: &mut Lines<'_>, name: &'static str, ours: &HeaderValue) {
        lines.say(name, &[]);
        if self.record.peer().is_trusted {
            for value in self.outbound.headers.get_all(name) {
                lines.go_on(&[value.as_bytes(), b", "]);
            }
        }
        lines.go_on(&[ours.as_bytes()]);
    }
}

/// What came that we would say otherwise.
#[derive(Debug, Default)]
struct Passed {
    has_cookie: bool,
    has_trace: bool,
    has_scheme: bool,
    has_host: bool,
}

impl Fields for ForUpstream<'_> {
    fn host(&self) -> Option<&[u8]> {
        Some(self.outbound.host.as_bytes())
    }

    fn write(&self, lines: &mut Lines<'_>) {
        let passed = self.pass(lines);
        let (record, peer) = (self.record, self.record.peer());
        if let Some((entry, version)) = &record.key {
            let grants = &entry.grants;
            lines.say("x-portcullis-key-id", &[b"key_", entry.id.as_bytes()]);
            lines.say_number("x-portcullis-key-version", version.number.into());
            lines.say("x-portcullis-owner", &[b"usr_", entry.owner.as_bytes()]);
            lines.say("x-portcullis-scopes", &[grants.scopes_line.as_bytes()]);
            lines.say("x-portcullis-env", &[grants.env.as_bytes()]);
        }
        lines.say("x-request-id", &[record.request_id.as_bytes()]);
        if let Some(context) = record.trace.context() {
            lines.say("traceparent", &[&trace::text(context)]);
        } else if !passed.has_trace {
            lines.say("traceparent", &[&traceparent(record.worker())]);
        }
        self.list(lines, "x-forwarded-for", &peer.address_field);
        if !passed.has_scheme {
            lines.say("x-forwarded-proto", &[peer.scheme.as_bytes()]);
        }
        if !passed.has_host {
            lines.say("x-forwarded-host", &[self.outbound.host.as_bytes()]);
        }
        self.list(lines, "forwarded", &forwarded(record));
    }
}

/// W3C Trace Context, §3.2: a trace of its own for a request that came without one, not sampled.
fn traceparent(worker: &Worker) -> [u8; 55] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    for at in [3, 19, 36] {
        // A draw is never 0, as neither may be.
        if let Some(digits) = text.get_mut(at..at + 16) {
            digits.copy_from_slice(&digits::sixteen(worker.draw_wide()));
        }
    }
    text
}

/// RFC 7239 §4, made once per connection and host.
fn forwarded(record: &Record) -> HeaderValue {
    let peer = record.peer();
    let mut made = peer.forwarded.borrow_mut();
    if let Some((host, value)) = &*made
        && Some(host) == record.host.as_ref()
    {
        return value.clone();
    }
    let address = peer.address();
    let node = if address.is_ipv6() {
        format!("\"[{address}]\"")
    } else {
        address.to_string()
    };
    let host = record.host.clone().unwrap_or_default();
    let text = format!("for={node};host=\"{host}\";proto={}", peer.scheme);
    let value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("for=unknown"));
    *made = Some((host, value.clone()));
    value
}

/// Who asks: the peer, or where that is a trusted proxy, the nearest address it names that is not one.
pub(crate) fn client(headers: &HeaderMap, record: &Record) -> std::net::IpAddr {
    let peer = record.peer();
    if !peer.is_trusted {
        return peer.address();
    }
    let trusted = &record.worker().plane.trusted;
    forwarded::nearest(headers, trusted, peer.address())
}

/// Takes out of an upstream's answer what was meant for this hop alone, and what is ours to say of this
/// request's key: one that echoes another's would mislead.
pub(crate) fn for_client(headers: &mut HeaderMap) {
    let mut dropped = Dropped::new();
    for name in headers.keys() {
        if matches!(
            name.as_str(),
            "connection"
                | "keep-alive"
                | "proxy-connection"
                | "transfer-encoding"
                | "upgrade"
                | "x-portcullis-key-retires"
        ) {
            dropped.push(name.clone());
        }
    }
    if dropped.contains(&CONNECTION) {
        let lines = headers.get_all(CONNECTION).iter();
        let named = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        dropped.extend(named.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()));
    }
    for name in dropped {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(
        fields: &[(&'static str, &'static str)],
        is_trusted: bool,
    ) -> Result<Vec<String>, RefusalCode> {
        let headers = fields
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
        let names = inspect(&headers.collect(), is_trusted).map_err(|refusal| refusal.code)?;
        Ok(names.iter().map(|name| name.as_str().to_owned()).collect())
    }

    #[test]
    fn what_is_for_this_hop_or_would_pass_for_ours_goes_no_further() {
        for name in [
            "x-portcullis-owner",
            "x-portcullis-anything",
            "te",
            "upgrade",
            "proxy",
            "x-original-url",
        ] {
            assert_eq!(
                dropped(&[(name, "x")], true).as_deref(),
                Ok([name.to_owned()].as_slice())
            );
        }
        for name in ["x-forwarded-for", "forwarded", "x-real-ip", "x-request-id"] {
            assert_eq!(
                dropped(&[(name, "x")], false).map(|names| names.len()),
                Ok(1),
                "{name}"
            );
            assert_eq!(
                dropped(&[(name, "x")], true).map(|names| names.len()),
                Ok(0),
                "{name}"
            );
        }
        assert_eq!(
            dropped(
                &[("accept", "x"), ("x-custom_field", "x"), ("a.b", "x")],
                false
            ),
            Ok(vec![])
        );
    }

    #[test]
    fn a_name_that_another_server_could_take_for_ours_is_refused() {
        for name in [
            "x_api_key",
            "x-api_key",
            "x_portcullis_owner",
            "x_forwarded_for",
            "x-portcullis_env",
            "x.portcullis.owner",
            "x-portcullis!key-id",
            "x-http.method-override",
            "x~api^key",
            "x|forwarded`for",
            "transfer+encoding",
        ] {
            assert_eq!(
                dropped(&[(name, "x")], true),
                Err(RefusalCode::BadRequest),
                "{name}"
            );
        }
    }

    #[test]
    fn connection_may_name_what_is_for_this_hop_and_nothing_else() {
        let names = dropped(&[("connection", "close, x-hop"), ("x-hop", "1")], false).unwrap();
        assert!(names.contains(&"x-hop".to_owned()) && names.contains(&"connection".to_owned()));
        for name in [
            "host",
            "x-api-key",
            "authorization",
            "x-portcullis-owner",
            "x-forwarded-for",
        ] {
            assert_eq!(
                dropped(&[("connection", name)], true),
                Err(RefusalCode::BadRequest),
                "{name}"
            );
        }
    }

    #[test]
    fn a_value_has_no_space_at_its_ends_and_a_request_one_length() {
        for value in [" x", "x ", "\tx", "x\t", " ", "\t"] {
            let fields = [("accept", "y"), ("x-note", value)];
            assert_eq!(
                dropped(&fields, true),
                Err(RefusalCode::BadRequest),
                "{value:?}"
            );
        }
        for value in ["", "a b", "a\tb"] {
            assert_eq!(dropped(&[("x-note", value)], true), Ok(vec![]), "{value:?}");
        }
        for (one, two) in [("5", "5"), ("5", "6")] {
            let mut headers = HeaderMap::new();
            headers.append(CONTENT_LENGTH, HeaderValue::from_static(one));
            assert!(inspect(&headers, true).is_ok());
            headers.append(CONTENT_LENGTH, HeaderValue::from_static(two));
            let refusal = inspect(&headers, true).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::BadRequest);
        }
    }

    #[test]
    fn trailers_bring_in_nothing_that_fields_could_not() {
        let names = [
            "x-portcullis-owner",
            "x_api_key",
            "x-api-key",
            "x-forwarded-for",
            "host",
            "x-checksum",
        ];
        let trailers =
            names.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")));
        let mut trailers: HeaderMap = trailers.into_iter().collect();
        for_upstream_trailers(&mut trailers);
        assert_eq!(
            trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["x-checksum"]
        );
    }

    #[test]
    fn an_answer_loses_what_its_connection_names_and_what_is_ours_to_say() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "x-hop, keep-alive"),
            ("keep-alive", "t"),
            ("x-hop", "1"),
            ("x-portcullis-key-retires", "2026-01-01T00:00:00.000Z"),
            ("etag", "e"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for_client(&mut headers);
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["etag"]
        );
    }
}
