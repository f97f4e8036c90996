//! From what the configuration says to a connection that may be trusted, and back to one when it breaks.
//!
//! A server is taken only if it is a master; it is written to only if it never evicts. Every command has
//! a deadline. Whatever fails says at which address and why, and never with a password.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo as _,
    ProtocolVersion, RedisError, ServerErrorKind, TlsCertificates,
};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::config::RedisChoice;
use crate::store::StoreError;

use super::trust;

/// A server and the right to use it.
#[derive(Debug)]
pub(super) struct Server {
    client: redis::Client,
    address: Arc<str>,
}

/// A connection that was looked at: it leads to a master.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    connection: MultiplexedConnection,
    address: Arc<str>,
    /// Tells it from the ones before it on the same link.
    number: u64,
    /// Why nothing may be written over it; `None` where it may.
    read_only: Option<Arc<str>>,
}

impl Server {
    /// Reads the address; connects to nothing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if it is no `redis://` or `rediss://` address.
    pub(super) fn new(choice: &RedisChoice) -> Result<Self, StoreError> {
        let info = choice.url.as_str().into_connection_info();
        let unusable = |reason: RedisError| StoreError::Unusable {
            place: "the Redis address".to_owned(),
            reason: reason.to_string(),
        };
        let info = info.map_err(unusable)?;
        let address = Arc::from(info.addr().to_string());
        let mut settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP2)
            .set_lib_name("portcullis", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &choice.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &choice.password {
            settings = settings.set_password(password.as_str());
        }
        let info = info.set_redis_settings(settings);
        let client = if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: trust::authorities(),
            };
            redis::Client::build_with_tls(info, certificates)
        } else {
            redis::Client::open(info)
        };
        let client = client.map_err(unusable)?;
        Ok(Self { client, address })
    }

    /// Connects and looks at what is there. Each answer over the connection is waited for at most `deadline`.
    ///
    /// # Errors
    /// If there is no server, it does not let us in, or it is not a master.
    pub(super) async fn connect(&self, deadline: Duration) -> Result<Connection, Fault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            .set_response_timeout(Some(deadline));
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|source| self.fault(Cause::Connect { source }))?;
        let mut connection = Connection {
            connection,
            address: Arc::clone(&self.address),
            number: 0,
            read_only: None,
        };
        let role: Vec<redis::Value> = connection.ask(&redis::cmd("ROLE")).await?;
        let role = role.into_iter().next().unwrap_or_default();
        let role: String = redis::from_redis_value(role).unwrap_or_default();
        if role != "master" {
            return Err(self.fault(Cause::NotMaster { role }));
        }
        let memory: redis::InfoDict = connection.ask(redis::cmd("INFO").arg("memory")).await?;
        let policy: Option<String> = memory.get("maxmemory_policy");
        connection.read_only = policy
            .filter(|policy| policy != "noeviction")
            .map(Arc::from);
        Ok(connection)
    }

    fn fault(&self, cause: Cause) -> Fault {
        Fault {
            address: Arc::clone(&self.address),
            cause,
        }
    }
}

impl Connection {
    /// Sends one command and waits for its answer, not beyond the deadline.
    ///
    /// # Errors
    /// What the command failed with.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        let mut connection = self.connection.clone();
        let answer = command.query_async(&mut connection).await;
        answer.map_err(|source| self.fault(source))
    }

    /// Sends several commands at once and waits for all their answers, not beyond the deadline.
    ///
    /// # Errors
    /// What the first of them that failed failed with.
    pub(super) async fn ask_all<T: FromRedisValue>(
        &self,
        commands: &redis::Pipeline,
    ) -> Result<T, Fault> {
        let mut connection = self.connection.clone();
        let answer = commands.query_async(&mut connection).await;
        answer.map_err(|source| self.fault(source))
    }

    /// A fault at this address.
    pub(super) fn blame(&self, cause: Cause) -> Fault {
        Fault {
            address: Arc::clone(&self.address),
            cause,
        }
    }

    fn fault(&self, source: RedisError) -> Fault {
        self.blame(if source.is_timeout() {
            Cause::Silent
        } else {
            Cause::Failed { source }
        })
    }
}

