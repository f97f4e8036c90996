//! Whether who asks takes gzip (RFC 9110 §12.5.3).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// Whether `Accept-Encoding` admits gzip, and nothing at all is not liked better.
///
/// Who says nothing is sent what was built: not every client that can ask can unpack.
pub(super) fn takes_gzip(fields: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    let fields = fields.get_all(ACCEPT_ENCODING).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    for (coding, weight) in fields.flat_map(|field| field.split(',')).map(weighed) {
        let place = if ["gzip", "x-gzip"]
            .iter()
            .any(|it| coding.eq_ignore_ascii_case(it))
        {
            &mut gzip
        } else if coding.eq_ignore_ascii_case("identity") {
            &mut identity
        } else if coding == "*" {
            &mut any
        } else {
            continue;
        };
        *place = Some(weight);
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// A coding, and its weight in thousandths; one that is none admits nothing.
fn weighed(text: &str) -> (&str, u16) {
    let (coding, parameter) = text.split_once(';').unwrap_or((text, "q=1"));
    let parameter = parameter.trim();
    let weight = parameter
        .strip_prefix("q=")
        .or_else(|| parameter.strip_prefix("Q="));
    (coding.trim(), weight.and_then(thousandths).unwrap_or(0))
}

/// A `qvalue` (RFC 9110 §12.4.2): 0 to 1 with at most three digits after the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let rest: u16 = format!("{rest:0<3}").parse().ok()?;
    match (whole, rest) {
        ("0", _) => Some(rest),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn takes(fields: &[&'static str]) -> bool {
        let mut all = HeaderMap::new();
        for text in fields {
            all.append(ACCEPT_ENCODING, HeaderValue::from_static(text));
        }
        takes_gzip(&all)
    }

    #[test]
    fn gzip_is_for_who_admits_it() {
        for text in [
            "gzip",
            "GZIP",
            "x-gzip",
            "gzip, deflate, br, zstd",
            "br;q=1.0, gzip;q=0.8, *;q=0.1",
            "*",
            "gzip;q=0.001",
            "gzip ; Q=1.000",
            "identity;q=0.5, gzip;q=0.5",
            "identity;q=0, *",
            ", gzip,",
        ] {
            assert!(takes(&[text]), "{text}");
        }
        assert!(takes(&["br", "gzip"]));
    }

    #[test]
    fn who_does_not_admit_it_or_likes_it_less_gets_what_was_built() {
        for text in [
            "",
            "identity",
            "br, deflate",
            "gzip;q=0",
            "gzip;q=0.000, *",
            "*;q=0",
            "identity, gzip;q=0.9",
            "gzipped",
            // No weights.
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.0001",
            "gzip;q=",
            "gzip;q=-1",
            "gzip;level=9",
        ] {
            assert!(!takes(&[text]), "{text}");
        }
        assert!(!takes(&[]));
    }
}
