//! The canonical reading of a request: router, permissions, log and upstream go by this and nothing else.
//!
//! A path that two machines could read differently is refused, not repaired: what was matched is byte
//! for byte what is forwarded. Only escapes of unreserved characters are decoded, since RFC 3986
//! §6.2.2.2 says they are the same path.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Uri};

use crate::domain::permission::Method;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::route::{Route, without_parameters};
use crate::proxy::wire::Authority;
use crate::state::routes::RouteTable;

/// Where a request is headed.
#[derive(Debug)]
pub(crate) struct Target {
    /// What it asks for.
    pub(crate) method: Method,
    /// The host it names.
    pub(crate) host: Host,
    /// The path; begins with `/`.
    pub(crate) path: Rc<str>,
    /// Whether the path has an escaped slash, which only some routes take.
    pub(crate) has_escaped_slash: bool,
    /// The query, as sent, without `?`.
    pub(crate) query: Option<String>,
}

/// The host a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// As it was sent, with its port.
    pub(crate) field: HeaderValue,
    /// Lower case, without its port.
    pub(crate) name: Rc<str>,
}

#[cfg(test)]
impl Host {
    /// A host as the client wrote it, in lower case and without a port.
    pub(crate) fn named(name: &'static str) -> Self {
        Self {
            field: HeaderValue::from_static(name),
            name: name.into(),
        }
    }
}

/// The host a connection named last: most connections name one.
pub(crate) type LastHost = RefCell<Option<Host>>;

impl Target {
    /// Reads a request, HTTP/1 or HTTP/2.
    ///
    /// # Errors
    /// `bad_request`, `method_not_allowed` (TRACE, CONNECT), `method_unknown`, `target_too_long`.
    pub(crate) fn of<B>(
        request: &Request<B>,
        target_max: usize,
        last: &LastHost,
    ) -> Result<Self, Refusal> {
        let method = method(request.method())?;
        let uri = request.uri();
        let length = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
        if length > target_max {
            return Err(RefusalCode::TargetTooLong.into());
        }
        let host = host(uri, request.headers(), last)?;
        let path = Rc::<str>::from(canonical(uri.path())?);
        Ok(Self {
            method,
            host,
            has_escaped_slash: path.contains('%') && path.contains(ESCAPED_SLASH),
            path,
            query: uri.query().map(str::to_owned),
        })
    }