/// The one connection that commands go over, kept up by [`Link::keep`] in the background.
#[derive(Debug)]
pub(super) struct Link {
    server: Server,
    line: watch::Sender<Line>,
}

#[derive(Debug, Clone)]
enum Line {
    /// On the way; worth waiting for.
    Connecting,
    /// There.
    Up(Connection),
    /// The last attempt failed, and the next one is later than a caller should wait.
    Down(Fault),
}

impl Link {
    /// A link that leads nowhere until it is kept.
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            line: watch::Sender::new(Line::Connecting),
        }
    }

    /// The server it leads to.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Connects, and connects again whenever the connection breaks. Never returns.
    pub(super) async fn keep(&self) {
        let mut pause = Backoff::default();
        let mut number = 0;
        loop {
            match self.server.connect(DEADLINE).await {
                Ok(mut connection) => {
                    number += 1;
                    connection.number = number;
                    info!(store.address = %self.server.address, "connected to redis");
                    if let Some(policy) = &connection.read_only {
                        warn!(store.address = %self.server.address, "redis may evict keys (maxmemory-policy {policy}): changes are refused until it is noeviction");
                    }
                    self.line.send_replace(Line::Up(connection));
                    let mut line = self.line.subscribe();
                    // Invariant: the sender is `self`, so the channel cannot close under us.
                    let _ = line.wait_for(|line| !matches!(line, Line::Up(_))).await;
                    pause = Backoff::default();
                }
                Err(fault) => {
                    self.line.send_replace(Line::Down(fault));
                }
            }
            pause.wait().await;
        }
    }

    /// Sends one command that only reads.
    ///
    /// # Errors
    /// If there is no connection and none comes soon, or the command fails.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        let connection = self.connection().await?;
        let answer = connection.ask(command).await;
        self.judge(&connection, answer)
    }

    /// Sends several commands at once.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) async fn ask_all<T: FromRedisValue>(
        &self,
        commands: &redis::Pipeline,
    ) -> Result<T, Fault> {
        let connection = self.connection().await?;
        let answer = connection.ask_all(commands).await;
        self.judge(&connection, answer)
    }

    /// Says whether changes may be sent at all.
    ///
    /// # Errors
    /// If there is no connection, or what it leads to may evict keys.
    pub(super) async fn may_write(&self) -> Result<(), Fault> {
        let connection = self.connection().await?;
        match &connection.read_only {
            None => Ok(()),
            Some(policy) => Err(connection.blame(Cause::Evicts {
                policy: Arc::clone(policy),
            })),
        }
    }

    /// Whether the last attempt to connect failed. Never waits.
    pub(super) fn is_down(&self) -> bool {
        matches!(*self.line.borrow(), Line::Down(_))
    }

    /// A fault at this link's address.
    pub(super) fn blame(&self, cause: Cause) -> Fault {
        self.server.fault(cause)
    }

    async fn connection(&self) -> Result<Connection, Fault> {
        let mut line = self.line.subscribe();
        let settled = line.wait_for(|line| !matches!(line, Line::Connecting));
        let Ok(Ok(line)) = tokio::time::timeout(DEADLINE, settled).await else {
            return Err(self.blame(Cause::NotConnected));
        };
        match &*line {
            Line::Up(connection) => Ok(connection.clone()),
            Line::Down(fault) => Err(fault.clone()),
            Line::Connecting => Err(self.blame(Cause::NotConnected)),
        }
    }

    /// Lets go of a connection that a command showed to be of no more use.
    fn judge<T>(&self, used: &Connection, answer: Result<T, Fault>) -> Result<T, Fault> {
        if answer.as_ref().is_err_and(Fault::ends_connection) {
            self.line.send_if_modified(|line| {
                let is_it = matches!(line, Line::Up(held) if held.number == used.number);
                if is_it {
                    *line = Line::Connecting;
                }
                is_it
            });
        }
        answer
    }
}

