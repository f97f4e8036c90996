//! The dashboard: a page that people run the gate with. It calls the admin API like anyone.
//!
//! `ui/` holds its sources, `dist/` what was built of them, which is compiled in: building the gate needs no
//! Node, and a test of the browser suite holds that the one is the other. What is named after its content
//! is kept by browsers for ever; the page itself is asked for anew each time, by its tag.
//!
//! Only the paths of its own pages lead to the page; whatever else is asked for goes on to the admin API,
//! so that no call, metric or probe is ever answered by it.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

/// What was built of `ui/`.
#[derive(RustEmbed)]
#[folder = "src/dashboard/dist/"]
struct Dist;

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
    let Some(found) = Dist::get(name) else {
        return missing();
    };
    let Some(kind) = kind(name) else {
        return missing();
    };
    let tag = tag(&found);
    let is_known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag);
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(found.data.into_owned()));
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert(CONTENT_TYPE, kind);
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
    for (name, value) in FIELDS {
        fields.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
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

/// A strong tag: the first half of the content's SHA-256.
fn tag(found: &EmbeddedFile) -> String {
    let hash = found.metadata.sha256_hash();
    let digits = hash.iter().take(16).map(|byte| format!("{byte:02x}"));
    format!("\"{}\"", digits.collect::<String>())
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