    /// Whether its escaped slashes are what its route takes, and lead round no other: an upstream that reads
    /// them as slashes serves what another route is for, which may ask more of the key.
    ///
    /// # Errors
    /// `bad_request`.
    pub(crate) fn ensure_slashes_fit(
        &self,
        route: &Route,
        routes: &RouteTable,
    ) -> Result<(), Refusal> {
        const BAD: Refusal = Refusal::new(RefusalCode::BadRequest);
        if !self.has_escaped_slash {
            return Ok(());
        }
        if !route.keeps_encoded_slashes {
            return Err(BAD.because("the path has an escaped slash"));
        }
        let read = self.path.replace(ESCAPED_SLASH, "/");
        match routes.find(&self.host.name, &read, self.method) {
            Ok(other) if other.route.asks_more_than(route) => {
                Err(BAD.because("the path with its escaped slash read is another route's"))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether the path is below `/.portcullis/`, which is never forwarded.
    pub(crate) fn is_the_gates_own(&self) -> bool {
        &*self.path == "/.portcullis" || self.path.starts_with("/.portcullis/")
    }

    /// Path and query as the upstream is asked for them.
    pub(crate) fn path_and_query(&self) -> Cow<'_, str> {
        match &self.query {
            None => Cow::Borrowed(&self.path),
            Some(query) => Cow::Owned([&*self.path, "?", query].concat()),
        }
    }
}

fn method(method: &http::Method) -> Result<Method, Refusal> {
    match method.as_str() {
        "TRACE" | "CONNECT" => Err(RefusalCode::MethodNotAllowed.into()),
        token => Method::from_token(token).ok_or(RefusalCode::MethodUnknown.into()),
    }
}

/// The one host of a request: of its target and its `Host` field, each a host by the same strict reading
/// in every version of HTTP, and not at odds (RFC 9112 §3.2, RFC 9113 §8.3.1).
fn host(uri: &Uri, headers: &HeaderMap, last: &LastHost) -> Result<Host, Refusal> {
    const BAD: Refusal = Refusal::new(RefusalCode::BadRequest);
    let mut fields = headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(BAD.because("there is more than one Host field"));
    }
    if uri.authority().is_none()
        && let Some(last) = &*last.borrow()
        && Some(&last.field) == field
    {
        return Ok(last.clone());
    }
    let named = match field {
        None => None,
        Some(value) => {
            let parsed = Authority::parse(value.as_bytes());
            Some(parsed.ok_or(BAD.because("the Host field is not a host"))?)
        }
    };
    let invalid = BAD.because("the host is not valid");
    let target = uri.authority().map(http::uri::Authority::as_str);
    let aimed = match target {
        None => None,
        Some(text) => Some(Authority::parse(text.as_bytes()).ok_or(invalid)?),
    };
    let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
    let port = if is_tls { 443 } else { 80 };
    let authority = match (aimed, named) {
        (Some(aimed), Some(named)) if !aimed.is_same(named, port) => {
            return Err(BAD.because("the Host field is not the target's host"));
        }
        (Some(authority), _) | (None, Some(authority)) => authority,
        (None, None) => return Err(BAD.because("there is no host")),
    };
    let field = match field {
        Some(field) => field.clone(),
        // HTTP/2 has it in the target; Host is a copy, with the port (RFC 9113 §8.3.1).
        None => HeaderValue::from_str(target.unwrap_or_default()).map_err(|_| invalid)?,
    };
    let name = std::str::from_utf8(authority.host()).map_err(|_| invalid)?;
    let host = Host {
        field,
        name: name.to_ascii_lowercase().into(),
    };
    *last.borrow_mut() = Some(host.clone());
    Ok(host)
}

/// A path in its one canonical form, or why it has none.
///
/// # Errors
/// `bad_request` for dot segments, plain or escaped, also with `;parameters`, whose `;` may be escaped, and
/// between escaped slashes;
/// escaped `\`, NUL or control characters; broken escapes; and anything that is no path. An escaped slash
/// is for the route to judge.
pub(crate) fn canonical(path: &str) -> Result<Cow<'_, str>, Refusal> {
    const BAD: Refusal = Refusal::new(RefusalCode::BadRequest);
    if !path.starts_with('/') {
        return Err(BAD.because("the target is not a path"));
    }
    let decoded = if path.contains('%') {
        Cow::Owned(decode(path)?)
    } else {
        Cow::Borrowed(path)
    };
    if decoded
        .bytes()
        .any(|byte| byte <= b' ' || byte >= 0x7f || byte == b'\\' || byte == b'#')
    {
        return Err(BAD.because("the path has characters that no path has"));
    }
    let is_dots = |segment: &str| matches!(without_parameters(segment), "." | "..");
    let mut segments = decoded
        .split('/')
        .flat_map(|segment| segment.split(ESCAPED_SLASH));
    if decoded.contains('.') && segments.any(is_dots) {
        return Err(BAD.because("the path has dot segments"));
    }
    Ok(decoded)
}

/// Decodes escapes of unreserved characters (RFC 3986 §2.3) and writes the others in upper case.
fn decode(path: &str) -> Result<String, Refusal> {
    const BAD: Refusal = Refusal::new(RefusalCode::BadRequest);
    let mut parts = path.split('%');
    let mut out = String::with_capacity(path.len());
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let broken = BAD.because("the path has a broken escape");
        let (digits, rest) = part.split_at_checked(2).ok_or(broken)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(broken);
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| broken)?;
        match byte {
            b'\\' => return Err(BAD.because("the path has an escaped backslash")),
            0..=0x1f | 0x7f => return Err(BAD.because("the path has an escaped control character")),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte))
            }
            _ => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
            }
        }
        out.push_str(rest);
    }
    Ok(out)
}

