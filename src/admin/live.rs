//! `GET /admin/live?key_id=&owner=&status=&route=&method=&node=&summary=`: requests as they finish, here and at
//! the gates that share the store, or counts of them once a second, as server-sent events.
//!
//! A listener that reads too slowly loses requests and is told how many; it never slows the gate.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, future};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::admin::about::About;
use crate::admin::ask::Params;
use crate::admin::auth::{self, By};
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::live::{
    Counts, Dropped, EVENT_DROPPED, EVENT_GATES, EVENT_REQUEST, EVENT_SUMMARY, Gates, Row, Summary,
};
use crate::api::{Text, form};
use crate::control::caller::Caller;
use crate::control::live::{News, StoreStanding};
use crate::domain::id::OwnerId;
use crate::domain::permission::Method;
use crate::domain::summary::{Latencies, Rows, Whose};
use crate::domain::watch::{StatusFilter, Telling, Wanted};
use crate::{control, domain};

/// The listeners there may be at once: so many of one caller, and so many of those that are bound to owners,
/// that those who run the gate find a seat whatever an owner does.
#[derive(Default)]
pub(crate) struct Seats(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    bound: usize,
    /// By the id of who listens; none that has no seat.
    of: HashMap<String, usize>,
}

/// A seat that is taken; given back when dropped.
struct Seat {
    seats: Arc<Mutex<Taken>>,
    whose: String,
    is_bound: bool,
}

impl Seats {
    /// A seat for a caller, or why there is none.
    fn take(&self, caller: &Caller) -> Result<Seat, &'static str> {
        let is_bound = caller.bound_to.is_some();
        let mut taken = self.0.lock();
        let most = if is_bound { BOUND_EACH } else { EACH };
        if taken.of.get(&caller.actor.id).copied().unwrap_or_default() >= most {
            return Err("you are listening as often as you may");
        }
        if taken.all >= LISTENERS_MAX || is_bound && taken.bound >= BOUND_MAX {
            return Err("as many are listening as may");
        }
        taken.all += 1;
        taken.bound += usize::from(is_bound);
        *taken.of.entry(caller.actor.id.clone()).or_default() += 1;
        Ok(Seat {
            seats: Arc::clone(&self.0),
            whose: caller.actor.id.clone(),
            is_bound,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all -= 1;
        taken.bound -= usize::from(self.is_bound);
        if let Some(count) = taken.of.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                taken.of.remove(&self.whose);
            }
        }
    }
}

/// What is asked for.
struct Asked {
    telling: Telling,
    wanted: Wanted,
    /// Of one gate alone.
    node: Option<Arc<str>>,
}

impl Asked {
    fn read(params: &mut Params) -> Self {
        let summary = params.read("summary", "`1s`, the only span there is", |text| {
            (text == "1s").then_some(())
        });
        let wanted = Wanted {
            key: params.read("key_id", "a key's id", |text| text.parse().ok()),
            owner: params.read("owner", "an owner's id", |text| text.parse().ok()),
            status: params.read(
                "status",
                "a status, like 404 or 4xx",
                StatusFilter::from_word,
            ),
            route: params.read("route", "a route's name", name),
            method: params.read("method", "a method, like GET", Method::from_token),
        };
        let node = params.read("node", "a gate's name", name);
        if summary.is_some() && (wanted.status.is_some() || wanted.method.is_some()) {
            let detail = "counts are not kept by status or method: leave out `summary` or those";
            params.fault("summary", "conflict", detail);
        }
        Self {
            telling: summary.map_or(Telling::Requests, |()| Telling::Counts),
            wanted,
            node,
        }
    }
}

fn name(text: &str) -> Option<Arc<str>> {
    let is_one = !text.is_empty() && text.len() <= NAME_MAX;
    is_one.then(|| text.into())
}

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "watchRequests",
        "Watch requests as they finish",
        "As server-sent events, of all gates that share the store (to a token bound to one owner they are numbers, and `upstream` and `endpoint` are `null`): `request` with a line of the access log, `dropped` with how many were left out, `gates` with whose requests are told and whose are missing; with `summary`, once a second and gate, `summary` with counts instead of requests. At most 64 listen at once, 16 of them with one token; of tokens bound to one owner 16, and 4 with one.",
    )
    .query::<form::KeyRef>("key_id", "key_3fXk29QmZa", "Those of this key.")
    .query::<form::OwnerRef>("owner", "usr_7Gh2kQw9Lp", "Those of this owner's keys.")
    .query::<form::StatusOrClass>("status", "4xx", "Those answered so: `404`, or a class, `4xx`; not with `summary`.")
    .query::<form::ShortName>("route", "orders", "Those of this route.")
    .query::<form::MethodName>("method", "GET", "Those with this method; not with `summary`.")
    .query::<form::ShortName>("node", "gate-1", "Those at this gate.")
    .query::<form::Second>("summary", "1s", "Counts by key, owner and route instead.")
    .code(Code::NotFound)
    .text_answer("text/event-stream", "Events, for as long as the token is good.", "event: request\ndata: {\"time\":\"2026-01-31T12:00:00.000Z\",…}\n\n")
}

