//! `GET /admin/audit-logs?type=&key_id=&key_version=&actor=&owner=&start_date=&end_date=&outcome=&code=
//! &request_id=&format=json|ndjson|csv&limit=&cursor=`: entries, the newest first.
//!
//! `start_date` and `end_date` are days in UTC, or times, and both belong to what is asked for. An export
//! is a page as well; where it goes on, `X-Next-Cursor` says. NDJSON has what `audit verify` needs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::admin::ask::{PageAsk, Params};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::audit::{Entry, NEXT_CURSOR};
use crate::api::page::Page;
use crate::domain::audit::export::{csv_head, csv_line};
use crate::domain::audit::query::{AuditQuery, Kind};
use crate::domain::time::Timestamp;

/// Lists audit entries.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    mut params: Params,
) -> Result<Response, Problem> {
    let query = query(&mut params);
    let format = params.read("format", FORMAT, Format::from_word);
    let PageAsk { limit, after, tag } = params.page()?;
    params.finish()?;
    let format = format.unwrap_or(Format::Json);
    let with_salts = format == Format::Ndjson;
    let found = shared
        .audit
        .list(&caller, query, limit, after.clone(), with_salts)
        .await?;
    let page = PageAsk::answer(tag, found, |found| Entry(found.form));
    Ok(match format {
        Format::Json => Json(page).into_response(),
        Format::Ndjson => export(&page, "application/x-ndjson", "ndjson", None),
        // The names stand once above the whole, not above every page of it.
        Format::Csv => export(
            &page,
            "text/csv; charset=utf-8",
            "csv",
            after.is_none().then(csv_head),
        ),
    })
}

fn export(
    page: &Page<Entry>,
    content_type: &'static str,
    extension: &str,
    head: Option<String>,
) -> Response {
    let mut text = String::new();
    if let Some(line) = head {
        text.push_str(&line);
        text.push_str("\r\n");
    }
    for entry in &page.items {
        if extension == "csv" {
            text.push_str(&csv_line(&entry.0));
            text.push_str("\r\n");
        } else {
            // An entry is made of JSON.
            text.push_str(&serde_json::to_string(entry).unwrap_or_default());
            text.push('\n');
        }
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    let file = format!("attachment; filename=\"audit-log.{extension}\"");
    set(CONTENT_DISPOSITION, &file);
    if let Some(cursor) = &page.next_cursor {
        set(HeaderName::from_static(NEXT_CURSOR), cursor);
    }
    (headers, text).into_response()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Ndjson,
    Csv,
}

impl Format {
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "json" => Some(Self::Json),
            "ndjson" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

fn query(params: &mut Params) -> AuditQuery {
    AuditQuery {
        kind: params
            .read(
                "type",
                "a type of audit entry, or `request`",
                Kind::from_word,
            )
            .unwrap_or_default(),
        key: params.read("key_id", "a key's id", |text| text.parse().ok()),
        key_version: params.read("key_version", "a number from 1 to 65535", |text| {
            text.parse().ok()
        }),
        actor: params.text("actor"),
        owner: params.read("owner", "an owner's id", |text| text.parse().ok()),
        from: params.read("start_date", DATE, |text| Some(day_or_time(text)?.0)),
        until: params.read("end_date", DATE, |text| Some(day_or_time(text)?.1)),
        is_refused: params.read("outcome", "`done` or `refused`", |text| match text {
            "done" => Some(false),
            "refused" => Some(true),
            _ => None,
        }),
        code: params.text("code"),
        request_id: params.text("request_id"),
    }
}

/// When a day or a millisecond begins, and when the next one does.
fn day_or_time(text: &str) -> Option<(Timestamp, Timestamp)> {
    let start_of = |date: jiff::civil::Date| {
        let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        let ms = u64::try_from(midnight.as_millisecond()).ok()?;
        Some(Timestamp::from_millis(ms))
    };
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some((time, Timestamp::from_millis(time.as_millis() + 1)));
    }
    // `2026-01-01`, and nothing that a civil date may have behind it.
    let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
    Some((start_of(date)?, start_of(date.tomorrow().ok()?)?))
}

const FORMAT: &str = "`json`, `ndjson` or `csv`";
const DATE: &str = "a day like 2026-01-31 or a time like 2026-01-31T12:00:00Z";

#[cfg(test)]
mod tests {
    use super::*;

    /// S3-08: both ends belong to it.
    #[test]
    fn a_day_is_whole_and_a_time_is_a_millisecond() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (text, from, until) in [
            ("2026-01-01", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("2028-02-29", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
            (
                "2026-01-01T10:00:00.5+02:00",
                "2026-01-01T08:00:00.500Z",
                "2026-01-01T08:00:00.501Z",
            ),
        ] {
            assert_eq!(day_or_time(text), Some((at(from), at(until))), "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "1969-01-01",
            "2026-01-01T10:00",
            "x",
        ] {
            assert_eq!(day_or_time(text), None, "{text}");
        }
    }
}
