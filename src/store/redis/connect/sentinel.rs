//! Which server is the master, by those who watch it.
//!
//! All sentinels are asked at once. As soon as more than half have answered, the answer of the latest
//! epoch counts, so that one that was cut off and knows only an old master is not believed alone; if not
//! so many answer, the latest of those there are. Whatever they say, the server must then call itself
//! master.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::fault::{Cause, Fault};
use super::line::DEADLINE;
use super::server::{Access, Address, Connection, Part, Server};

/// The sentinels of a master.
#[derive(Debug)]
pub(super) struct Sentinels {
    name: Arc<str>,
    servers: Vec<Server>,
    /// How the master is spoken to.
    master: Access,
    /// All of them, as a fault calls them.
    place: Arc<str>,
}

/// What a sentinel says.
#[derive(Debug, PartialEq, Eq)]
struct Testimony {
    master: Address,
    /// Of the last failover that it knows of.
    epoch: u64,
}

impl Sentinels {
    /// Those that watch the master of this name.
    pub(super) fn new(name: &str, servers: Vec<Server>, master: Access) -> Self {
        let addresses: Vec<_> = servers.iter().map(|it| it.address().to_string()).collect();
        Self {
            name: Arc::from(name),
            servers,
            master,
            place: addresses.join(", ").into(),
        }
    }

    /// All of them, as a fault calls them.
    pub(super) fn place(&self) -> &Arc<str> {
        &self.place
    }

    /// Finds the master and connects to it.
    ///
    /// # Errors
    /// If no sentinel knows it, or it is not to be had.
    pub(super) async fn connect(&self, deadline: Duration) -> Result<Connection, Fault> {
        let master = self.master().await?;
        self.master
            .server(master)
            .connect(Part::Alone, deadline)
            .await
    }

    async fn master(&self) -> Result<Address, Fault> {
        let mut asked: FuturesUnordered<_> =
            self.servers.iter().map(|server| self.ask(server)).collect();
        let (mut answers, mut latest, mut last_fault) = (0, None::<Testimony>, None);
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(said) => {
                    answers += 1;
                    if latest.as_ref().is_none_or(|held| said.epoch > held.epoch) {
                        latest = Some(said);
                    }
                }
                Err(fault) => last_fault = Some(fault),
            }
            if answers * 2 > self.servers.len() {
                break;
            }
        }
        match (latest, last_fault) {
            (Some(said), _) => Ok(said.master),
            // Of one it is said which; of several, that none was of use, and why the last was not.
            (None, Some(fault)) if self.servers.len() > 1 => {
                Err(Fault::at(&self.place, fault.cause().clone()))
            }
            (None, Some(fault)) => Err(fault),
            (None, None) => Err(Fault::at(&self.place, Cause::NotConnected)),
        }
    }

    async fn ask(&self, server: &Server) -> Result<Testimony, Fault> {
        let connection = server.reach(DEADLINE).await?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("MASTER").arg(&*self.name);
        let fields: Result<HashMap<String, String>, Fault> = connection.ask(&ask).await;
        let unknown = || {
            connection.blame(Cause::NoMaster {
                name: Arc::clone(&self.name),
            })
        };
        match fields {
            Ok(fields) => read(&fields).ok_or_else(unknown),
            Err(fault) if fault.says("No such master") => Err(unknown()),
            Err(fault) if fault.says("unknown command") => Err(connection.blame(Cause::NoSentinel)),
            Err(fault) => Err(fault),
        }
    }
}

fn read(fields: &HashMap<String, String>) -> Option<Testimony> {
    Some(Testimony {
        master: Address {
            host: Arc::from(fields.get("ip")?.as_str()),
            port: fields.get("port")?.parse().ok()?,
        },
        epoch: fields.get("config-epoch")?.parse().ok()?,
    })
}
