//! Who is there, where a change is in force, striking a gate off.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep};

use crate::control::ControlError;
use crate::control::caller::{Caller, reason};
use crate::control::writer::{Draft, Writer};
use crate::domain::audit::{Action, FieldChange};
use crate::domain::change::{ChangeId, Revision};
use crate::domain::fleet::{Pending, Presence, Roster};
use crate::domain::time::{Clock, Timestamp};
use crate::store::{FleetStore, Store, Struck};

use super::Seen;

/// The gates that share a store, as this gate sees them.
pub struct FleetService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
    node: Arc<str>,
    forget: Duration,
    seen: Arc<Seen>,
}

/// A gate, as it is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: Arc<str>,
    /// How it stands.
    pub presence: Presence,
    /// Its place among the gates; `None` where one has the store for itself.
    pub index: Option<u32>,
    /// What it has applied.
    pub applied: Revision,
    /// When it was last heard of.
    pub last_contact_at: Timestamp,
    /// Which version of Portcullis it runs.
    pub version: Arc<str>,
    /// Whether it is this gate.
    pub is_this: bool,
}

/// Where a change is in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The gates that act on it.
    pub applied_on: Vec<Arc<str>>,
    /// The gates that may serve and are not known to.
    pub pending: Vec<Pending>,
}

impl FleetService {
    /// What `node` knows of the gates over `store`; one is counted on until it has been silent for `forget`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        writer: Arc<Writer>,
        node: Arc<str>,
        forget: Duration,
    ) -> Self {
        Self {
            store,
            clock,
            writer,
            node,
            forget,
            seen: Arc::default(),
        }
    }

    /// The same, told by beats of what there is to `seen`.
    pub(crate) fn seeing(self, seen: Arc<Seen>) -> Self {
        Self { seen, ..self }
    }

    /// The gates as of the last beat, this one among them.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeView> {
        if self.store.fleet().is_none() {
            return vec![NodeView {
                name: Arc::clone(&self.node),
                presence: Presence::Live,
                index: None,
                applied: self.store.contact().revision,
                last_contact_at: self.clock.now(),
                version: env!("CARGO_PKG_VERSION").into(),
                is_this: true,
            }];
        }
        let roster = self.seen.roster();
        let view = |node: &crate::domain::fleet::Node| NodeView {
            name: Arc::clone(&node.name),
            presence: node.presence(roster.at, self.forget),
            index: Some(node.index),
            applied: node.applied,
            last_contact_at: node.beat_at,
            version: Arc::clone(&node.version),
            is_this: node.name == self.node,
        };
        roster.nodes.iter().map(view).collect()
    }

    /// How many gates are live, and how many have their share left to them though they are out of sight.
    #[must_use]
    pub fn live_and_lost(&self) -> (u32, u32) {
        if self.store.fleet().is_none() {
            return (1, 0);
        }
        let roster = self.seen.roster();
        (roster.live(), roster.lost(&self.node, self.forget))
    }

    /// Since when another process goes by this gate's name, if one does.
    #[must_use]
    pub fn taken_since(&self) -> Option<Timestamp> {
        self.seen.taken_since()
    }

    /// Where is in force what was found at this revision, or what landed there, if `change` did. This gate acts on it
    /// already; for the others it waits up to `wait`, or not at all. A revision alone says nothing of a gate on another
    /// history: the store may have lost the change, and have another at its revision.
    pub async fn standing(
        &self,
        revision: Revision,
        change: Option<ChangeId>,
        wait: Option<Duration>,
    ) -> Standing {
        let mut has = BTreeSet::from([Arc::clone(&self.node)]);
        let Some(fleet) = self.store.fleet() else {
            return standing(&Roster::default(), revision, has);
        };
        let Some(wait) = wait else {
            return match change {
                Some(_) => self.unknown_to_others(),
                None => standing(&self.seen.roster(), revision, has),
            };
        };
        let change = match change {
            Some(change) => Some(change),
            None => fleet.change_at(revision).await.unwrap_or_default(),
        };
        let Some(change) = change else {
            return self.unknown_to_others();
        };
        let landed = (revision, change);
        let until = Instant::now() + wait;
        let seen = || Roster::clone(&self.seen.roster()).applying_nothing();
        let mut roster = ask_roster(fleet, landed).await.unwrap_or_else(seen);
        while roster
            .without(revision)
            .any(|node| !has.contains(&node.name))
        {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match fleet.acknowledged(landed, left.min(LOOK_EVERY)).await {
                Ok(Some(node)) => drop(has.insert(node.into())),
                // What no gate says, its beat shows.
                Ok(None) => roster = ask_roster(fleet, landed).await.unwrap_or(roster),
                Err(error) => {
                    tracing::debug!(%error, "nobody can be heard saying that a change is applied");
                    sleep(left.min(PAUSE)).await;
                    roster = ask_roster(fleet, landed).await.unwrap_or(roster);
                }
            }
        }
        standing(&roster, revision, has)
    }

    /// Where something is in force that no other gate has heard of yet.
    #[must_use]
    pub fn unknown_to_others(&self) -> Standing {
        let roster = match self.store.fleet() {
            Some(_) => self.seen.roster(),
            None => Arc::default(),
        };
        let has = BTreeSet::from([Arc::clone(&self.node)]);
        standing(&roster, Revision(u64::MAX), has)
    }

    /// Takes a gate that will not come back out of the roster. If it does come back, it is in it again.
    ///
    /// # Errors
    /// [`ControlError::Bound`], [`ControlError::NotFound`], [`ControlError::NodeLive`], or what the store
    /// returns.
    pub async fn strike_off(
        &self,
        caller: &Caller,
        node: &str,
        why: Option<String>,
    ) -> Result<NodeView, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        let why = reason(why)?;
        let Some(fleet) = self.store.fleet() else {
            let is_this = node == &*self.node;
            return Err(if is_this {
                ControlError::NodeLive
            } else {
                ControlError::NotFound
            });
        };
        let roster = fleet.roster().await?;
        let known = roster.find(node).ok_or(ControlError::NotFound)?;
        let presence = known.presence(roster.at, self.forget);
        if presence == Presence::Live {
            return Err(ControlError::NodeLive);
        }
        let view = NodeView {
            name: Arc::clone(&known.name),
            presence,
            index: Some(known.index),
            applied: known.applied,
            last_contact_at: known.beat_at,
            version: Arc::clone(&known.version),
            is_this: known.name == self.node,
        };
        // Written down first: what cannot be is not done.
        let write_down = || {
            async {
                let mut entry = caller.did(Action::Config, self.clock.now())?;
                entry.reason.clone_from(&why);
                entry.changes = vec![FieldChange {
                    field: format!("nodes.{node}"),
                    from: presence.as_str().into(),
                    to: serde_json::Value::Null,
                }];
                Ok(Draft {
                    writes: Vec::new(),
                    audit: vec![entry],
                    value: (),
                })
            }
            .boxed()
        };
        self.writer.commit(write_down).await?;
        match fleet.strike_off(node).await? {
            // Another call was faster; what was asked for is so.
            Struck::Off | Struck::Unknown => Ok(view),
            Struck::Live => Err(ControlError::NodeLive),
        }
    }
}

