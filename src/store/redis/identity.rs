//! Which store it is that a connection leads to: the one that the mirror is of, another, or none.

use std::sync::atomic::Ordering;

use super::connect::{Cause, Connection, Fault, Route};
use super::feed::{self, Meta, Stand};
use super::follow::{Shared, Stage};
use super::names::hex;
use super::scripts::Call;

impl Shared {
    /// Whether what keeps this gate from its store is not known to keep others from it: nothing is heard, or a
    /// connection broke, and no other was turned down yet.
    pub(super) fn is_silent(&self) -> bool {
        if self.link.is_down() {
            return !self.link.says_no();
        }
        self.stage.borrow().fault().is_none_or(Fault::is_on_the_way)
    }

    /// Where the store stands, if it is one of ours, and the one whose mirror this is.
    ///
    /// # Errors
    /// If it cannot be read, or is not that one.
    pub(super) async fn look(
        &self,
        connection: &Connection,
        mine: Option<Stand>,
    ) -> Result<Stand, Fault> {
        let meta = self.meta(connection).await?;
        self.accept(meta, mine)
    }

    pub(super) async fn meta(&self, connection: &Connection) -> Result<Meta, Fault> {
        let fields: Vec<_> = connection.ask(&feed::ask_meta(&self.names)).await?;
        Ok(feed::read_meta(&fields))
    }

    pub(super) fn accept(&self, meta: Meta, mine: Option<Stand>) -> Result<Stand, Fault> {
        let cause = match (meta, mine) {
            (Meta::At(theirs), None) => return Ok(theirs),
            (Meta::At(theirs), Some(mine)) if theirs.incarnation == mine.incarnation => {
                return Ok(theirs);
            }
            (Meta::At(theirs), Some(mine)) => Cause::Foreign {
                found: hex(&theirs.incarnation),
                mine: hex(&mine.incarnation),
            },
            (Meta::Nothing, Some(mine)) => Cause::Emptied {
                mine: hex(&mine.incarnation),
            },
            (Meta::Newer { format }, _) => Cause::Newer { format },
            (Meta::Nothing | Meta::Unreadable, _) => Cause::Damaged {
                what: "its meta cannot be read".to_owned(),
            },
        };
        Err(self.link.blame(cause))
    }

    /// The way to the mirror's own store: what gates count, draw and lend must not land in another, or in one
    /// that came back empty. Looked up once a connection, and over no later one; one that is open is looked
    /// after by the follower.
    ///
    /// # Errors
    /// If commands lead elsewhere, or it is not to be known.
    pub(super) async fn ours(&self) -> Result<Route<'_>, Fault> {
        if let Stage::Estranged(fault) = &*self.stage.borrow() {
            return Err(fault.clone());
        }
        self.link.may_write().await?;
        let made = self.link.made();
        let route = self.link.among(made);
        if self.verified.load(Ordering::Acquire) == made {
            return Ok(route);
        }
        let Some(mine) = self.mirror.stand() else {
            return Err(self.link.blame(Cause::NotConnected));
        };
        let fields: Vec<_> = route.ask(&feed::ask_meta(&self.names)).await?;
        self.accept(feed::read_meta(&fields), Some(mine))?;
        self.verified.store(made, Ordering::Release);
        Ok(route)
    }

    /// Makes a store where there is none. Called only by a gate that has none itself, or was told to.
    pub(super) async fn begin(&self) -> Result<(), Fault> {
        let mut incarnation = [0; 16];
        getrandom::fill(&mut incarnation).map_err(|_| {
            self.link.blame(Cause::Damaged {
                what: "no random bytes to name it by".to_owned(),
            })
        })?;
        let mut call = Call::default();
        call.key(self.names.meta());
        call.key(self.names.feed());
        call.key(self.names.audit());
        call.number(feed::FORMAT)
            .number(feed::FORMAT)
            .bytes(hex(&incarnation))
            .bytes(feed::change_text(feed::NO_CHANGE));
        self.link.may_write().await?;
        let fields: Vec<Option<Vec<u8>>> = self.scripts.begin.run(self.link.any(), &call).await?;
        if let [Some(refused), Some(what)] = fields.as_slice()
            && refused == b"DAMAGED"
        {
            return Err(self.link.blame(Cause::Damaged {
                what: String::from_utf8_lossy(what).into_owned(),
            }));
        }
        self.accept(feed::read_meta(&fields), None).map(drop)
    }
}
