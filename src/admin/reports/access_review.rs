//! `GET /admin/reports/access-review?status=&owner=&env=&product=&format=json|ndjson|csv&limit=&cursor=`: every
//! key, what it may reach, who holds it, and when it was last used.
//!
//! An export is a page as well; where it goes on, `X-Next-Cursor` says.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::admin::about::{About, example};
use crate::admin::ask::{PageAsk, Params};
use crate::admin::auth::By;
use crate::admin::export::{self, Format};
use crate::admin::keys::wire;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::form;
use crate::api::page::Page;
use crate::api::reports::{ACCESS_COLUMNS, Access};
use crate::control::keys::AccessView;
use crate::domain::csv;
use crate::domain::key::KeyStatus;
use crate::domain::product::Reach;
use crate::domain::query::{KeyQuery, KeySort, SortField};
use crate::domain::time::Timestamp;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "accessReview",
        "Who may reach what",
        "Every key, what it may reach by itself and by its products, who holds it, and when it was last used. By name.",
    )
    .query::<form::Status>("status", "active", "Those that stand so.")
    .query::<form::OwnerRef>("owner", "usr_7Gh2kQw9Lp", "Those of this owner.")
    .query::<String>("env", "live", "Those of this environment.")
    .query::<String>("product", "starter", "Those that name this product.")
    .query::<form::ExportForm>("format", "csv", "The form of the answer.")
    .paged()
    .answer::<Page<Access>>(200, "A page of keys.", example::page(example::access()))
    .exported(
        "{\"key_id\":\"key_3fXk29QmZa\",\"name\":\"billing-worker\",…}\n",
        "key_id,name,description,status,…\r\n",
    )
}

/// Tells what keys may reach.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    mut params: Params,
) -> Result<Response, Problem> {
    let now = shared.clock.now();
    let query = query(&mut params, now);
    let format = Format::read(&mut params);
    let PageAsk { limit, after, tag } = params.page()?;
    params.finish()?;
    let is_first = after.is_none();
    let found = shared
        .keys
        .access(&caller, query, BY_NAME, limit, after)
        .await?;
    let page = PageAsk::answer(tag, found, |found| told(&found, now));
    let lines = page.items.iter().map(|item| json!(item));
    Ok(match format {
        Format::Json => Json(page).into_response(),
        Format::Ndjson => export::ndjson(lines, "access-review", page.next_cursor.as_deref()),
        Format::Csv => {
            let head = is_first.then(|| csv::head(&ACCESS_COLUMNS));
            let lines = lines.map(|form| csv::line(&ACCESS_COLUMNS, &plain(form)));
            let lines = head.into_iter().chain(lines);
            export::csv(lines, "access-review", page.next_cursor.as_deref())
        }
    })
}

fn query(params: &mut Params, now: Timestamp) -> KeyQuery {
    let status = "`active`, `suspended`, `expired` or `revoked`";
    KeyQuery {
        status: params.read("status", status, KeyStatus::from_word),
        owner: params.read("owner", "an owner's id", |text| text.parse().ok()),
        env: params.text("env"),
        product: params.text("product"),
        name: None,
        label: None,
        stale: None,
        now,
    }
}

fn told(found: &AccessView, now: Timestamp) -> Access {
    let key = wire(&found.view, now);
    Access {
        key_id: key.id,
        name: key.name,
        description: key.description,
        status: key.status,
        badges: key.badges,
        owner: key.owner,
        env: key.env,
        products: key.products,
        scopes: found.scopes.iter().map(ToString::to_string).collect(),
        routes: match &found.reach {
            Reach::All => None,
            Reach::Routes(routes) => Some(routes.clone()),
        },
        allowed_methods: key.allowed_methods,
        allowed_paths: key.allowed_paths,
        allowed_ips: key.allowed_ips,
        risk: key.risk,
        protected: key.protected,
        created_at: key.created_at,
        created_by: key.created_by,
        expires_at: key.expires_at,
        last_rotated_at: key.last_rotated_at,
        last_used_at: key.last_used_at,
        version: key.version,
        fingerprint: key.fingerprint,
    }
}

/// The same with lists as people read them in a cell: words with a space between. A list of routes that is empty
/// opens none, and must not look like one that opens all.
fn plain(mut form: Value) -> Value {
    let is_shut = form.get("routes").is_some_and(|it| *it == json!([]));
    for value in form
        .as_object_mut()
        .into_iter()
        .flat_map(|it| it.values_mut())
    {
        if let Some(list) = value.as_array() {
            let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            *value = json!(words.join(" "));
        }
    }
    if let (true, Some(routes)) = (is_shut, form.get_mut("routes")) {
        *routes = json!("none");
    }
    form
}

const BY_NAME: KeySort = KeySort {
    by: SortField::Name,
    descending: false,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_and_every_route_look_different_in_a_cell() {
        for (routes, expected) in [
            (json!(null), ""),
            (json!([]), "none"),
            (json!(["orders", "users"]), "orders users"),
        ] {
            let form = plain(json!({"routes": routes}));
            assert_eq!(csv::line(&["routes"], &form), expected);
        }
    }
}
