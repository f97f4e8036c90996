//! What was built of the dashboard, packed and served.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::encoding;

/// What was built of `ui/`.
#[derive(RustEmbed)]
#[folder = "src/dashboard/dist/"]
struct Dist;

/// What is served, by name. Packed when a file is first asked for: once, in some tens of milliseconds.
static FILES: LazyLock<HashMap<Cow<'static, str>, File>> = LazyLock::new(|| {
    let files = Dist::iter().filter_map(|name| {
        let file = File::of(&name)?;
        Some((name, file))
    });
    files.collect()
});

/// A file as it is served.
struct File {
    kind: &'static str,
    plain: Form,
    /// As gzip, where that is shorter.
    packed: Option<Form>,
}

/// A file in one of its encodings.
struct Form {
    bytes: Bytes,
    /// A strong tag: the first half of the SHA-256 of these bytes, so that no two encodings have the same.
    tag: String,
}

impl File {
    fn of(name: &str) -> Option<Self> {
        let bytes = match Dist::get(name)?.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        let packed = packed(&bytes).filter(|packed| packed.len() < bytes.len());
        Some(Self {
            kind: kind(name)?,
            plain: Form::of(bytes),
            packed: packed.map(|packed| Form::of(packed.into())),
        })
    }
}

impl Form {
    fn of(bytes: Bytes) -> Self {
        let hash = Sha256::digest(&bytes);
        let digits = hash.iter().take(16).map(|byte| format!("{byte:02x}"));
        Self {
            tag: format!("\"{}\"", digits.collect::<String>()),
            bytes,
        }
    }
}

/// As gzip, without name and time: the same bytes at every gate of a version.
fn packed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).ok()
}

/// The page at each of its paths, and its files.
pub fn router() -> Router {
    let page = |headers: HeaderMap| async move { file("index.html", &headers) };
    let mut router = Router::new()
        .route(
            "/icon.svg",
            get(|headers: HeaderMap| async move { file("icon.svg", &headers) }),
        )
        .route("/assets/{name}", get(asset));
    for path in PAGES {
        router = router.route(path, get(page));
    }
    router
}

/// Where its pages are; the page itself knows which of them is asked for.
const PAGES: [&str; 11] = [
    "/",
    "/sign-in",
    "/keys",
    "/keys/{id}",
    "/keys/{id}/{tab}",
    "/audit",
    "/owners",
    "/products",
    "/policies",
    "/settings",
    "/reference",
];

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&format!("assets/{name}"), &headers)
}

fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = FILES.get(name) else {
        return missing();
    };
    let packed = file.packed.as_ref();
    let packed = packed.filter(|_| encoding::takes_gzip(headers));
    let form = packed.unwrap_or(&file.plain);
    let is_known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == form.tag);
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(form.bytes.clone()));
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
        if packed.is_some() {
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    };
    let is_named_by_content = name.starts_with("assets/");
    let kept = if is_named_by_content {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let fields = response.headers_mut();
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    fields.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    for (name, value) in FIELDS {
        fields.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::try_from(&form.tag) {
        fields.insert(ETAG, tag);
    }
    response
}

fn missing() -> Response {
    let body = "there is no such file; reload the page\n";
    let kind = (
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    (StatusCode::NOT_FOUND, [kind], body).into_response()
}

/// What a file is, by the end of its name; nothing else is built.
fn kind(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

/// What the page may do: load its own files and call its own origin; nothing inline, nothing of others, and
/// nobody frames it.
const FIELDS: [(HeaderName, &str); 4] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'self'",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_was_built_has_a_kind() {
        let files: Vec<_> = Dist::iter().collect();
        assert!(files.iter().any(|name| name == "index.html"), "{files:?}");
        for name in files {
            assert!(kind(&name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_page_names_only_files_that_are_there_and_has_nothing_inline() {
        let page = Dist::get("index.html").unwrap();
        let page = String::from_utf8(page.data.into_owned()).unwrap();
        let named: Vec<&str> = page
            .split('"')
            .filter(|text| text.starts_with('/'))
            .collect();
        assert!(named.len() >= 3, "{page}");
        for name in named {
            assert!(Dist::get(name.trim_start_matches('/')).is_some(), "{name}");
        }
        assert!(
            !page.contains("<style") && !page.contains("style="),
            "{page}"
        );
        for script in page.split("<script").skip(1) {
            let (attributes, rest) = script.split_once('>').unwrap();
            assert!(attributes.contains("src=\"/assets/"), "{script}");
            assert!(rest.starts_with("</script>"), "{script}");
        }
    }
}
