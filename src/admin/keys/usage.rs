//! `GET /admin/keys/{key_id}/usage?from=&to=&step=&by=`: what a key was used for.
//!
//! The last 24 hours by hour unless asked otherwise. `from` and `to` are days in UTC, which belong to it whole,
//! or times. `by` names what is told apart, of `version`,
//! `route` and `status`; versions are unless asked otherwise, and the classes of status always.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use crate::admin::about::About;
use crate::admin::ask::{Id, Params, moment};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::form;
use crate::api::usage::{Bucket, Counts, Usage};
use crate::control::usage::{UsageQuery, UsageView};
use crate::domain::id::KeyId;
use crate::domain::time::{Moment, Timestamp};
use crate::domain::usage::Step;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "keyUsage",
        "What a key was used for",
        "The last 24 hours by hour unless asked otherwise; at most 2000 steps. `requests` were admitted; empty buckets are left out.",
    )
    .query::<form::Moment>("from", "2026-01-30", "From when on: a day in UTC, or a time.")
    .query::<form::Moment>("to", "2026-01-31", "Until when; a day belongs to it whole.")
    .query::<form::Step>("step", "1h", "The width of a bucket.")
    .query::<form::Apart>("by", "version,route", "What is told apart: some of `version`, `status` and `route`; versions are unless asked otherwise, the classes of status always.")
    .answer::<Usage>(200, "Counts over time.", json!({
        "key_id": "key_3fXk29QmZa", "from": "2026-01-30T12:00:00.000Z", "to": "2026-01-31T12:00:00.000Z",
        "step": "1h", "last_used_at": "2026-01-31T11:59:58.000Z",
        "total": {
            "requests": 20000, "refused": {"rate_limited": 3}, "status": {"2xx": 19990, "4xx": 10},
            "cost": 20000, "bytes_in": 0, "bytes_out": 512_000,
        },
        "buckets": [{
            "start": "2026-01-31T11:00:00.000Z", "version": 2, "route": null, "requests": 118,
            "refused": {}, "status": {"2xx": 118}, "cost": 118, "bytes_in": 0, "bytes_out": 3020,
        }],
    }))
}

/// Tells what a key was used for.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<KeyId>,
    mut params: Params,
) -> Result<Json<Usage>, Problem> {
    let query = query(&mut params, shared.clock.now());
    params.finish()?;
    let view = shared.usage.usage(&caller, id, query).await?;
    Ok(Json(wire(id, query, view)))
}

fn query(params: &mut Params, now: Timestamp) -> UsageQuery {
    let step = params.read("step", "`1m`, `1h` or `1d`", Step::from_word);
    let step = step.unwrap_or(Step::Hour);
    let to = moment(params, "to").map(Moment::as_end);
    // The bucket that runs now is part of the answer.
    let to = to.unwrap_or(now.after(Duration::from_millis(1)));
    let from = moment(params, "from").map(Moment::begins);
    let from = from
        .unwrap_or(to.before(Duration::from_secs(24 * 3_600)))
        .floor(step.millis());
    let by = params.read("by", "some of `version,status,route`", by);
    let (by_version, by_route) = by.unwrap_or((true, false));
    if to <= from {
        params.fault("to", "before_from", "`to` lies after `from`");
    } else if to.since(from).as_millis() > u128::from(step.millis()) * BUCKETS_MAX {
        params.fault("from", "too_many", "at most 2000 steps; ask for wider ones");
    }
    UsageQuery {
        from,
        to,
        step,
        by_version,
        by_route,
    }
}

/// Whether versions, and routes, are to be told apart.
fn by(text: &str) -> Option<(bool, bool)> {
    let mut told = (false, false);
    for word in text.split(',') {
        match word {
            "version" => told.0 = true,
            "route" => told.1 = true,
            "status" => {}
            _ => return None,
        }
    }
    Some(told)
}

fn wire(id: KeyId, query: UsageQuery, view: UsageView) -> Usage {
    let buckets = view.buckets.into_iter().map(|bucket| {
        let route = bucket.route.map(|route| route.to_string());
        Bucket::new(bucket.start.into(), bucket.version, route, &bucket.tally)
    });
    Usage {
        key_id: id.into(),
        from: query.from.into(),
        to: query.to.into(),
        step: query.step.as_str().to_owned(),
        last_used_at: view.last_used_at.map(Into::into),
        total: Counts::from(&view.total),
        buckets: buckets.collect(),
    }
}

/// How many steps an answer may span.
const BUCKETS_MAX: u128 = 2_000;