/// Answers with what finishes from now on, for as long as the token is good.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    mut params: Params,
    headers: http::HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let mut asked = Asked::read(&mut params);
    params.finish()?;
    let full = |why| Problem::too_many(Duration::from_secs(10), why);
    let seat = shared.live_seats.take(&caller).map_err(full)?;
    if let Some(owner) = caller.bound_to {
        // Whoever asks for another's sees nothing, as everywhere; the gates are nobody's.
        let is_theirs = asked.wanted.owner.is_none_or(|asked| asked == owner);
        asked.wanted.owner = Some(owner);
        if !is_theirs || asked.node.is_some() {
            return Err(Problem::not_found());
        }
    }
    let news = shared.live.watch(asked.telling, &asked.wanted, asked.node);
    let news = news.map_err(|_| Problem::new(Code::Internal, "there are no random bytes"))?;
    let mut closing = shared.closing.clone();
    let until = async move {
        let closing = pin!(closing.wait_for(|closing| *closing));
        let ended = pin!(auth::ended(shared, headers));
        future::select(closing, ended).await;
    };
    let mut teller = Teller::of(&caller);
    let told = news.filter_map(move |news| {
        // Given back when the stream is dropped.
        let _held = &seat;
        future::ready(teller.event(news).map(Ok))
    });
    Ok(Sse::new(told.take_until(until)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// How things are told on one stream. What gates and upstreams are called, and where they are, is no owner's
/// business: to a bound caller gates are numbers, in the order they are told of.
struct Teller {
    /// The gates a bound caller was told of; `None` for all others, who are told their names.
    numbered: Option<Vec<Box<str>>>,
}

impl Teller {
    fn of(caller: &Caller) -> Self {
        Self {
            numbered: caller.bound_to.map(|_| Vec::new()),
        }
    }

    /// As it goes out.
    fn event(&mut self, news: News) -> Option<Event> {
        let named = |name| Event::default().event(name);
        let event = match news {
            News::Request(line) => Ok(named(EVENT_REQUEST).data(self.line(line.as_str())?)),
            News::Gates(gates) => named(EVENT_GATES).json_data(self.gates(&gates)),
            News::Counts(node, summary) => {
                named(EVENT_SUMMARY).json_data(told_summary(self.gate(&node), &summary))
            }
            News::Dropped(node, count) => named(EVENT_DROPPED).json_data(Dropped {
                count,
                node: Some(self.gate(&node)),
            }),
        };
        // Nothing here fails to be written as JSON.
        event.ok()
    }

    /// What a gate is called.
    fn gate(&mut self, name: &str) -> String {
        let Some(known) = &mut self.numbered else {
            return name.to_owned();
        };
        let place = known.iter().position(|known| **known == *name);
        let place = place.unwrap_or_else(|| {
            // Beyond it all are the last: a list that only grows needs an end.
            known.truncate(GATES_MAX - 1);
            known.push(name.into());
            known.len() - 1
        });
        (place + 1).to_string()
    }

    /// A line of the access log; `None` of one that cannot be read, where something in it must not be told.
    fn line<'l>(&mut self, line: &'l str) -> Option<Cow<'l, str>> {
        if self.numbered.is_none() {
            return Some(line.into());
        }
        let mut fields: Map<String, Value> = serde_json::from_str(line).ok()?;
        for (name, value) in &mut fields {
            match name.as_str() {
                "upstream" | "endpoint" => *value = Value::Null,
                "node" => *value = self.gate(value.as_str()?).into(),
                _ => {}
            }
        }
        Some(Value::Object(fields).to_string().into())
    }

    fn gates(&mut self, gates: &control::live::Gates) -> Gates {
        let mut names = |names: &[Arc<str>]| names.iter().map(|name| self.gate(name)).collect();
        let store = match gates.store {
            StoreStanding::Own => "own",
            StoreStanding::Up => "up",
            StoreStanding::Away => "away",
            StoreStanding::Full => "full",
        };
        Gates {
            gates: names(&gates.told_by),
            missing: names(&gates.missing),
            store: store.to_owned(),
        }
    }
}

fn told_summary(node: String, summary: &domain::summary::Summary) -> Summary {
    Summary {
        node,
        span_ms: summary.span.as_secs_f64() * 1_000.0,
        total: told_counts(&summary.total),
        keys: told_rows(&summary.keys, |(key, owner)| {
            (key.to_string(), Some(Text(*owner)))
        }),
        owners: told_rows(&summary.owners, |owner| (owner.to_string(), None)),
        routes: told_rows(&summary.routes, |route| (route.to_string(), None)),
    }
}

fn told_rows<T>(rows: &Rows<T>, tell: impl Fn(&T) -> (String, Option<Text<OwnerId>>)) -> Vec<Row> {
    let row = |(whose, counts): &(Whose<T>, domain::summary::Counts)| {
        let (id, owner_id) = match whose {
            Whose::One(one) => {
                let (id, owner) = tell(one);
                (Some(id), owner)
            }
            Whose::Nobody | Whose::Others => (None, None),
        };
        Row {
            id,
            owner_id,
            others: matches!(whose, Whose::Others),
            counts: told_counts(counts),
        }
    };
    rows.iter().map(row).collect()
}

fn told_counts(counts: &domain::summary::Counts) -> Counts {
    let buckets = counts.latency.iter();
    Counts {
        requests: counts.requests,
        refused: counts.refused,
        errors: counts.errors,
        bytes_in: counts.bytes_in,
        bytes_out: counts.bytes_out,
        took_us: buckets
            .map(|(bucket, count)| (Latencies::longest_us(bucket), count))
            .collect(),
    }
}

/// How many may listen at once.
const LISTENERS_MAX: usize = 64;
/// How many of them with one token: a dashboard that several people look at has one.
const EACH: usize = 16;
/// How many of them with tokens that are bound to an owner; half of what a store takes of questions.
const BOUND_MAX: usize = 16;
/// How many of those with one token.
const BOUND_EACH: usize = 4;
/// How many gates a bound caller is told from one another.
const GATES_MAX: usize = 1_024;
/// How long a name of a route or a gate is at most.
const NAME_MAX: usize = 255;
/// After how much silence a comment is sent, so that whatever lies between keeps the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
