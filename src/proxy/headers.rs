//! What of a request's fields the upstream sees: what is meant for this hop goes, what would pass for
//! ours goes, and ours is set.

use http::header::{CONNECTION, COOKIE, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;
use smallvec::SmallVec;

use crate::domain::permission::contains;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::proxy::record::Record;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const KEY_RETIRES: HeaderName = HeaderName::from_static("x-portcullis-key-retires");
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(crate) const LEGACY_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
pub(crate) const LEGACY_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
pub(crate) const LEGACY_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const KEY_ID: HeaderName = HeaderName::from_static("x-portcullis-key-id");
const KEY_VERSION: HeaderName = HeaderName::from_static("x-portcullis-key-version");
const OWNER: HeaderName = HeaderName::from_static("x-portcullis-owner");
const SCOPES: HeaderName = HeaderName::from_static("x-portcullis-scopes");
const ENV: HeaderName = HeaderName::from_static("x-portcullis-env");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Names of fields that go no further.
pub(crate) type Dropped = SmallVec<[HeaderName; 8]>;

/// Looks through a request's fields once: which of them go no further.
///
/// # Errors
/// `bad_request` for a field that another server might take for one of ours (`X_API_Key`), and for a
/// `Connection` that asks us to drop what is ours to say (RFC 9110 §7.6.1).
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
        let is_twin = meant == "x-api-key" || fate(&meant) != Fate::Passes;
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

/// Makes a request's fields what the upstream is to see. `authority` is its target's, if it has one.
pub(crate) fn for_upstream(
    headers: &mut HeaderMap,
    dropped: Dropped,
    authority: Option<&Authority>,
    record: &Record,
) {
    for name in dropped {
        headers.remove(name);
    }
    let peer = record.peer();
    if !headers.contains_key(HOST)
        && let Some(authority) = authority
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        // HTTP/2 has it in the target; Host is a copy, with the port (RFC 9113 §8.3.1).
        headers.insert(HOST, host);
    }
    // HTTP/2 lets a client cut its cookies into crumbs; HTTP/1.1 has one line (RFC 9113 §8.2.3).
    join(headers, COOKIE, b"; ");
    if let Some((entry, version)) = &record.key {
        headers.insert(KEY_ID, prefixed(b"key_", entry.id.as_bytes()));
        headers.insert(KEY_VERSION, version.number.into());
        headers.insert(OWNER, prefixed(b"usr_", entry.owner.as_bytes()));
        headers.insert(SCOPES, entry.grants.scopes_line.clone());
        headers.insert(ENV, entry.grants.env.clone());
    }
    headers.insert(X_REQUEST_ID, record.request_id.clone());
    if !headers.contains_key(TRACEPARENT) {
        headers.insert(TRACEPARENT, traceparent(record));
    }
    append(headers, X_FORWARDED_FOR, peer.address_field.clone());
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(peer.scheme));
    }
    if !headers.contains_key(X_FORWARDED_HOST)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
    append(headers, FORWARDED, forwarded(record));
}

/// Adds to a list that a trusted proxy may have begun, in one line or in several.
fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.append(&name, value);
    join(headers, name, b", ");
}

/// Puts the lines of a field into one.
fn join(headers: &mut HeaderMap, name: HeaderName, between: &[u8]) {
    let lines = headers.get_all(&name);
    if lines.iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_bytes(&lines.join(between));
    if let Ok(joined) = joined {
        headers.insert(name, joined);
    }
}

fn prefixed(prefix: &[u8; 4], id: &[u8; 10]) -> HeaderValue {
    let mut text = [0; 14];
    let (head, tail) = text.split_at_mut(4);
    head.copy_from_slice(prefix);
    tail.copy_from_slice(id);
    // Ids are ASCII letters and digits.
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
}

/// W3C Trace Context, §3.2: a trace of its own for a request that came without one, not sampled.
fn traceparent(record: &Record) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let mut random = 0;
    for (at, digit) in text
        .iter_mut()
        .enumerate()
        .filter(|(at, _)| (3..35).contains(at) || (36..52).contains(at))
    {
        if at % 8 == 3 || at == 36 || random == 0 {
            random = record.worker().draw() | 1;
        }
        *digit = DIGITS.get((random & 15) as usize).copied().unwrap_or(b'0');
        random >>= 4;
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
}

/// RFC 7239 §4, made once per connection and host.
fn forwarded(record: &Record) -> HeaderValue {
    let peer = record.peer();
    let mut made = peer.forwarded.borrow_mut();
    if let Some((host, value)) = &*made
        && *host == record.host
    {
        return value.clone();
    }
    let address = peer.address();
    let node = if address.is_ipv6() {
        format!("\"[{address}]\"")
    } else {
        address.to_string()
    };
    let text = format!("for={node};host=\"{}\";proto={}", record.host, peer.scheme);
    let value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("for=unknown"));
    *made = Some((record.host.clone(), value.clone()));
    value
}

/// Who asks: the peer, or where that is a trusted proxy, the nearest address it names that is not one.
pub(crate) fn client(headers: &HeaderMap, record: &Record) -> std::net::IpAddr {
    let peer = record.peer();
    if !peer.is_trusted {
        return peer.address();
    }
    let trusted = &record.worker().plane.trusted;
    let lines: SmallVec<[&HeaderValue; 2]> = headers.get_all(X_FORWARDED_FOR).iter().collect();
    let mut nearest = peer.address();
    for line in lines.iter().rev() {
        for part in line.as_bytes().rsplit(|byte| *byte == b',') {
            let text = std::str::from_utf8(part.trim_ascii()).unwrap_or_default();
            let Ok(address) = text.parse::<std::net::IpAddr>() else {
                return nearest;
            };
            nearest = address.to_canonical();
            if !contains(trusted, nearest) {
                return nearest;
            }
        }
    }
    nearest
}

/// Takes out of an upstream's answer what was meant for this hop alone.
pub(crate) fn for_client(headers: &mut HeaderMap) {
    let named: Dropped = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        headers.remove(name);
    }
    // Ours to say, of this request's key; an upstream that echoes another's would mislead.
    headers.remove(KEY_RETIRES);
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
