//! The seam: commands go in, and find the master they are for.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Pipeline, Value};

use crate::config::{RedisChoice, RedisSite};
use crate::store::StoreError;

use super::cluster::Cluster;
use super::fault::{Cause, Fault};
use super::line::{DEADLINE, Line, Made};
use super::sentinel::Sentinels;
use super::server::{Access, Connection, Part, Server};

/// The way to the masters of a store, kept up by [`Link::keep`] in the background.
#[derive(Debug)]
pub(in crate::store::redis) struct Link {
    site: Site,
    made: Arc<Made>,
}

#[derive(Debug)]
enum Site {
    /// One server has everything, and how it is found.
    One { line: Line, master: Master },
    /// The masters of a cluster have each a part; the control state lies on one of them.
    Cluster(Cluster),
}

/// How the one server is found.
#[derive(Debug)]
enum Master {
    Fixed(Server),
    Watched(Sentinels),
}

/// A link, and which of its connections a command may go over: what was found out about the server holds on those
/// alone that were there then.
#[derive(Debug, Clone, Copy)]
pub(in crate::store::redis) struct Route<'l> {
    link: &'l Link,
    most: u64,
}

impl Route<'_> {
    /// Sends one command.
    ///
    /// # Errors
    /// As [`Link::ask`], and if there is no such connection any more.
    pub(in crate::store::redis) async fn ask<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<T, Fault> {
        match &self.link.site {
            Site::One { line, .. } => {
                let connection = line.connection_among(self.most).await?;
                line.judge(&connection, connection.ask(command).await)
            }
            Site::Cluster(cluster) => {
                let answer = cluster.ask_among(self.most, command).await?;
                self.link.read(answer)
            }
        }
    }

    /// A fault where it leads.
    pub(in crate::store::redis) fn blame(&self, cause: Cause) -> Fault {
        self.link.blame(cause)
    }
}

impl Link {
    /// A link that leads nowhere until it is kept. `home` is a key of the control state.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if an address is none.
    pub(in crate::store::redis) fn new(
        choice: &RedisChoice,
        home: &str,
    ) -> Result<Self, StoreError> {
        let (username, password) = (choice.username.as_deref(), choice.password.as_ref());
        let made = Arc::<Made>::default();
        let site = match &choice.site {
            RedisSite::Standalone { url } => {
                let (access, address) = Access::of(url, username, password, &choice.tls)?;
                Site::One {
                    line: Line::new(address.to_string().into(), &made),
                    master: Master::Fixed(access.server(address)),
                }
            }
            RedisSite::Sentinel(sentinel) => {
                let (own_name, own_word) =
                    (sentinel.username.as_deref(), sentinel.password.as_ref());
                let watchers: Result<Vec<_>, StoreError> = sentinel
                    .urls
                    .iter()
                    .map(|url| Access::of(url, own_name, own_word, &choice.tls))
                    .collect();
                let watchers = watchers?;
                let Some((access, _)) = watchers.first() else {
                    return Err(no_address());
                };
                let master = access.as_user(username, password);
                let servers = watchers.into_iter().map(|(access, at)| access.server(at));
                let watched = Sentinels::new(&sentinel.master, servers.collect(), master);
                Site::One {
                    line: Line::new(watched.place().clone(), &made),
                    master: Master::Watched(watched),
                }
            }
            RedisSite::Cluster { urls } => {
                let nodes: Result<Vec<_>, StoreError> = urls
                    .iter()
                    .map(|url| Access::of(url, username, password, &choice.tls))
                    .collect();
                let (accesses, seeds): (Vec<_>, Vec<_>) = nodes?.into_iter().unzip();
                let access = accesses.into_iter().next().ok_or_else(no_address)?;
                Site::Cluster(Cluster::new(access, seeds, home, &made))
            }
        };
        Ok(Self { site, made })
    }

    /// Connects, and connects again whenever a connection breaks. Never returns.
    pub(in crate::store::redis) async fn keep(&self) {
        match &self.site {
            Site::One { line, master } => line.keep(async || master.connect(DEADLINE).await).await,
            Site::Cluster(cluster) => cluster.keep().await,
        }
    }

