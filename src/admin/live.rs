//! `GET /admin/live?key_id=&owner=&status=`: requests as they finish, as server-sent events.
//!
//! A listener that reads too slowly loses requests and is told how many; it never slows the gate.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, future, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::admin::about::About;
use crate::admin::ask::Params;
use crate::admin::auth::{self, By};
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::form;
use crate::api::live::{Dropped, EVENT_DROPPED, EVENT_REQUEST};
use crate::domain::id::{KeyId, OwnerId};
use crate::state::tap::{Finished, Sight, Watch};

/// The listeners there may be at once.
pub(crate) struct Live(Arc<Semaphore>);

impl Default for Live {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LISTENERS_MAX)))
    }
}

/// Which requests are asked for. Every condition must hold.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    key: Option<KeyId>,
    owner: Option<OwnerId>,
    status: Option<StatusFilter>,
}

/// A status, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatusFilter {
    Exactly(u16),
    Class(u16),
}

impl StatusFilter {
    fn from_word(word: &str) -> Option<Self> {
        if let Some(class) = word.strip_suffix("xx") {
            let class = class.parse().ok().filter(|class| (1..=5).contains(class));
            return class.map(Self::Class);
        }
        let status = word.parse().ok();
        status
            .filter(|status| (100..=599).contains(status))
            .map(Self::Exactly)
    }

    fn admits(self, status: u16) -> bool {
        match self {
            Self::Exactly(wanted) => status == wanted,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl Wanted {
    fn read(params: &mut Params) -> Self {
        Self {
            key: params.read("key_id", "a key's id", |text| text.parse().ok()),
            owner: params.read("owner", "an owner's id", |text| text.parse().ok()),
            status: params.read(
                "status",
                "a status, like 404 or 4xx",
                StatusFilter::from_word,
            ),
        }
    }

    fn admits(self, request: &Finished) -> bool {
        self.key.is_none_or(|key| request.key == Some(key))
            && self.owner.is_none_or(|owner| request.owner == Some(owner))
            && self
                .status
                .is_none_or(|status| status.admits(request.status))
    }
}

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "watchRequests",
        "Watch requests as they finish",
        "As server-sent events: `request` with a line of the access log, `dropped` with how many were left out because the listener reads too slowly. At most 64 listen at once.",
    )
    .query::<form::KeyRef>("key_id", "key_3fXk29QmZa", "Those of this key.")
    .query::<form::OwnerRef>("owner", "usr_7Gh2kQw9Lp", "Those of this owner's keys.")
    .query::<form::StatusOrClass>("status", "4xx", "Those answered so: `404`, or a class, `4xx`.")
    .text_answer("text/event-stream", "Events, for as long as the token is good.", "event: request\ndata: {\"time\":\"2026-01-31T12:00:00.000Z\",…}\n\n")
}

/// Answers with what finishes from now on, for as long as the token is good.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    mut params: Params,
    headers: http::HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let wanted = Wanted::read(&mut params);
    params.finish()?;
    let Ok(permit) = Arc::clone(&shared.live.0).try_acquire_owned() else {
        return Err(Problem::too_many(
            Duration::from_secs(10),
            "as many are listening as may",
        ));
    };
    let told = requests(shared.tap.watch(), wanted, caller.bound_to, permit);
    let mut closing = shared.closing.clone();
    let until = async move {
        let closing = pin!(closing.wait_for(|closing| *closing));
        let ended = pin!(auth::ended(shared, headers));
        future::select(closing, ended).await;
    };
    Ok(Sse::new(told.take_until(until)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn requests(
    watch: Watch,
    wanted: Wanted,
    bound_to: Option<OwnerId>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    // The permit is given back, and the watch ended, when the stream is dropped.
    stream::unfold((watch, permit), move |(mut watch, permit)| async move {
        loop {
            let event = match watch.next().await? {
                Sight::Request(request) => {
                    let theirs = bound_to.is_none_or(|owner| request.owner == Some(owner));
                    (theirs && wanted.admits(&request))
                        .then(|| Event::default().event(EVENT_REQUEST).data(&request.line))
                }
                Sight::Dropped(count) => Event::default()
                    .event(EVENT_DROPPED)
                    .json_data(Dropped { count })
                    .ok(),
            };
            if let Some(event) = event {
                return Some((Ok(event), (watch, permit)));
            }
        }
    })
}

/// How many may listen at once.
const LISTENERS_MAX: usize = 64;
/// After how much silence a comment is sent, so that whatever lies between keeps the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_must_hold() {
        let (key, owner) = (KeyId::from_random([1; 10]), OwnerId::from_random([2; 10]));
        let request = Finished {
            line: String::new(),
            key: Some(key),
            owner: Some(owner),
            status: 404,
        };
        let stranger = Finished {
            line: String::new(),
            key: None,
            owner: None,
            status: 404,
        };
        let all = Wanted::default();
        assert!(all.admits(&request) && all.admits(&stranger));
        for (status, admitted) in [("404", true), ("4xx", true), ("2xx", false), ("403", false)] {
            let wanted = Wanted {
                key: Some(key),
                owner: Some(owner),
                status: StatusFilter::from_word(status),
            };
            assert_eq!(wanted.admits(&request), admitted, "{status}");
            assert!(!wanted.admits(&stranger));
        }
    }

    #[test]
    fn a_status_is_a_number_or_a_class() {
        assert_eq!(StatusFilter::from_word("5xx"), Some(StatusFilter::Class(5)));
        for word in ["", "xx", "6xx", "0xx", "99", "600", "ok"] {
            assert_eq!(StatusFilter::from_word(word), None, "{word}");
        }
    }
}
