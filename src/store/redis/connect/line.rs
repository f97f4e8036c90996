//! One connection to a master, made again whenever it breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use super::fault::{Cause, Fault};
use super::server::Connection;

/// A connection that is kept up by [`Line::keep`] in the background.
#[derive(Debug)]
pub(super) struct Line {
    /// Where it is to lead, as a fault calls it while there is no connection.
    place: Arc<str>,
    state: watch::Sender<State>,
    made: Arc<Made>,
}

/// Connections that were made, by a line and those beside it.
#[derive(Debug, Default)]
pub(super) struct Made {
    count: AtomicU64,
    another: Notify,
}

impl Made {
    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Waits for another one.
    pub(super) async fn another(&self) {
        self.another.notified().await;
    }

    /// One more; which it is.
    fn add(&self) -> u64 {
        let number = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        self.another.notify_one();
        number
    }
}

#[derive(Debug, Clone)]
enum State {
    /// On the way; worth waiting for.
    Connecting,
    /// There.
    Up(Connection),
    /// The last attempt failed, and the next one is later than a caller should wait.
    Down {
        fault: Fault,
        /// Whether the last ones were turned down.
        says_no: bool,
    },
    /// Not wanted any more.
    Ended,
}

impl Line {
    /// A line that leads nowhere until it is kept.
    pub(super) fn new(place: Arc<str>, made: &Arc<Made>) -> Self {
        Self {
            place,
            state: watch::Sender::new(State::Connecting),
            made: Arc::clone(made),
        }
    }

    /// Connects, and connects again whenever the connection breaks. Returns when the line is ended.
    pub(super) async fn keep(&self, connect: impl AsyncFn() -> Result<Connection, Fault>) {
        let mut pause = Backoff::default();
        let mut noes = 0_u32;
        while !matches!(*self.state.borrow(), State::Ended) {
            match connect().await {
                Ok(mut connection) => {
                    noes = 0;
                    // Before anyone has it: whoever is answered on it knows of it.
                    connection.number = self.made.add();
                    tell(&connection);
                    self.step(State::Up(connection));
                    let mut state = self.state.subscribe();
                    // Invariant: the sender is `self`, so the channel cannot close under us.
                    let _ = state.wait_for(|state| !matches!(state, State::Up(_))).await;
                    pause = Backoff::default();
                }
                Err(fault) => {
                    noes = if fault.is_silence() { 0 } else { noes + 1 };
                    let says_no = noes >= NOES;
                    self.step(State::Down { fault, says_no });
                }
            }
            pause.wait().await;
        }
    }

    /// Lets it go for good.
    pub(super) fn end(&self) {
        self.state.send_replace(State::Ended);
    }

    /// The connection, once there is one.
    ///
    /// # Errors
    /// If the last attempt failed, or none succeeds soon.
    pub(super) async fn connection(&self) -> Result<Connection, Fault> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Connecting));
        let Ok(Ok(state)) = tokio::time::timeout(DEADLINE, settled).await else {
            return Err(self.blame(Cause::NotConnected));
        };
        match &*state {
            State::Up(connection) => Ok(connection.clone()),
            State::Down { fault, .. } => Err(fault.clone()),
            State::Connecting | State::Ended => Err(self.blame(Cause::NotConnected)),
        }
    }

    /// The connection, once there is one, if it was among the first `most` that were made.
    ///
    /// # Errors
    /// As [`Self::connection`], and if it was made later.
    pub(super) async fn connection_among(&self, most: u64) -> Result<Connection, Fault> {
        let connection = self.connection().await?;
        if connection.number > most {
            return Err(connection.blame(Cause::NotConnected));
        }
        Ok(connection)
    }

    /// The connection, if there is one now.
    pub(super) fn held(&self) -> Option<Connection> {
        match &*self.state.borrow() {
            State::Up(connection) => Some(connection.clone()),
            State::Connecting | State::Down { .. } | State::Ended => None,
        }
    }

    /// Whether the last attempt to connect failed. Never waits.
    pub(super) fn is_down(&self) -> bool {
        matches!(*self.state.borrow(), State::Down { .. } | State::Ended)
    }

    /// Whether the last attempts were turned down, one after the other: one alone may have been cut off with the
    /// connection before it. Never waits.
    pub(super) fn says_no(&self) -> bool {
        matches!(*self.state.borrow(), State::Down { says_no: true, .. })
    }

    /// Lets go of a connection that a command showed to be of no more use.
    pub(super) fn judge<T>(&self, used: &Connection, answer: Result<T, Fault>) -> Result<T, Fault> {
        if answer.as_ref().is_err_and(Fault::ends_connection) {
            self.state.send_if_modified(|state| {
                let is_it = matches!(state, State::Up(held) if held.number == used.number);
                if is_it {
                    *state = State::Connecting;
                }
                is_it
            });
        }
        answer
    }

    /// A fault where it leads.
    pub(super) fn blame(&self, cause: Cause) -> Fault {
        match self.held() {
            Some(connection) => connection.blame(cause),
            None => Fault::at(&self.place, cause),
        }
    }

    fn step(&self, next: State) {
        self.state.send_if_modified(|state| {
            let goes_on = !matches!(state, State::Ended);
            if goes_on {
                *state = next;
            }
            goes_on
        });
    }
}

fn tell(connection: &Connection) {
    let address = connection.address();
    info!(store.address = %address, "connected to redis");
    if let Some(policy) = &connection.read_only {
        warn!(store.address = %address, "redis may evict keys (maxmemory-policy {policy}): changes are refused until it is noeviction");
    }
}

/// How long to wait before the next attempt: up to twice as long each time, and never all gates at once.
#[derive(Debug)]
pub(in crate::store::redis) struct Backoff {
    bound: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            bound: BACKOFF_FIRST,
        }
    }
}

impl Backoff {
    /// Waits for any part of the bound (full jitter), and doubles it.
    pub(in crate::store::redis) async fn wait(&mut self) {
        let pause = jitter(self.bound);
        self.bound = (self.bound * 2).min(BACKOFF_MOST);
        tokio::time::sleep(pause).await;
    }
}

/// Any part of `bound`.
pub(super) fn jitter(bound: Duration) -> Duration {
    let share = getrandom::u32().unwrap_or(u32::MAX);
    bound.mul_f64(f64::from(share) / f64::from(u32::MAX))
}

/// How long any command may take.
pub(super) const DEADLINE: Duration = Duration::from_millis(500);
/// How many attempts that are turned down say no.
const NOES: u32 = 2;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MOST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind as Io};

    use parking_lot::Mutex;
    use redis::RedisError;

    use super::*;

    /// Where it is one that was cut off with the connection before it, the store is there for others.
    #[tokio::test]
    async fn one_attempt_that_is_turned_down_is_no_no() {
        let line = Line::new("here".into(), &Arc::default());
        let kinds = [
            Io::ConnectionReset,
            Io::TimedOut,
            Io::BrokenPipe,
            Io::ConnectionRefused,
            Io::TimedOut,
        ];
        let attempts = Mutex::new((kinds.into_iter(), Vec::new()));
        let connect = async || {
            let mut attempts = attempts.lock();
            attempts.1.push(line.says_no());
            let kind = attempts.0.next().unwrap_or_else(|| {
                line.end();
                Io::TimedOut
            });
            let source = RedisError::from(io::Error::from(kind));
            Err(Fault::at("here", Cause::Connect { source }))
        };
        line.keep(connect).await;
        let said = [false, false, false, false, true, false];
        assert_eq!(attempts.lock().1, said);
    }
}