    /// How many connections were made so far: a new one may lead to another server, which lacks what the one
    /// before took last. Never waits.
    pub(in crate::store::redis) fn made(&self) -> u64 {
        self.made.count()
    }

    /// Waits until one more is made: the server is there, then.
    pub(in crate::store::redis) async fn connected(&self) {
        self.made.another().await;
    }

    /// A connection of its own to the master of the control state, on which each answer may take `deadline`.
    ///
    /// # Errors
    /// If it is not to be had.
    pub(in crate::store::redis) async fn connect(
        &self,
        deadline: Duration,
    ) -> Result<Connection, Fault> {
        match &self.site {
            Site::One { master, .. } => master.connect(deadline).await,
            Site::Cluster(cluster) => cluster.connect_home(deadline).await,
        }
    }

    /// The way over whatever connection there is.
    pub(in crate::store::redis) const fn any(&self) -> Route<'_> {
        self.among(u64::MAX)
    }

    /// The way over one of the first `most` connections that were made.
    pub(in crate::store::redis) const fn among(&self, most: u64) -> Route<'_> {
        Route { link: self, most }
    }

    /// Sends one command.
    ///
    /// # Errors
    /// If there is no connection and none comes soon, or the command fails.
    pub(in crate::store::redis) async fn ask<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<T, Fault> {
        self.any().ask(command).await
    }

    /// Sends several commands at once.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(in crate::store::redis) async fn ask_all<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
    ) -> Result<T, Fault> {
        match &self.site {
            Site::One { line, .. } => {
                let connection = line.connection().await?;
                line.judge(&connection, connection.ask_all(commands).await)
            }
            Site::Cluster(cluster) => {
                let answers = cluster.ask_all(commands).await?;
                self.read(Value::Array(answers))
            }
        }
    }

    /// The connections to all masters that have a part of the store.
    ///
    /// # Errors
    /// If one of them is not to be had.
    pub(in crate::store::redis) async fn masters(&self) -> Result<Vec<Connection>, Fault> {
        match &self.site {
            Site::One { line, .. } => Ok(vec![line.connection().await?]),
            Site::Cluster(cluster) => cluster.masters().await,
        }
    }

    /// Says whether changes may be sent at all.
    ///
    /// # Errors
    /// If there is no connection, or what it leads to may evict keys.
    pub(in crate::store::redis) async fn may_write(&self) -> Result<(), Fault> {
        match &self.site {
            Site::One { line, .. } => {
                let connection = line.connection().await?;
                match &connection.read_only {
                    None => Ok(()),
                    Some(policy) => Err(connection.blame(Cause::Evicts {
                        policy: policy.clone(),
                    })),
                }
            }
            Site::Cluster(cluster) => {
                cluster.home().await?;
                cluster.read_only().map_or(Ok(()), Err)
            }
        }
    }

    /// Whether the last attempt to connect failed. Never waits.
    pub(in crate::store::redis) fn is_down(&self) -> bool {
        match &self.site {
            Site::One { line, .. } => line.is_down(),
            Site::Cluster(cluster) => cluster.is_down(),
        }
    }

    /// Whether the last attempts to connect were turned down. Never waits.
    pub(in crate::store::redis) fn says_no(&self) -> bool {
        match &self.site {
            Site::One { line, .. } => line.says_no(),
            Site::Cluster(cluster) => cluster.says_no(),
        }
    }

    /// A fault where this link leads.
    pub(in crate::store::redis) fn blame(&self, cause: Cause) -> Fault {
        match &self.site {
            Site::One { line, .. } => line.blame(cause),
            Site::Cluster(cluster) => cluster.blame(cause),
        }
    }

    fn read<T: FromRedisValue>(&self, answer: Value) -> Result<T, Fault> {
        let read = redis::from_redis_value(answer);
        read.map_err(|error| self.blame(Cause::of(error.into())))
    }
}

impl Master {
    async fn connect(&self, deadline: Duration) -> Result<Connection, Fault> {
        match self {
            Self::Fixed(server) => server.connect(Part::Alone, deadline).await,
            Self::Watched(sentinels) => sentinels.connect(deadline).await,
        }
    }
}

fn no_address() -> StoreError {
    StoreError::Unusable {
        place: "the Redis address".to_owned(),
        reason: "there is none".to_owned(),
    }
}
