//! Reading the store anew into the mirror: when there is none yet, or the feed does not go on from it.
//!
//! Buckets are read while others write, so a record may be newer than the revision the reading began at.
//! Therefore the changes up to a revision looked up *after* the last bucket are laid over them, and the
//! mirror takes all of it in one transaction: what it shows is the store as it was at that revision, and
//! before that what it showed until then.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use redis::Cmd;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::connect::{Cause, Connection, Fault};
use super::feed::{self, Stand};
use super::follow::Shared;
use super::frame::{self, Kind};
use super::names::{Bucket, Table};
use crate::domain::change::Write;
use crate::domain::id::KeyId;
use crate::domain::key::{Key, Standing};

impl Shared {
    /// Takes the store as it is instead of what the mirror holds. What is revoked in the mirror stays so,
    /// even where the store has lost it.
    ///
    /// # Errors
    /// If the store cannot be read to the end, or the mirror not be written: the mirror is as it was.
    pub(super) async fn reload(&self, connection: &Connection) -> Result<(), Fault> {
        let begun = self.look(connection, self.mirror.stand()).await?;
        let ended = self.mirror.ended().await;
        let ended = ended.map_err(|source| self.mirror_fault(source))?;
        let (writes, received) = mpsc::channel(WRITES_AHEAD);
        let reading = Reading {
            shared: self,
            connection,
            ended,
            writes,
            unreadable: 0,
            kept: 0,
        };
        let stand = Arc::new(OnceLock::new());
        let (read, written) = tokio::join!(
            reading.all(begun, &stand),
            self.mirror.replace(begun.incarnation, received, &stand)
        );
        let stand = read?;
        written.map_err(|source| self.mirror_fault(source))?;
        info!(revision = %stand.revision, "read the store anew");
        Ok(())
    }
}

/// One reading of the whole store.
struct Reading<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    /// Keys of the mirror that are revoked or have a version that is.
    ended: HashMap<KeyId, Key>,
    writes: mpsc::Sender<Write>,
    unreadable: u64,
    kept: u64,
}

impl Reading<'_> {
    /// Sends every record on; returns where the store then stands.
    async fn all(mut self, begun: Stand, known: &OnceLock<Stand>) -> Result<Stand, Fault> {
        let stand = self.read(begun).await?;
        // Invariant: known before the channel closes, which is when `self` goes.
        let stand = *known.get_or_init(|| stand);
        self.shared.mirror.set_aside(self.unreadable);
        if self.kept > 0 {
            warn!(
                keys = self.kept,
                "the store has lost revocations: they are kept in force here"
            );
        }
        Ok(stand)
    }

    async fn read(&mut self, begun: Stand) -> Result<Stand, Fault> {
        let names = &self.shared.names;
        let buckets: Vec<_> = Bucket::all().map(|bucket| names.bucket(bucket)).collect();
        for buckets in buckets.chunks(BUCKETS_AT_ONCE) {
            let mut ask = redis::pipe();
            for bucket in buckets {
                ask.hgetall(bucket);
            }
            let records: Vec<Vec<Pair>> = self.connection.ask_all(&ask).await?;
            for (_id, record) in records.into_iter().flatten() {
                self.pass(Kind::Key, &record).await?;
            }
        }
        for (table, kind) in [
            (Table::Owners, Kind::Owner),
            (Table::Tokens, Kind::Token),
            (Table::Checkpoints, Kind::Checkpoint),
            (Table::Products, Kind::Product),
            (Table::Policies, Kind::Policy),
            (Table::Rotation, Kind::RotationRule),
        ] {
            self.table(&names.table(table), kind).await?;
        }
        self.changes_since(begun).await
    }

    async fn table(&mut self, name: &str, kind: Kind) -> Result<(), Fault> {
        let mut cursor: u64 = 0;
        loop {
            let (next, records): (u64, Vec<Pair>) =
                self.connection.ask(&scan(name, cursor)).await?;
            for (_id, record) in records {
                self.pass(kind, &record).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Lays over the records what was changed while they were read.
    async fn changes_since(&mut self, begun: Stand) -> Result<Stand, Fault> {
        let shared = self.shared;
        let until = shared.look(self.connection, Some(begun)).await?;
        let mut at = begun;
        while at.revision < until.revision {
            let ask = feed::ask_range(&shared.names, at.revision, Some(until.revision), FEED_READ);
            let entries = shared.entries(feed::read_range(self.connection.ask(&ask).await?))?;
            let before = at.revision;
            for entry in entries {
                if entry.revision != at.revision.next() || entry.before != at.change {
                    return Err(shared.link.blame(Cause::Trimmed));
                }
                at.revision = entry.revision;
                at.change = entry.change.id;
                if let Some(last) = entry.sealed.last() {
                    at.head.seq = last.seq;
                    at.head.hash = last.hash;
                }
                self.unreadable += entry.unreadable;
                for write in entry.change.writes {
                    self.send(write).await?;
                }
            }
            if at.revision == before {
                return Err(shared.link.blame(Cause::Trimmed));
            }
        }
        if at.change != until.change {
            return Err(shared.link.blame(Cause::Forked));
        }
        Ok(at)
    }

    async fn pass(&mut self, kind: Kind, record: &[u8]) -> Result<(), Fault> {
        match frame::read(kind, record) {
            Ok((_revision, write)) => self.send(write).await,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "a record cannot be read and is set aside"
                );
                self.unreadable += 1;
                Ok(())
            }
        }
    }

    async fn send(&mut self, mut write: Write) -> Result<(), Fault> {
        if let Write::Key(key) = &mut write
            && let Some(mine) = self.ended.get(&key.id)
            && keep_ended(mine, key)
        {
            self.kept += 1;
        }
        // Nobody receives any more if the mirror failed; its own error says why.
        let gone = |_| self.shared.link.blame(Cause::NotConnected);
        self.writes.send(write).await.map_err(gone)
    }
}