/// As a canonical path has it.
const ESCAPED_SLASH: &str = "%2F";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_path_is_forwarded_as_it_came() {
        for path in [
            "/",
            "/a/b",
            "/a//b/",
            "/a.b/..c/.d",
            "/%20",
            "/a%3Fb",
            "/~x-_",
            "/a;v=1/b",
            "/a%3Bv..;../b",
            "/%E2%82%AC",
        ] {
            assert_eq!(canonical(path).as_deref(), Ok(path));
        }
    }

    #[test]
    fn escapes_of_what_needs_none_are_decoded_and_others_written_alike() {
        for (sent, read) in [
            ("/%61", "/a"),
            ("/%7e", "/~"),
            ("/a%2db", "/a-b"),
            ("/%3f", "/%3F"),
            ("/%e2%82%ac", "/%E2%82%AC"),
            ("/a%2fb", "/a%2Fb"),
        ] {
            assert_eq!(canonical(sent).as_deref(), Ok(read));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for path in [
            "",
            "*",
            "a",
            "/..",
            "/.",
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/%2e%2e/b",
            "/.%2e/b",
            "/%2E/b",
            "/..;/b",
            "/..;a=1/b",
            "/..%3b/b",
            "/..%3Ba=1",
            "/.%3b/b",
            "/a%2f..%3b;x/b",
            "/.;x",
            "/%2e%2e;x/b",
            "/a%2f..",
            "/a/..%2Fb",
            "/a%2f%2e%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00b",
            "/a%0a",
            "/a%7f",
            "/%",
            "/%2",
            "/%zz",
            "/%+1",
            "/a#b",
            "/a b",
        ] {
            assert_eq!(
                canonical(path).map_err(|refusal| refusal.code),
                Err(RefusalCode::BadRequest),
                "{path}"
            );
        }
    }

    #[test]
    fn the_host_is_one_and_the_same_everywhere() {
        let read = |uri: &str, hosts: &[&str]| {
            let mut builder = Request::builder().uri(uri);
            for host in hosts {
                builder = builder.header(HOST, *host);
            }
            Target::of(&builder.body(()).unwrap(), 100, &LastHost::default())
                .map(|target| target.host.name.to_string())
                .map_err(|refusal| refusal.code)
        };
        let bad = Err(RefusalCode::BadRequest);
        assert_eq!(
            read("/x", &["API.example.com:8080"]).as_deref(),
            Ok("api.example.com")
        );
        assert_eq!(read("http://a/x", &["a"]).as_deref(), Ok("a"));
        assert_eq!(read("/x", &["[::1]:80"]).as_deref(), Ok("[::1]"));
        assert_eq!(read("http://a/x", &["b"]), bad);
        assert_eq!(read("http://a:1/x", &["a:2"]), bad);
        assert_eq!(read("/x", &[]), bad);
        assert_eq!(read("/x", &["a", "a"]), bad);
        assert_eq!(read("/x", &["u@a"]), bad);
        assert_eq!(read("/x", &[""]), bad);
    }

    /// In HTTP/2 nothing stands before this that would have judged it.
    #[test]
    fn an_authority_is_read_as_strictly_as_a_host_field() {
        let read = |authority: &str, host: Option<&str>| {
            let uri = Uri::builder()
                .scheme("http")
                .authority(authority)
                .path_and_query("/");
            let mut request = Request::builder().uri(uri.build().ok()?);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let request = request.body(()).ok()?;
            let target = Target::of(&request, 100, &LastHost::default()).ok()?;
            Some((target.host.name.to_string(), target.host.field))
        };
        for good in ["a.example:8443", "127.0.0.1", "[::1]:80", "A_b.c"] {
            let (_, field) = read(good, None).unwrap();
            assert_eq!(field, good, "{good}");
        }
        for bad in [
            "x:99999", "x:", "x:0", "x:080", "x,y", "x;a=b", "*.x", "[v1.a]", "[::1]x", "u@x",
            "x:80:80", "a%2eb", "",
        ] {
            assert_eq!(read(bad, None), None, "{bad}");
            assert_eq!(read(bad, Some("x")), None, "{bad}");
            assert_eq!(read("x", Some(bad)), None, "{bad}");
            assert_eq!(read(bad, Some(bad)), None, "{bad}");
        }
        assert_eq!(read("x:99999", Some("x:88888")), None);
        assert_eq!(read("x", Some("X:80")).unwrap().0, "x");
        assert_eq!(read("x:8443", Some("x")), None);
    }

    #[test]
    fn a_target_may_be_as_long_as_the_bound() {
        let read = |uri: &str| {
            let request = Request::builder()
                .uri(uri)
                .header(HOST, "a")
                .body(())
                .unwrap();
            Target::of(&request, 8, &LastHost::default())
                .map(|_| ())
                .map_err(|refusal| refusal.code)
        };
        assert_eq!(read("/234567?"), Ok(()));
        assert_eq!(read("/23456?8"), Ok(()));
        assert_eq!(read("/23456?89"), Err(RefusalCode::TargetTooLong));
    }
}
