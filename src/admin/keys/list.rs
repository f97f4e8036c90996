//! `GET /admin/keys?status=&name=&owner=&env=&product=&label=&stale=&sort=&limit=&cursor=`: keys, with
//! their live versions.
//!
//! `label` is `name` or `name=value`; `stale=true` are those unused for 30 days, `false` the others.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;

use crate::admin::about::{About, example};
use crate::admin::ask::{PageAsk, Params};
use crate::admin::auth::By;
use crate::admin::keys::wire;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api;
use crate::api::form;
use crate::api::page::Page;
use crate::domain::badge::STALE_AFTER;
use crate::domain::key::KeyStatus;
use crate::domain::query::{KeyQuery, KeySort, SortField};
use crate::domain::time::Timestamp;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "listKeys",
        "List keys",
        "Each with its live versions.",
    )
    .query::<form::Status>("status", "active", "Those that stand so.")
    .query::<String>("name", "bill", "Those with this in their name, in any case.")
    .query::<form::OwnerRef>("owner", "usr_7Gh2kQw9Lp", "Those of this owner.")
    .query::<String>("env", "live", "Those of this environment.")
    .query::<String>("product", "starter", "Those that name this product.")
    .query::<String>("label", "team=billing", "Those with this label: `name`, or `name=value`.")
    .query::<form::Flag>("stale", "true", "`true`: those unused for 30 days, since they were made if they never were used; `false`: the others.")
    .query::<form::KeyOrder>("sort", "-last_used_at", "By what they are sorted; `-` is the greatest first.")
    .paged()
    .answer::<Page<api::keys::Key>>(200, "A page of keys.", example::page(example::key()))
}

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
