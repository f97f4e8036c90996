//! A stream of events that is opened again whenever it breaks off.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, LocalBoxStream};
use reqwest::Response;
use tokio::time::{sleep, timeout};

use super::events::{Event, Events};
use crate::cli::client::Client;
use crate::cli::failure::Failure;

/// The stream of `GET /admin/live`.
pub(crate) struct Feed<'c> {
    client: &'c Client,
    query: Vec<(&'static str, String)>,
    open: Option<Open>,
    ready: VecDeque<Event>,
    pause: Duration,
}

/// A stream as long as it lasts.
struct Open {
    response: Response,
    events: Events,
}

/// What comes next of it.
pub(crate) enum Turn {
    /// An event.
    Event(Event),
    /// It broke off, or could not be opened again, and is tried anew in a moment.
    Lost(Failure),
    /// It is open again.
    Back,
    /// It will not be opened again, and why.
    Over(Failure),
}

impl<'c> Feed<'c> {
    /// Opens the stream.
    ///
    /// # Errors
    /// If it cannot be opened: whoever mistypes an address is not left waiting.
    pub(crate) async fn open(
        client: &'c Client,
        query: Vec<(&'static str, String)>,
    ) -> Result<Self, Failure> {
        let mut feed = Self {
            client,
            query,
            open: None,
            ready: VecDeque::new(),
            pause: PAUSE_LEAST,
        };
        feed.connect().await?;
        Ok(feed)
    }

    /// What comes, for as long as it is asked for.
    pub(crate) fn turns(self) -> LocalBoxStream<'c, Turn> {
        let next = async |feed: Option<Self>| {
            let mut feed = feed?;
            match feed.next().await {
                Ok(turn) => Some((turn, Some(feed))),
                Err(over) => Some((Turn::Over(over), None)),
            }
        };
        stream::unfold(Some(self), next).boxed_local()
    }

    async fn next(&mut self) -> Result<Turn, Failure> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Turn::Event(event));
            }
            let Some(open) = &mut self.open else {
                sleep(self.pause).await;
                self.pause = (self.pause * 2).min(PAUSE_MOST);
                return match self.connect().await {
                    Ok(()) => Ok(Turn::Back),
                    Err(failure) if is_passing(&failure) => Ok(Turn::Lost(failure)),
                    Err(failure) => Err(failure),
                };
            };
            let lost = match timeout(SILENT_MOST, open.response.chunk()).await {
                Ok(Ok(Some(bytes))) => {
                    self.pause = PAUSE_LEAST;
                    self.ready.extend(open.events.feed(&bytes)?);
                    continue;
                }
                Ok(Ok(None)) | Err(_) => Failure::StreamEnded,
                Ok(Err(error)) => self.client.no_answer(error),
            };
            self.open = None;
            return Ok(Turn::Lost(lost));
        }
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let response = self.client.stream(&["admin", "live"], &self.query).await?;
        self.open = Some(Open {
            response,
            events: Events::default(),
        });
        Ok(())
    }
}

/// Whether it may be otherwise in a moment.
fn is_passing(failure: &Failure) -> bool {
    match failure {
        Failure::NoAnswer { .. } | Failure::Silent { .. } | Failure::StreamEnded => true,
        Failure::Refused(problem) => problem.status == 429 || problem.status >= 500,
        _ => false,
    }
}

/// After how much silence nobody is there any more: a gate says something every 15 seconds.
const SILENT_MOST: Duration = Duration::from_secs(45);
const PAUSE_LEAST: Duration = Duration::from_millis(250);
const PAUSE_MOST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_stands_still_is_asked_again_and_one_that_refuses_is_not() {
        assert!(is_passing(&Failure::Silent {
            url: "http://127.0.0.1/".to_owned(),
            within: Duration::from_secs(1),
        }));
        assert!(!is_passing(&Failure::Strange {
            url: "http://127.0.0.1/".to_owned(),
            status: 404,
        }));
    }
}
