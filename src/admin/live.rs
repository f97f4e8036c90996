//! `GET /admin/live?key_id=&owner=&status=`: requests as they finish, as server-sent events.
//!
//! A listener that reads too slowly loses requests and is told how many; it never slows the gate.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::admin::ask::Params;
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::live::{Dropped, EVENT_DROPPED, EVENT_REQUEST};
use crate::domain::id::{KeyId, OwnerId};

/// A finished request, and what listeners choose by.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its line of the access log.
    pub line: Arc<str>,
    /// Whose it was, where that is known.
    pub key: Option<KeyId>,
    /// That key's owner.
    pub owner: Option<OwnerId>,
    /// What the client got.
    pub status: u16,
}

/// Where finished requests are told.
pub trait Tap: Send + Sync + 'static {
    /// Everything from now on; what is read too slowly is lost.
    fn subscribe(&self) -> broadcast::Receiver<Arc<Finished>>;
}

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
    let told = requests(shared.tap.subscribe(), wanted, caller.bound_to, permit);
    let until = crate::admin::auth::ended(Arc::clone(&shared), headers);
    Ok(Sse::new(told.take_until(until)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn requests(
    tap: broadcast::Receiver<Arc<Finished>>,
    wanted: Wanted,
    bound_to: Option<OwnerId>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    BroadcastStream::new(tap).filter_map(move |told| {
        // The permit is given back when the stream is dropped.
        let _held = &permit;
        let event = match told {
            Ok(request) => {
                let theirs = bound_to.is_none_or(|owner| request.owner == Some(owner));
                (theirs && wanted.admits(&request))
                    .then(|| Event::default().event(EVENT_REQUEST).data(&*request.line))
            }
            Err(BroadcastStreamRecvError::Lagged(count)) => Event::default()
                .event(EVENT_DROPPED)
                .json_data(Dropped { count })
                .ok(),
        };
        std::future::ready(event.map(Ok))
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
            line: "{}".into(),
            key: Some(key),
            owner: Some(owner),
            status: 404,
        };
        let stranger = Finished {
            key: None,
            owner: None,
            ..request.clone()
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