/// Ends in `theirs` what is ended in `mine`; whether there was anything.
fn keep_ended(mine: &Key, theirs: &mut Key) -> bool {
    let mut kept = false;
    let is_revoked = |key: &Key| matches!(key.standing, Standing::Revoked { .. });
    if is_revoked(mine) && !is_revoked(theirs) {
        theirs.standing = mine.standing;
        kept = true;
    }
    for version in &mut theirs.versions {
        let same = mine.versions.iter().find(|held| held.hash == version.hash);
        let revoked_at = same.and_then(|held| held.revoked_at);
        if version.revoked_at.is_none() && revoked_at.is_some() {
            version.revoked_at = revoked_at;
            kept = true;
        }
    }
    kept
}

fn scan(name: &str, cursor: u64) -> Cmd {
    let mut command = redis::cmd("HSCAN");
    command.arg(name).arg(cursor).arg("COUNT").arg(SCAN_COUNT);
    command
}

/// How many buckets are asked for at once: up to 0.9 MB each at ten million keys.
const BUCKETS_AT_ONCE: usize = 8;
const SCAN_COUNT: usize = 1_000;
const FEED_READ: usize = 256;
/// How far reading may be ahead of writing.
const WRITES_AHEAD: usize = 1_024;

/// The name and the value of a field of a hash.
type Pair = (Vec<u8>, Vec<u8>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::OwnerId;
    use crate::domain::key::{KeySettings, KeyVersion};
    use crate::domain::secret::{Fingerprint, KeyHash};
    use crate::domain::time::Timestamp;

    fn key() -> Key {
        let at = Timestamp::from_millis(1_000);
        let version = |number: u16, byte| KeyVersion {
            number,
            hash: KeyHash {
                pepper: 0,
                digest: [byte; 32],
            },
            fingerprint: Fingerprint::from_bytes([byte; 6]),
            created_at: at,
            activated_at: Some(at),
            retires_at: None,
            revoked_at: None,
        };
        Key {
            id: KeyId::from_random([1; 10]),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            settings: KeySettings::named("k"),
            standing: Standing::Active,
            created_at: at,
            created_by: "tok_".into(),
            last_rotated_at: None,
            told: std::collections::BTreeMap::new(),
            versions: vec![version(1, 1), version(2, 2)],
        }
    }

    #[test]
    fn what_is_revoked_here_stays_so_whatever_the_store_says() {
        let at = Timestamp::from_millis(2_000);
        let mut mine = key();
        mine.standing = Standing::Revoked { at };
        let mut theirs = key();
        assert!(keep_ended(&mine, &mut theirs));
        assert_eq!(theirs.standing, Standing::Revoked { at });

        let mut mine = key();
        mine.versions[0].revoked_at = Some(at);
        let mut theirs = key();
        assert!(keep_ended(&mine, &mut theirs));
        assert_eq!(theirs.versions[0].revoked_at, Some(at));
        assert_eq!(theirs.versions[1].revoked_at, None);
    }

    #[test]
    fn what_is_in_force_here_is_taken_as_the_store_has_it() {
        let at = Timestamp::from_millis(2_000);
        let mut theirs = key();
        theirs.standing = Standing::Suspended { at };
        assert!(!keep_ended(&key(), &mut theirs));
        assert_eq!(theirs.standing, Standing::Suspended { at });
    }
}
