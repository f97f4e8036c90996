//! `GET /admin/keys?status=&name=&owner=&env=&product=&label=&stale=&sort=&limit=&cursor=`: keys, with
//! their live versions.
//!
//! `label` is `name` or `name=value`; `stale=true` are those unused for 30 days, `false` the others.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;

use crate::admin::ask::{PageAsk, Params};
use crate::admin::auth::By;
use crate::admin::keys::wire;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api;
use crate::api::page::Page;
use crate::domain::badge::STALE_AFTER;
use crate::domain::key::KeyStatus;
use crate::domain::query::{KeyQuery, KeySort, SortField};
use crate::domain::time::Timestamp;

/// Lists keys.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    mut params: Params,
) -> Result<Json<Page<api::keys::Key>>, Problem> {
    let now = shared.clock.now();
    let query = query(&mut params, now);
    let sort = params.read("sort", SORT, sort).unwrap_or_default();
    let PageAsk { limit, after, tag } = params.page()?;
    params.finish()?;
    let keys = shared.keys.list(&caller, query, sort, limit, after).await?;
    let wire = |view| wire(&view, now).live_only();
    Ok(Json(PageAsk::answer(tag, keys, wire)))
}

fn query(params: &mut Params, now: Timestamp) -> KeyQuery {
    // A badge calls a key stale at exactly 30 days, the store asks for *before*: hence the millisecond.
    let line = now.before(STALE_AFTER).after(Duration::from_millis(1));
    let stale = params.read("stale", "`true` or `false`", |text| text.parse().ok());
    KeyQuery {
        status: params.read("status", STATUS, KeyStatus::from_word),
        name: params.text("name"),
        owner: params.read("owner", "an owner's id", |text| text.parse().ok()),
        env: params.text("env"),
        product: params.text("product"),
        label: params.text("label").map(label),
        stale: stale.map(|stale| (line, stale)),
        now,
    }
}

fn label(text: String) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text, None),
    }
}

fn sort(text: &str) -> Option<KeySort> {
    let (word, descending) = match text.strip_prefix('-') {
        Some(word) => (word, true),
        None => (text, false),
    };
    let by = match word {
        "name" => SortField::Name,
        "created_at" => SortField::CreatedAt,
        "last_used_at" => SortField::LastUsedAt,
        _ => return None,
    };
    Some(KeySort { by, descending })
}

const STATUS: &str = "`active`, `suspended`, `expired` or `revoked`";
const SORT: &str = "`name`, `created_at` or `last_used_at`, after `-` the greatest first";