/// What went wrong with a server, and at which address.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    address: Arc<str>,
    cause: Cause,
}

/// Why a server is of no use, as it ends the sentence "redis at …".
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Cause {
    #[error("cannot be reached")]
    Connect { source: RedisError },
    #[error("has no connection of ours yet")]
    NotConnected,
    #[error("is not followed any more")]
    Abandoned,
    #[error("does not answer in time")]
    Silent,
    #[error("answers with an error")]
    Failed { source: RedisError },
    #[error("is a {role}, not the master")]
    NotMaster { role: String },
    #[error(
        "may evict keys (maxmemory-policy {policy}, must be noeviction), so nothing is written to it"
    )]
    Evicts { policy: Arc<str> },
    #[error("was written by a newer version (format {format})")]
    Newer { format: u64 },
    #[error(
        "is empty, and this gate has a store of incarnation {mine}; remove the mirror to begin anew"
    )]
    Emptied { mine: String },
    #[error(
        "has a store of incarnation {found}, and this gate one of {mine}; remove the mirror to accept it"
    )]
    Foreign { found: String, mine: String },
    #[error("is damaged: {what}")]
    Damaged { what: String },
    #[error("does not bring back {id}, which was revoked")]
    Revived { id: String },
    #[error("no longer has all changes that this gate lacks")]
    Trimmed,
    #[error("has another history than this gate")]
    Forked,
    #[error("is not sent {records} records and {bytes} bytes in one change")]
    TooLarge { records: usize, bytes: usize },
    #[error("cannot be mirrored")]
    Mirror { source: Arc<StoreError> },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis at {} {}", self.address, self.cause)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

impl Fault {
    /// Why.
    pub(super) fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Whether what was asked for may have been done all the same.
    pub(super) fn leaves_doubt(&self) -> bool {
        match &self.cause {
            Cause::Silent => true,
            Cause::Failed { source } => {
                source.is_io_error()
                    || source.is_connection_dropped()
                    || source.is_unrecoverable_error()
            }
            _ => false,
        }
    }

    /// Whether another connection is needed: this one is broken, or leads to a server that is no master any more.
    fn ends_connection(&self) -> bool {
        let Cause::Failed { source } = &self.cause else {
            return self.leaves_doubt();
        };
        let demoted = matches!(
            source.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
                | ErrorKind::AuthenticationFailed
        );
        demoted || self.leaves_doubt()
    }

    /// Whether a script was called by a name that the server does not know.
    pub(super) fn is_unknown_script(&self) -> bool {
        matches!(&self.cause, Cause::Failed { source }
            if source.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault.cause {
            Cause::Newer { .. }
            | Cause::Emptied { .. }
            | Cause::Foreign { .. }
            | Cause::Damaged { .. } => Self::Unusable {
                place: format!("redis at {}", fault.address),
                reason: format!("it {}", fault.cause),
            },
            _ => Self::unavailable(fault),
        }
    }
}

/// How long to wait before the next attempt: up to twice as long each time, and never all gates at once.
#[derive(Debug)]
pub(super) struct Backoff {
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
    pub(super) async fn wait(&mut self) {
        let share = getrandom::u32().unwrap_or(u32::MAX);
        let pause = self.bound.mul_f64(f64::from(share) / f64::from(u32::MAX));
        self.bound = (self.bound * 2).min(BACKOFF_MOST);
        tokio::time::sleep(pause).await;
    }
}

/// How long any command may take.
pub(super) const DEADLINE: Duration = Duration::from_millis(500);
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MOST: Duration = Duration::from_secs(2);
