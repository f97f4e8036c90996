//! A cluster: which master a key lies on, and a line to each of them.
//!
//! A node that a command does not belong to says so and has done nothing with it: only such commands are
//! sent again, where they belong, until the deadline. While a slot moves, a command whose keys are partly
//! here and partly there waits for the move in the same way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use redis::{Cmd, Pipeline, Value};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::info;

use super::fault::{Cause, Fault, Redirect};
use super::line::{Backoff, DEADLINE, Line, Made, jitter};
use super::server::{Access, Address, Connection, Part, Server};
use super::slots::{self, SlotMap};

/// The masters of a cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    access: Access,
    /// The nodes that the configuration names.
    seeds: Vec<Address>,
    /// All of them, as a fault calls them.
    place: Arc<str>,
    /// The slot that the control state lies in.
    home: u16,
    map: watch::Sender<Map>,
    /// The map may be wrong.
    stale: Notify,
    lines: Mutex<Lines>,
    /// There are lines that nobody keeps yet.
    fresh: Notify,
    made: Arc<Made>,
}

/// What is known of the slots.
#[derive(Debug)]
enum Map {
    Reading,
    Known(SlotMap),
    Unknown(Fault),
}

#[derive(Debug, Default)]
struct Lines {
    to: HashMap<Address, Arc<Line>>,
    /// Those that nobody keeps yet.
    fresh: Vec<(Address, Arc<Line>)>,
}

/// Where a command is sent.
struct Way {
    address: Address,
    /// Whether the node must be told that we know that the slot is not its own yet.
    asking: bool,
}

impl Cluster {
    /// The cluster that these nodes are of; `home` is a key of the control state.
    pub(super) fn new(access: Access, seeds: Vec<Address>, home: &str, made: &Arc<Made>) -> Self {
        let addresses: Vec<_> = seeds.iter().map(ToString::to_string).collect();
        Self {
            access,
            seeds,
            place: addresses.join(", ").into(),
            home: slots::of_key(home.as_bytes()),
            map: watch::Sender::new(Map::Reading),
            stale: Notify::new(),
            lines: Mutex::default(),
            fresh: Notify::new(),
            made: Arc::clone(made),
        }
    }

    /// Keeps the map and the lines. Never returns.
    pub(super) async fn keep(&self) {
        tokio::join!(self.keep_map(), self.keep_lines());
    }

    /// A connection of its own to the master of the control state, which is looked up anew.
    ///
    /// # Errors
    /// If no node says which that is, or it is not to be had.
    pub(super) async fn connect_home(&self, deadline: Duration) -> Result<Connection, Fault> {
        self.read_map().await?;
        let address = self.owner(self.home).await?;
        let server = self.access.server(address);
        server.connect(Part::Node, deadline).await
    }

    /// The connection to the master of the control state.
    ///
    /// # Errors
    /// If there is none and none comes soon.
    pub(super) async fn home(&self) -> Result<Connection, Fault> {
        let address = self.owner(self.home).await?;
        self.line(&address).connection().await
    }

    /// The connections to all masters that have slots.
    ///
    /// # Errors
    /// If one of them is not to be had.
    pub(super) async fn masters(&self) -> Result<Vec<Connection>, Fault> {
        self.home().await?;
        let masters = match &*self.map.borrow() {
            Map::Known(map) => map.owning(),
            Map::Unknown(fault) => return Err(fault.clone()),
            Map::Reading => return Err(self.blame(Cause::NotConnected)),
        };
        let mut connections = Vec::with_capacity(masters.len());
        for address in masters {
            connections.push(self.line(&address).connection().await?);
        }
        Ok(connections)
    }

    /// Why nothing may be written to one of the masters; `None` where it may.
    pub(super) fn read_only(&self) -> Option<Fault> {
        let lines: Vec<_> = self.lines.lock().to.values().map(Arc::clone).collect();
        lines
            .iter()
            .filter_map(|line| line.held())
            .find_map(|connection| {
                let policy = Arc::clone(connection.read_only.as_ref()?);
                Some(connection.blame(Cause::Evicts { policy }))
            })
    }

    /// Whether the master of the control state could not be had at the last attempt. Never waits.
    pub(super) fn is_down(&self) -> bool {
        let home = match &*self.map.borrow() {
            Map::Reading => return false,
            Map::Unknown(_) => return true,
            Map::Known(map) => map.owner(self.home).cloned(),
        };
        home.is_none_or(|home| self.line(&home).is_down())
    }

    /// Whether attempts to have it were turned down. Never waits.
    pub(super) fn says_no(&self) -> bool {
        let home = match &*self.map.borrow() {
            Map::Reading => return false,
            Map::Unknown(fault) => return !fault.is_silence(),
            Map::Known(map) => map.owner(self.home).cloned(),
        };
        home.is_none_or(|home| self.line(&home).says_no())
    }