/// Who is there now, and what they have applied of where `landed` is; `None` if the store does not say.
async fn ask_roster(fleet: &dyn FleetStore, landed: (Revision, ChangeId)) -> Option<Roster> {
    match fleet.roster_of(landed).await {
        Ok(roster) => Some(roster),
        Err(error) => {
            tracing::debug!(%error, "who is there cannot be asked, going by what was last heard");
            None
        }
    }
}

fn standing(roster: &Roster, revision: Revision, mut has: BTreeSet<Arc<str>>) -> Standing {
    let others = roster
        .nodes
        .iter()
        .filter(|node| !node.is_off && node.applied >= revision);
    has.extend(others.map(|node| Arc::clone(&node.name)));
    let lacking = roster
        .without(revision)
        .filter(|node| !has.contains(&node.name));
    let pending = lacking.map(|node| Pending {
        name: Arc::clone(&node.name),
        last_contact_at: node.beat_at,
        stops_by: node.stops_by(),
    });
    let pending = pending.collect();
    Standing {
        applied_on: has.into_iter().collect(),
        pending,
    }
}

/// How often the roster is looked at while nobody says anything.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fleet::Node;

    fn node(name: &str, applied: u64) -> Node {
        Node {
            name: name.into(),
            boot: 1,
            index: 0,
            applied: Revision(applied),
            beat_at: Timestamp::from_millis(1_000),
            is_off: false,
            max_staleness: Duration::from_secs(60),
            version: "0".into(),
        }
    }

    #[test]
    fn a_gate_is_named_once_by_its_word_or_by_its_beat() {
        let roster = Roster {
            at: Timestamp::from_millis(2_000),
            nodes: vec![
                node("a", 6),
                node("b", 7),
                node("c", 6),
                node("d", 6),
                Node {
                    is_off: true,
                    ..node("e", 7)
                },
            ],
        };
        let has = BTreeSet::from(["a".into(), "c".into()]);
        let told = standing(&roster, Revision(7), has);
        let names: Vec<_> = told.applied_on.iter().map(|name| &**name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(
            told.pending,
            [Pending {
                name: "d".into(),
                last_contact_at: Timestamp::from_millis(1_000),
                stops_by: Timestamp::from_millis(61_000),
            }]
        );
    }
}
