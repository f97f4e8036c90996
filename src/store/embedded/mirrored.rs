//! What a store is that mirrors another one: told of changes that were decided there.

use std::sync::Arc;

use parking_lot::Mutex;

use super::feed::{self, Journaled, Place};
use super::store::EmbeddedStore;
use super::writer::{Seed, Work};
use super::{audit, tables};
use crate::domain::audit::chain::{Head, Sealed};
use crate::domain::change::{Change, ChangeId, Revision, Write};
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::time::Timestamp;
use crate::store::StoreError;

impl EmbeddedStore {
    /// Writes a change that landed at `revision` in the store that this one mirrors, with its audit entries
    /// as they were sealed there. One that is here already is passed over.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if changes before it are missing here.
    pub async fn apply(
        &self,
        revision: Revision,
        change: impl Into<Arc<Change>>,
        sealed: Vec<Sealed>,
    ) -> Result<(), StoreError> {
        self.writer
            .have(Work::Apply(revision, change.into(), sealed))
            .await
            .map(drop)
    }

    /// Replaces keys, owners and tokens where they are, at no revision of their own: for what is known to have
    /// ended, whatever the store that this one mirrors says.
    ///
    /// # Errors
    /// If it cannot be made durable.
    pub async fn revise(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.writer.have(Work::Revise(writes)).await.map(drop)
    }

    /// The changes after `after`, in order, at most `most`, each with its audit entries as they were sealed;
    /// `head` is the number of the last entry before them. Fewer, where not all of it is here.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn journal(
        &self,
        after: Revision,
        head: u64,
        most: usize,
    ) -> Result<Vec<Journaled>, StoreError> {
        self.ask(move |connection| feed::journal(connection, after, head, most))
            .await
    }

    /// The number of the last audit entry as of `revision`, as far as that is known.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn audit_end_at(&self, revision: Revision) -> Result<Option<u64>, StoreError> {
        self.ask(move |connection| feed::audit_end(connection, revision))
            .await
    }

    /// Where a change landed, as far as that is still known.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn landed(&self, id: ChangeId) -> Result<Option<Revision>, StoreError> {
        self.ask(move |connection| feed::landed(connection, id))
            .await
    }

    /// The places of the changes after `after` that are still known, in order, at most `most`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn places(&self, after: Revision, most: usize) -> Result<Vec<Place>, StoreError> {
        self.ask(move |connection| feed::places(connection, after, most))
            .await
    }

    /// Drops all keys, owners, tokens, receipts, the audit log and the feed, and takes instead those of the store that
    /// this one mirrors, of the history `incarnation`: all of them, or on an error none. `writes` is
    /// taken from on the writer's thread and may wait for what it gives; where that store stands, and where
    /// its audit chain ends, is asked for when it has ended. The audit entries come by
    /// [`Self::fill_audit`].
    ///
    /// # Errors
    /// The first that `writes` gives, or that it cannot be made durable.
    pub async fn replace(
        &self,
        incarnation: [u8; 16],
        writes: impl Iterator<Item = Result<Write, StoreError>> + Send + 'static,
        stand: impl Fn() -> (Revision, Head) + Send + 'static,
    ) -> Result<Revision, StoreError> {
        let seed = Seed {
            incarnation,
            writes: Mutex::new(Box::new(writes)),
            stand: Box::new(stand),
        };
        self.writer
            .have(Work::Replace(Box::new(seed)))
            .await
            .map(Revision)
    }

    /// Which history this is: drawn when the store was made, or that of the store it mirrors.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn incarnation(&self) -> Result<[u8; 16], StoreError> {
        self.ask(|connection| Ok(tables::incarnation(connection)?))
            .await
    }

    /// What is missing of the audit log: `+` for all of it, then whatever [`Self::fill_audit`] said.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn audit_gap(&self) -> Result<Option<String>, StoreError> {
        self.ask(audit::gap).await
    }

    /// Takes audit entries from before those that are here; `gap` is what is then still missing.
    ///
    /// # Errors
    /// If it cannot be made durable.
    pub async fn fill_audit(
        &self,
        entries: Vec<Sealed>,
        gap: Option<String>,
    ) -> Result<(), StoreError> {
        self.writer.have(Work::Fill(entries, gap)).await.map(drop)
    }

    /// The numbers of the audit entries that have personal values to be erased with an owner.
    ///
    /// # Errors
    /// If the store cannot be read, or not all of them are here yet.
    pub async fn audit_to_erase(&self, owner: OwnerId) -> Result<Vec<u64>, StoreError> {
        self.ask(move |connection| audit::to_erase(connection, owner))
            .await
    }

    /// The numbers of the audit entries whose personal values were erased with an owner.
    ///
    /// # Errors
    /// If the store cannot be read, or not all of them are here yet.
    pub async fn audit_erased(&self, owner: OwnerId) -> Result<Vec<u64>, StoreError> {
        self.ask(move |connection| audit::erased(connection, owner))
            .await
    }

    /// Notes when versions were last used, for a mirror that is told so by counts kept elsewhere.
    ///
    /// # Errors
    /// If it cannot be made durable.
    pub async fn note_used(&self, uses: Vec<(KeyId, u16, Timestamp)>) -> Result<(), StoreError> {
        self.writer.have(Work::Used(uses)).await.map(drop)
    }
}
