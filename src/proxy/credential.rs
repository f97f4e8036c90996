//! Finds the credential in a request and takes it out, so that no upstream ever sees it.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, Entry, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::route::KeySource;
use crate::domain::secret::CREDENTIAL_MAX;
use crate::domain::token::SESSION_COOKIE;
use crate::proxy::cookies;
use crate::proxy::query;
use crate::proxy::target::Target;

/// The field a key is read from unless a route says otherwise.
pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request showed, taken out of it: a view of the field it stood in where that was all of it.
#[derive(Clone)]
pub(crate) enum Credential {
    /// A whole field value.
    Field(HeaderValue),
    /// Part of something: a Bearer token, a cookie, a query parameter.
    Part(Zeroizing<Vec<u8>>),
}

impl Credential {
    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Field(value) => value.as_bytes(),
            Self::Part(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Takes the credential out of a request, from wherever its route reads it.
///
/// The usual places are emptied on every route, on keyless ones too: a client that sends its key to the
/// wrong route has not asked for it to be passed on. So is a session of the dashboard, which opens the admin
/// API to whoever holds it. `None` only where no key is asked for.
///
/// # Errors
/// `ambiguous_credential` for two credentials, a field sent twice or a list; `missing_key` for none
/// where one is asked for; `unknown_key` for what is too long to be one.
pub(crate) fn take(
    headers: &mut HeaderMap,
    target: &mut Target,
    source: &KeySource,
    prefix: &str,
) -> Result<Option<Credential>, Refusal> {
    // A browser sends the dashboard's cookie to every port of a host, and so to a gate's own routes.
    if headers.contains_key(COOKIE) {
        drop(cookies::cut(headers, SESSION_COOKIE));
    }
    let mut usual = Found::default();
    take_field(headers, &X_API_KEY, &mut usual)?;
    take_authorization(headers, prefix, *source == KeySource::Default, &mut usual)?;
    let mut own = Found::default();
    match source {
        KeySource::Default | KeySource::None => own = usual,
        KeySource::Header(name) => {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap_or(X_API_KEY);
            take_field(headers, &name, &mut own)?;
            own.alone(usual)?;
        }
        KeySource::Cookie(name) => {
            take_cookie(headers, name, &mut own)?;
            own.alone(usual)?;
        }
        KeySource::Query(name) => {
            take_query(target, name, &mut own)?;
            own.alone(usual)?;
        }
    }
    if *source == KeySource::None {
        return Ok(None);
    }
    let credential = own.credential.ok_or(RefusalCode::MissingKey)?;
    let bytes = credential.as_bytes();
    if bytes.contains(&b',') {
        Err(RefusalCode::AmbiguousCredential.into())
    } else if bytes.is_empty() {
        Err(RefusalCode::MissingKey.into())
    } else if bytes.len() > CREDENTIAL_MAX {
        Err(RefusalCode::UnknownKey.into())
    } else {
        Ok(Some(credential))
    }
}

/// The one credential of some place, so far.
#[derive(Default)]
struct Found {
    credential: Option<Credential>,
    /// A key of ours was shown where none is read from: it is not used, and goes no further.
    has_stray: bool,
}

impl Found {
    fn add(&mut self, credential: Credential) -> Result<(), Refusal> {
        match self.credential.replace(credential) {
            None => Ok(()),
            Some(_) => Err(RefusalCode::AmbiguousCredential.into()),
        }
    }

    fn stray(&mut self) -> Result<(), Refusal> {
        self.has_stray = true;
        match self.credential {
            None => Ok(()),
            Some(_) => Err(RefusalCode::AmbiguousCredential.into()),
        }
    }

    /// Whether nothing was found elsewhere besides.
    fn alone(&self, elsewhere: Self) -> Result<(), Refusal> {
        let is_elsewhere = elsewhere.credential.is_some() || elsewhere.has_stray;
        if self.credential.is_some() && is_elsewhere {
            return Err(RefusalCode::AmbiguousCredential.into());
        }
        Ok(())
    }
}

fn take_field(
    headers: &mut HeaderMap,
    name: &HeaderName,
    found: &mut Found,
) -> Result<(), Refusal> {
    let Entry::Occupied(field) = headers.entry(name) else {
        return Ok(());
    };
    if field.iter().nth(1).is_some() {
        return Err(RefusalCode::AmbiguousCredential.into());
    }
    found.add(Credential::Field(field.remove()))
}

/// What `Authorization` shows. A Bearer token (RFC 6750 §2.1) is a credential; one that is not of our
/// form is the API's own where the key is read from elsewhere or none is asked for, and also beside
/// `X-API-Key`: it is left. A key of ours that stands there in another way goes no further either.
fn take_authorization(
    headers: &mut HeaderMap,
    prefix: &str,
    may_be_any: bool,
    found: &mut Found,
) -> Result<(), Refusal> {
    let Entry::Occupied(field) = headers.entry(AUTHORIZATION) else {
        return Ok(());
    };
    if field.iter().nth(1).is_some() {
        return Err(RefusalCode::AmbiguousCredential.into());
    }
    let value = field.get().as_bytes();
    let (scheme, rest) = scheme(value);
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer");
    if is_bearer && (is_ours(rest, prefix) || may_be_any && found.credential.is_none()) {
        let token = Zeroizing::new(rest.to_vec());
        field.remove();
        return found.add(Credential::Part(token));
    }
    if shows_ours(value, prefix) || has_basic_ours(scheme, rest, prefix) {
        field.remove();
        return found.stray();
    }
    Ok(())
}

/// The scheme and what follows it; clients have been seen to put a tab between them.
fn scheme(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t'));
    let (scheme, rest) = value
        .split_at_checked(end.unwrap_or(value.len()))
        .unwrap_or_default();
    (scheme, rest.trim_ascii())
}

/// Whether something begins as our secrets do.
fn is_ours(text: &[u8], prefix: &str) -> bool {
    text.strip_prefix(prefix.as_bytes())
        .is_some_and(|rest| rest.starts_with(b"_"))
}

/// Whether any word of a field does: a token after whatever scheme, a parameter's value.
fn shows_ours(value: &[u8], prefix: &str) -> bool {
    let between = |byte: &u8| matches!(byte, b' ' | b'\t' | b',' | b';' | b'=' | b'"' | b'\'');
    value.split(between).any(|word| is_ours(word, prefix))
}

/// Whether the user or the password of `Basic` does (RFC 7617 §2).
fn has_basic_ours(scheme: &[u8], rest: &[u8], prefix: &str) -> bool {
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return false;
    }
    let pair = LENIENT.decode(rest).map(Zeroizing::new).unwrap_or_default();
    let mut parts = pair.splitn(2, |byte| *byte == b':');
    parts.any(|part| is_ours(part, prefix))
}

/// Base64 with its padding or without, as servers take it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn take_cookie(headers: &mut HeaderMap, name: &str, found: &mut Found) -> Result<(), Refusal> {
    for value in cookies::cut(headers, name) {
        let bare = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""))
            .unwrap_or(&value);
        found.add(Credential::Part(Zeroizing::new(bare.to_vec())))?;
    }
    Ok(())
}