    /// Sends a command where its keys lie, while the master of the control state is had over one of the first
    /// `most` connections.
    ///
    /// # Errors
    /// As [`Self::ask`], and if it is had over a later one.
    pub(super) async fn ask_among(&self, most: u64, command: &Cmd) -> Result<Value, Fault> {
        if most == u64::MAX {
            return self.ask(command).await;
        }
        let home = self.owner(self.home).await?;
        let line = self.line(&home);
        let connection = line.connection_among(most).await?;
        if slots::of_command(command).is_some_and(|slot| slot != self.home) {
            return self.ask(command).await;
        }
        match line.judge(&connection, connection.ask(command).await) {
            Err(fault) if fault.redirect().is_some() => self.ask(command).await,
            answer => answer,
        }
    }

    /// Sends a command where its keys lie.
    ///
    /// # Errors
    /// If that master is not to be had, or the command fails.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Fault> {
        let slot = slots::of_command(command).unwrap_or(self.home);
        let until = Instant::now() + DEADLINE;
        let mut way = self.way(slot).await?;
        loop {
            let fault = match self.ask_at(&way, command).await {
                Err(fault) if Instant::now() < until => fault,
                answer => return answer,
            };
            way = match fault.redirect() {
                Some(Redirect::Moved { slot, address }) => {
                    self.learn(slot, &address);
                    Way {
                        address,
                        asking: false,
                    }
                }
                Some(Redirect::Ask { address }) => Way {
                    address,
                    asking: true,
                },
                Some(Redirect::Later) => {
                    self.stale.notify_one();
                    tokio::time::sleep(PAUSE + jitter(PAUSE)).await;
                    self.way(slot).await?
                }
                None => return Err(fault),
            };
        }
    }

    /// Sends commands where their keys lie, those for one master at once.
    ///
    /// # Errors
    /// What the first of them that failed failed with.
    pub(super) async fn ask_all(&self, commands: &Pipeline) -> Result<Vec<Value>, Fault> {
        let commands: Vec<&Cmd> = commands.cmd_iter().collect();
        let mut batches: HashMap<Address, Vec<usize>> = HashMap::new();
        for (place, command) in commands.iter().enumerate() {
            let slot = slots::of_command(command).unwrap_or(self.home);
            batches
                .entry(self.owner(slot).await?)
                .or_default()
                .push(place);
        }
        let batches = batches.into_iter().map(async |(address, places)| {
            let mine = places
                .iter()
                .filter_map(|place| commands.get(*place).copied());
            let answers = self.ask_together(&address, mine).await?;
            Ok(places.into_iter().zip(answers).collect::<Vec<_>>())
        });
        let mut all: Vec<(usize, Value)> = Vec::with_capacity(commands.len());
        for answers in join_all(batches).await {
            all.extend(answers?);
        }
        all.sort_unstable_by_key(|(place, _)| *place);
        Ok(all.into_iter().map(|(_, answer)| answer).collect())
    }

    async fn ask_together<'c>(
        &self,
        address: &Address,
        commands: impl Iterator<Item = &'c Cmd> + Clone,
    ) -> Result<Vec<Value>, Fault> {
        let mut pipeline = redis::pipe();
        for command in commands.clone() {
            pipeline.add_command(command.clone());
        }
        let line = self.line(address);
        let connection = line.connection().await?;
        let answers = line.judge(&connection, connection.answers(&pipeline).await)?;
        let mut all = Vec::with_capacity(answers.len());
        for (command, answer) in commands.zip(answers) {
            all.push(match line.judge(&connection, answer) {
                Err(fault) if fault.redirect().is_some() => self.ask(command).await?,
                answer => answer?,
            });
        }
        Ok(all)
    }

    async fn ask_at(&self, way: &Way, command: &Cmd) -> Result<Value, Fault> {
        let line = self.line(&way.address);
        let connection = line.connection().await?;
        let answer = if way.asking {
            let mut both = redis::pipe();
            both.cmd("ASKING").ignore();
            both.add_command(command.clone());
            let answers = connection.answers(&both).await;
            answers.and_then(|mut answers| {
                let none = || Err(connection.blame(Cause::NotConnected));
                answers.pop().unwrap_or_else(none)
            })
        } else {
            connection.ask(command).await
        };
        line.judge(&connection, answer)
    }

    async fn way(&self, slot: u16) -> Result<Way, Fault> {
        Ok(Way {
            address: self.owner(slot).await?,
            asking: false,
        })
    }

    /// The master of a slot.
    async fn owner(&self, slot: u16) -> Result<Address, Fault> {
        let mut map = self.map.subscribe();
        let read = map.wait_for(|map| !matches!(map, Map::Reading));
        let Ok(Ok(map)) = tokio::time::timeout(DEADLINE, read).await else {
            return Err(self.blame(Cause::NotConnected));
        };
        match &*map {
            Map::Known(map) => {
                let owner = map.owner(slot).cloned();
                owner.ok_or_else(|| {
                    self.stale.notify_one();
                    self.blame(Cause::Unowned { slot })
                })
            }
            Map::Unknown(fault) => Err(fault.clone()),
            Map::Reading => Err(self.blame(Cause::NotConnected)),
        }
    }

    fn learn(&self, slot: u16, master: &Address) {
        self.map.send_if_modified(|map| match map {
            Map::Known(map) if map.owner(slot) != Some(master) => {
                map.give(slot, master);
                true
            }
            Map::Known(_) | Map::Reading | Map::Unknown(_) => false,
        });
        self.stale.notify_one();
    }

    /// The line to a master; one that nobody keeps yet, where there was none.
    fn line(&self, address: &Address) -> Arc<Line> {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.to.get(address) {
            return Arc::clone(line);
        }
        let line = Arc::new(Line::new(address.to_string().into(), &self.made));
        lines.to.insert(address.clone(), Arc::clone(&line));
        lines.fresh.push((address.clone(), Arc::clone(&line)));
        drop(lines);
        self.fresh.notify_one();
        line
    }

    async fn keep_lines(&self) {
        let mut kept = FuturesUnordered::new();
        loop {
            let fresh = std::mem::take(&mut self.lines.lock().fresh);
            kept.extend(
                fresh
                    .into_iter()
                    .map(|(address, line)| self.keep_line(address, line)),
            );
            tokio::select! {
                () = self.fresh.notified() => {}
                Some(()) = kept.next() => {}
            }
        }
    }

    async fn keep_line(&self, address: Address, line: Arc<Line>) {
        let server = self.access.server(address);
        line.keep(async || {
            let connection = server.connect(Part::Node, DEADLINE).await;
            connection.inspect_err(|_| self.stale.notify_one())
        })
        .await;
    }

    /// Reads the map, and again whenever it may be wrong.
    async fn keep_map(&self) {
        let mut pause = Backoff::default();
        loop {
            if let Err(fault) = self.read_map().await {
                self.map.send_if_modified(|map| {
                    // Better an old map than none: each node says what is wrong with it.
                    let is_known = matches!(map, Map::Known(_));
                    if !is_known {
                        *map = Map::Unknown(fault);
                    }
                    !is_known
                });
                pause.wait().await;
            } else {
                pause = Backoff::default();
                tokio::time::sleep(MAP_PAUSE + jitter(MAP_PAUSE)).await;
                self.stale.notified().await;
            }
        }
    }

    /// Asks the nodes there are which master has which slot; the first to answer is believed, since what it
    /// is wrong about, the others correct.
    async fn read_map(&self) -> Result<(), Fault> {
        let mut asked: FuturesUnordered<_> = self.nodes().into_iter().map(ask_map).collect();
        let mut last_fault = None;
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(map) => {
                    self.take_map(map);
                    return Ok(());
                }
                Err(fault) => last_fault = Some(fault),
            }
        }
        Err(match last_fault {
            Some(fault) if self.seeds.len() > 1 => self.blame(fault.cause().clone()),
            Some(fault) => fault,
            None => self.blame(Cause::NotConnected),
        })
    }

    /// Whom to ask: the nodes that the configuration names and the masters that are known, but not all of many.
    fn nodes(&self) -> Vec<Server> {
        let mut nodes = self.seeds.clone();
        if let Map::Known(map) = &*self.map.borrow() {
            nodes.extend_from_slice(map.masters());
        }
        let skip = getrandom::u32().unwrap_or_default() as usize % nodes.len().max(1);
        nodes.rotate_left(skip);
        let mut seen = Vec::new();
        for node in nodes {
            if !seen.contains(&node) && seen.len() < ASKED_AT_ONCE {
                seen.push(node);
            }
        }
        seen.into_iter()
            .map(|node| self.access.server(node))
            .collect()
    }

    fn take_map(&self, read: SlotMap) {
        let masters = read.masters().to_vec();
        self.map.send_modify(|map| {
            if !matches!(map, Map::Known(_)) {
                info!(masters = masters.len(), "the cluster's slots are known");
            }
            *map = Map::Known(read);
        });
        self.lines.lock().to.retain(|address, line| {
            let is_wanted = masters.contains(address) || !line.is_down();
            if !is_wanted {
                line.end();
            }
            is_wanted
        });
        for master in &masters {
            self.line(master);
        }
    }

    /// A fault of the cluster as a whole.
    pub(super) fn blame(&self, cause: Cause) -> Fault {
        Fault::at(&self.place, cause)
    }
}

async fn ask_map(node: Server) -> Result<SlotMap, Fault> {
    let connection = node.reach(DEADLINE).await?;
    let answer = connection.ask(redis::cmd("CLUSTER").arg("SLOTS")).await;
    match answer {
        Ok(answer) => {
            SlotMap::read(answer, node.address()).ok_or_else(|| connection.blame(Cause::NoCluster))
        }
        Err(fault) if fault.says("cluster support disabled") => {
            Err(connection.blame(Cause::NoCluster))
        }
        Err(fault) => Err(fault),
    }
}

/// Between two tries where a node says that it cannot yet.
const PAUSE: Duration = Duration::from_millis(10);
/// Between two readings of the map.
const MAP_PAUSE: Duration = Duration::from_millis(100);
const ASKED_AT_ONCE: usize = 8;
