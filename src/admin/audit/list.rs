//! `GET /admin/audit-logs?type=&key_id=&key_version=&actor=&owner=&start_date=&end_date=&outcome=&code=
//! &request_id=&format=json|ndjson|csv&limit=&cursor=`: entries, the newest first.
//!
//! `start_date` and `end_date` are days in UTC, or times, and both belong to what is asked for. An export
//! is a page as well; where it goes on, `X-Next-Cursor` says. NDJSON has what `audit verify` needs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::admin::about::{About, example};
use crate::admin::ask::{PageAsk, Params, moment};
use crate::admin::auth::By;
use crate::admin::export::{self, Format};
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::audit::Entry;
use crate::api::form;
use crate::api::page::Page;
use crate::domain::audit::export::{csv_head, csv_line};
use crate::domain::audit::query::{AuditQuery, Kind};
use crate::domain::time::Moment;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "listAuditLogs",
        "List what was done",
        "The newest first: changes, refused attempts and requests. An export is a page as well; NDJSON has what `portcullis audit verify` needs.",
    )
    .query::<form::EntryType>("type", "key_rotation", "Those of this type.")
    .query::<form::KeyRef>("key_id", "key_3fXk29QmZa", "Those about this key.")
    .query::<form::VersionNumber>("key_version", 2, "Those about a version of this number.")
    .query::<String>("actor", "tok_5Rt8vBn3Xc", "Those of what this one did.")
    .query::<form::OwnerRef>("owner", "usr_7Gh2kQw9Lp", "Those about this owner or its keys.")
    .query::<form::Moment>("start_date", "2026-01-01", "From when on: a day in UTC, or a time.")
    .query::<form::Moment>("end_date", "2026-01-31", "Until when; it belongs to it.")
    .query::<form::Outcome>("outcome", "refused", "What was done, or what was refused.")
    .query::<String>("code", "key_revoked", "What was refused for this.")
    .query::<String>("request_id", "req_0Ab1Cd2Ef3Gh4Ij5", "What belongs to this request.")
    .query::<form::ExportForm>("format", "json", "The form of the answer.")
    .paged()
    .answer::<Page<Entry>>(200, "A page of entries.", example::page(example::audit_entry()))
    .exported(
        "{\"id\":\"aud_6Tg7Yh8Uj9\",\"seq\":1812,…}\n",
        "id,seq,timestamp,…\r\n",
    )
}

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
    let format = Format::read(&mut params);
    let PageAsk { limit, after, tag } = params.page()?;
    params.finish()?;
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
            let lines = lines.into_iter().map(Entry);
            export::ndjson(lines, "audit-log", page.next_cursor.as_deref())
        }
        Format::Csv => {
            // The names stand once above the whole, not above every page of it.
            let head = after.is_none().then(csv_head);
            let lines = page.items.iter().map(|entry| csv_line(&entry.0));
            let lines = head.into_iter().chain(lines);
            export::csv(lines, "audit-log", page.next_cursor.as_deref())
        }
    })
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
            text.parse().ok().filter(|number| *number > 0)
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
