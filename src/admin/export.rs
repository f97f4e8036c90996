//! Pages as files: NDJSON and CSV, a line for each item.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use crate::admin::ask::Params;
use crate::api::audit::NEXT_CURSOR;

/// In which form a page is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// As any other list.
    #[default]
    Json,
    /// An object a line.
    Ndjson,
    /// A line of cells each.
    Csv,
}

impl Format {
    /// The form that the parameter `format` asks for.
    pub(crate) fn read(params: &mut Params) -> Self {
        let format = params.read("format", "`json`, `ndjson` or `csv`", |word| match word {
            "json" => Some(Self::Json),
            "ndjson" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            _ => None,
        });
        format.unwrap_or_default()
    }
}

/// Items as NDJSON, in a file of this name.
pub(crate) fn ndjson<T: Serialize>(
    items: impl Iterator<Item = T>,
    name: &str,
    next: Option<&str>,
) -> Response {
    // What is exported is made of JSON.
    let lines = items.map(|item| serde_json::to_string(&item).unwrap_or_default());
    file(lines, "\n", "application/x-ndjson", (name, "ndjson"), next)
}

/// Lines of CSV, in a file of this name.
pub(crate) fn csv(lines: impl Iterator<Item = String>, name: &str, next: Option<&str>) -> Response {
    file(
        lines,
        "\r\n",
        "text/csv; charset=utf-8",
        (name, "csv"),
        next,
    )
}

fn file(
    lines: impl Iterator<Item = String>,
    end: &str,
    content_type: &'static str,
    (name, extension): (&str, &str),
    next: Option<&str>,
) -> Response {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        text.push_str(end);
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    let file = format!("attachment; filename=\"{name}.{extension}\"");
    set(CONTENT_DISPOSITION, &file);
    if let Some(cursor) = next {
        set(HeaderName::from_static(NEXT_CURSOR), cursor);
    }
    (headers, text).into_response()
}
