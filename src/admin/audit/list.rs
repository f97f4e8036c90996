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

use crate::admin::ask::{PageAsk, Params, moment};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::audit::{Entry, NEXT_CURSOR};
use crate::api::page::Page;
use crate::domain::audit::export::{csv_head, csv_line};
use crate::domain::audit::query::{AuditQuery, Kind};
use crate::domain::time::Moment;

/// Lists audit entries.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    mut params: Params,
) -> Result<Response, Problem> {
    let query = query(&mut params);
    let is_whole = AuditQuery {
        from: query.from,
        until: query.until,
        ..AuditQuery::default()
    } == query
        && caller.bound_to.is_none();
    let format = params.read("format", FORMAT, Format::from_word);
    let PageAsk { limit, after, tag } = params.page()?;
    params.finish()?;
    let format = format.unwrap_or(Format::Json);
    let with_salts = format == Format::Ndjson;
    let found = shared
        .audit
        .list(&caller, query, limit, after.clone(), with_salts)
        .await?;
    let mut lines = Vec::new();
    // Where nothing in between is left out, whoever verifies it can use them.
    if with_salts && is_whole {
        lines = shared.audit.checkpoints(&found.items).await?;
    }
    let page = PageAsk::answer(tag, found, |found| Entry(found.form));
    Ok(match format {
        Format::Json => Json(page).into_response(),
        Format::Ndjson => {
            lines.extend(page.items.iter().map(|entry| entry.0.clone()));
            // An entry is made of JSON.
            let lines = lines.into_iter().map(Entry);
            let lines = lines.map(|line| serde_json::to_string(&line).unwrap_or_default());
            export(lines, &page, "application/x-ndjson", "ndjson")
        }
        Format::Csv => {
            // The names stand once above the whole, not above every page of it.
            let head = after.is_none().then(csv_head);
            let lines = page.items.iter().map(|entry| csv_line(&entry.0));
            let lines = head.into_iter().chain(lines);
            export(lines, &page, "text/csv; charset=utf-8", "csv")
        }
    })
}

fn export(
    lines: impl Iterator<Item = String>,
    page: &Page<Entry>,
    content_type: &'static str,
    extension: &str,
) -> Response {
    let end = if extension == "csv" { "\r\n" } else { "\n" };
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
        from: moment(params, "start_date").map(Moment::begins),
        until: moment(params, "end_date").map(Moment::ends),
        is_refused: params.read("outcome", "`done` or `refused`", |text| match text {
            "done" => Some(false),
            "refused" => Some(true),
            _ => None,
        }),
        code: params.text("code"),
        request_id: params.text("request_id"),
    }
}

const FORMAT: &str = "`json`, `ndjson` or `csv`";
