//! `GET /admin/usage/summary?from=&to=&top=`: what this gate admitted and refused of late, all keys together, and
//! which of them are the busiest.
//!
//! The last hour unless asked otherwise; three hours are known, minute by minute. What was refused without a
//! known key is no key's, and is counted in the metrics alone.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use crate::admin::about::About;
use crate::admin::ask::{Params, moment};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::form;
use crate::api::usage::{Bucket, BusyKey, BusyRoute, Counts, Summary};
use crate::control::usage::{SummaryQuery, SummaryView};
use crate::domain::time::Moment;

/// What the reference says of it.
pub(crate) fn about() -> About {
    let counts = json!({
        "requests": 20000, "refused": {"rate_limited": 3}, "status": {"2xx": 19990, "4xx": 10},
        "cost": 20000, "bytes_in": 0, "bytes_out": 512_000,
    });
    About::new(
        "usageSummary",
        "What all keys were used for of late",
        "At this gate, as it remembers: the last hour unless asked otherwise, at most three. Only requests of known keys are counted here; all others are in the metrics.",
    )
    .query::<form::Moment>("from", "2026-01-31T11:00:00Z", "From when on: a day in UTC, or a time.")
    .query::<form::Moment>("to", "2026-01-31T12:00:00Z", "Until when; a day belongs to it whole.")
    .query::<form::Top>("top", 10, "How many of the busiest keys are told of, at most 100; default 10.")
    .answer::<Summary>(200, "Counts by minute, and the busiest.", json!({
        "node": "gate-1", "from": "2026-01-31T11:00:00.000Z", "to": "2026-01-31T12:00:00.000Z",
        "step": "1m", "keys": 1, "total": counts,
        "buckets": [{
            "start": "2026-01-31T11:59:00.000Z", "version": null, "route": null, "requests": 118,
            "refused": {}, "status": {"2xx": 118}, "cost": 118, "bytes_in": 0, "bytes_out": 3020,
        }],
        "top_keys": [{
            "key_id": "key_3fXk29QmZa", "name": "billing-worker", "owner_id": "usr_7Gh2kQw9Lp",
            "counts": counts,
        }],
        "routes": [{"route": "orders", "counts": counts}],
    }))
}

/// Tells what all keys were used for.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    mut params: Params,
) -> Result<Json<Summary>, Problem> {
    let now = shared.clock.now();
    let to = moment(&mut params, "to").map(Moment::as_end);
    let to = to.unwrap_or(now.after(Duration::from_millis(1)));
    let from = moment(&mut params, "from").map(Moment::begins);
    let from = from.unwrap_or(to.before(HOUR)).floor(MINUTE_MS);
    if to <= from {
        params.fault("to", "before_from", "`to` lies after `from`");
    }
    let top = params.read("top", "a number from 1 to 100", |text| {
        text.parse().ok().filter(|top| (1..=TOP_MAX).contains(top))
    });
    params.finish()?;
    let query = SummaryQuery {
        from,
        to,
        top: top.unwrap_or(TOP_DEFAULT),
    };
    let view = shared.usage.summary(&caller, query).await?;
    Ok(Json(told(shared.gate.node(), query, view)))
}

fn told(node: &str, query: SummaryQuery, view: SummaryView) -> Summary {
    let buckets = view.minutes.iter();
    let keys = view.busiest.into_iter().map(|(key, tally)| BusyKey {
        key_id: key.id.into(),
        name: key.name,
        owner_id: key.owner.map(Into::into),
        counts: Counts::from(&tally),
    });
    let routes = view.routes.iter().map(|(route, tally)| BusyRoute {
        route: route.to_string(),
        counts: Counts::from(tally),
    });
    Summary {
        node: node.to_owned(),
        from: query.from.into(),
        to: query.to.into(),
        step: "1m".to_owned(),
        keys: view.keys,
        total: Counts::from(&view.total),
        buckets: buckets
            .map(|(start, tally)| Bucket::new((*start).into(), None, None, tally))
            .collect(),
        top_keys: keys.collect(),
        routes: routes.collect(),
    }
}

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE_MS: u64 = 60_000;
const TOP_DEFAULT: usize = 10;
const TOP_MAX: usize = 100;