fn take_query(target: &mut Target, name: &str, found: &mut Found) -> Result<(), Refusal> {
    for value in query::cut(&mut target.query, name) {
        found.add(Credential::Part(value))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::permission::Method;

    const OURS: &str = "pk_live_x";

    fn take_from(
        fields: &[(&'static str, &str)],
        query: Option<&str>,
        source: &KeySource,
    ) -> (
        Result<Option<String>, RefusalCode>,
        Vec<String>,
        Option<String>,
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let mut target = Target {
            method: Method::Get,
            host: crate::proxy::target::Host::named("h"),
            path: "/".into(),
            has_escaped_slash: false,
            query: query.map(str::to_owned),
        };
        let taken = take(&mut headers, &mut target, source, "pk");
        let text =
            |credential: Credential| String::from_utf8_lossy(credential.as_bytes()).into_owned();
        let left = headers
            .iter()
            .map(|(n, v)| format!("{n}: {}", v.to_str().unwrap()))
            .collect();
        (
            taken.map(|it| it.map(text)).map_err(|it| it.code),
            left,
            target.query,
        )
    }

    #[track_caller]
    fn check(
        fields: &[(&'static str, &str)],
        source: &KeySource,
        expected: Result<Option<&str>, RefusalCode>,
        left: &[&str],
    ) {
        let (taken, fields, _) = take_from(fields, None, source);
        assert_eq!(taken, expected.map(|it| it.map(str::to_owned)));
        if taken.is_ok() {
            assert_eq!(fields, left);
        }
    }

    #[test]
    fn the_usual_places() {
        let source = &KeySource::Default;
        let ambiguous = Err(RefusalCode::AmbiguousCredential);
        check(&[("x-api-key", OURS)], source, Ok(Some(OURS)), &[]);
        check(
            &[("authorization", "Bearer pk_live_x")],
            source,
            Ok(Some(OURS)),
            &[],
        );
        check(
            &[("authorization", "bearer  other")],
            source,
            Ok(Some("other")),
            &[],
        );
        check(&[], source, Err(RefusalCode::MissingKey), &[]);
        check(
            &[("x-api-key", "")],
            source,
            Err(RefusalCode::MissingKey),
            &[],
        );
        check(
            &[("authorization", "Basic eDp5")],
            source,
            Err(RefusalCode::MissingKey),
            &[],
        );
        check(
            &[("x-api-key", OURS), ("x-api-key", OURS)],
            source,
            ambiguous,
            &[],
        );
        check(&[("x-api-key", "a,b")], source, ambiguous, &[]);
        check(
            &[("x-api-key", OURS), ("authorization", "Bearer pk_y")],
            source,
            ambiguous,
            &[],
        );
        let long = "x".repeat(CREDENTIAL_MAX + 1);
        check(
            &[("x-api-key", &long)],
            source,
            Err(RefusalCode::UnknownKey),
            &[],
        );
        check(
            &[("x-api-key", &long[1..])],
            source,
            Ok(Some(&long[1..])),
            &[],
        );
    }

    #[test]
    fn a_foreign_token_beside_a_key_is_the_apis_own() {
        let fields = [("x-api-key", OURS), ("authorization", "Bearer eyJ")];
        check(
            &fields,
            &KeySource::Default,
            Ok(Some(OURS)),
            &["authorization: Bearer eyJ"],
        );
    }

    #[test]
    fn a_key_in_authorization_is_ours_whatever_stands_before_it() {
        let missing = Err(RefusalCode::MissingKey);
        let ambiguous = Err(RefusalCode::AmbiguousCredential);
        for value in [
            "Bearer\tpk_live_x",
            "bearer \t pk_live_x",
            "BEARER   pk_live_x",
        ] {
            let fields = [("authorization", value)];
            check(&fields, &KeySource::Default, Ok(Some(OURS)), &[]);
        }
        for value in [
            "Token pk_live_x",
            "ApiKey\tpk_live_x",
            "pk_live_x",
            "Token token=\"pk_live_x\", v=1",
            "Digest username=pk_live_x",
            // `pk_live_x:` and `user:pk_live_x`.
            "Basic cGtfbGl2ZV94Og==",
            "basic dXNlcjpwa19saXZlX3g",
        ] {
            let alone = [("authorization", value)];
            let (taken, left, _) = take_from(&alone, None, &KeySource::Default);
            assert_eq!(
                (taken.map(|_| ()), left.len()),
                (missing.map(|_: ()| ()), 0),
                "{value}"
            );
            check(&alone, &KeySource::None, Ok(None), &[]);
            let beside = [("x-api-key", OURS), ("authorization", value)];
            check(&beside, &KeySource::Default, ambiguous, &[]);
            let elsewhere = [("x-token", OURS), ("authorization", value)];
            let source = KeySource::Header("x-token".into());
            check(&elsewhere, &source, ambiguous, &[]);
        }
    }

    #[test]
    fn what_is_not_ours_in_authorization_is_left() {
        for value in [
            "Bearer eyJ.pk_.x",
            "Basic dXNlcjpwYXNz",
            "Basic not/base-64",
            "Digest username=\"a\", realm=\"spk_x\"",
            "Token xpk_live_x",
        ] {
            let fields = [("x-api-key", OURS), ("authorization", value)];
            let left = format!("authorization: {value}");
            check(&fields, &KeySource::Default, Ok(Some(OURS)), &[&left]);
        }
    }

    #[test]
    fn a_keyless_route_passes_no_key_on() {
        let ours = [("x-api-key", OURS)];
        check(&ours, &KeySource::None, Ok(None), &[]);
        check(
            &[("authorization", "Bearer pk_x")],
            &KeySource::None,
            Ok(None),
            &[],
        );
        let foreign = [("authorization", "Bearer eyJ")];
        check(
            &foreign,
            &KeySource::None,
            Ok(None),
            &["authorization: Bearer eyJ"],
        );
    }

    #[test]
    fn another_field_a_cookie_or_the_query_are_read_where_a_route_says_so() {
        let header = KeySource::Header("x-token".into());
        check(&[("x-token", OURS)], &header, Ok(Some(OURS)), &[]);
        check(
            &[("x-api-key", OURS)],
            &header,
            Err(RefusalCode::MissingKey),
            &[],
        );
        let both = [("x-token", OURS), ("x-api-key", OURS)];
        check(&both, &header, Err(RefusalCode::AmbiguousCredential), &[]);

        let cookie = KeySource::Cookie("key".into());
        check(
            &[("cookie", "a=1; key=pk_live_x; b=2")],
            &cookie,
            Ok(Some(OURS)),
            &["cookie: a=1; b=2"],
        );
        check(&[("cookie", "key=\"v\"")], &cookie, Ok(Some("v")), &[]);
        let twice = [("cookie", "key=a; key=b")];
        check(&twice, &cookie, Err(RefusalCode::AmbiguousCredential), &[]);

        let query = KeySource::Query("api_key".into());
        let (taken, _, left) = take_from(&[], Some("a=1&api_key=v&b"), &query);
        assert_eq!(
            (taken, left.as_deref()),
            (Ok(Some("v".into())), Some("a=1&b"))
        );
        let (taken, _, left) = take_from(&[], Some("api_key=v"), &query);
        assert_eq!((taken, left), (Ok(Some("v".into())), None));
        for twice in ["api_key=v&api_key=w", "api_key=v&%61pi_key=v"] {
            let (taken, ..) = take_from(&[], Some(twice), &query);
            assert_eq!(taken, Err(RefusalCode::AmbiguousCredential));
        }
    }
}
