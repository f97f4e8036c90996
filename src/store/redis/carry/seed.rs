//! Puts a store that lies in the tables of the embedded one into Redis.
//!
//! First a mark says that something is being carried here; then everything is written; last, in one script, the
//! mark goes and `meta` comes, by which alone there is a store. Until then a gate that comes finds changes without
//! a store and waits. What was broken off is known by its mark, and taken away by the next attempt.

use std::collections::BTreeMap;

use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::super::connect::{Cause, Fault, Link};
use super::super::feed::{self, NO_CHANGE};
use super::super::frame;
use super::super::names::{Bucket, Names, Table, hex};
use super::super::scripts::{Call, Scripts};
use super::batch::Batch;
use super::there::{DEADLINE, look};
use crate::config::RedisChoice;
use crate::domain::audit::chain::Sealed;
use crate::domain::change::{Change, ChangeId, Receipt, Revision, Write};
use crate::domain::id::KeyId;
use crate::domain::key::Standing as KeyStanding;
use crate::domain::time::Timestamp;
use crate::store::carry::{MayReplace, Progress};
use crate::store::embedded::{Held, Pieces, StandOf};
use crate::store::{StoreError, record};

/// Makes `held` the store in Redis.
///
/// # Errors
/// If there is one that `may` not be replaced, or it cannot be written to its end: then there is none.
pub(in crate::store) async fn seed(
    choice: &RedisChoice,
    held: &Held,
    may: &MayReplace,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<(), StoreError> {
    let names = Names::new(&choice.prefix);
    let link = Link::new(choice, &names.meta())?;
    // Said at once and as it is, where it is not to be had.
    let connection = link.connect(DEADLINE).await?;
    let standing = look(&link, &connection, &names).await?;
    let place = format!("the prefix `{}` in Redis", choice.prefix);
    may.judge(&place, standing.as_ref())?;
    let seeding = Seeding {
        names: &names,
        link: &link,
        held,
        stand: held.stand()?,
        now,
    };
    tokio::select! {
        seeded = seeding.all(standing.is_some(), &place, progress) => seeded,
        () = link.keep() => Err(link.blame(Cause::NotConnected).into()),
    }
}

pub(super) struct Seeding<'a> {
    pub(super) names: &'a Names,
    pub(super) link: &'a Link,
    pub(super) held: &'a Held,
    pub(super) stand: StandOf,
    pub(super) now: Timestamp,
}

impl Seeding<'_> {
    async fn all(
        &self,
        replaces: bool,
        place: &str,
        progress: Progress<'_>,
    ) -> Result<(), StoreError> {
        self.link.may_write().await?;
        let token = self.mark(replaces, place).await?;
        let mut batch = Batch::new(self.link);
        let mut expected = 0;
        let total = self.held.tables()?.iter().map(|table| table.rows).sum();
        let mut told = |done: u64| {
            if done.is_multiple_of(1_000) {
                progress("rows", done.min(total), total);
            }
        };
        expected += self.records(&mut batch, expected, &mut told).await?;
        expected += self.audit(&mut batch, expected, &mut told).await?;
        expected += self.events(&mut batch, expected, &mut told).await?;
        expected += self.feed(&mut batch).await?;
        self.receipts(&mut batch).await?;
        expected += self.counts(&mut batch, expected, &mut told).await?;
        expected += self.quotas(&mut batch).await?;
        let added = batch.flush().await?;
        if added != expected {
            return Err(self.damaged(format!(
                "{added} of {expected} records are there: something else writes below this prefix"
            )));
        }
        progress("rows", total, total);
        self.plant(&token).await
    }

    /// Says that something is carried here, and takes away what an earlier attempt, or the store that is
    /// replaced, left.
    async fn mark(&self, replaces: bool, place: &str) -> Result<String, StoreError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(StoreError::unavailable)?;
        let token = hex(&random);
        let carrying = self.names.carrying();
        let was_broken_off: bool = self.link.ask(redis::cmd("EXISTS").arg(&carrying)).await?;
        if !replaces && !was_broken_off {
            let mut exist = redis::cmd("EXISTS");
            exist.arg(self.names.feed()).arg(self.names.audit());
            exist
                .arg(self.names.events())
                .arg(self.names.table(Table::Owners));
            let found: u64 = self.link.ask(&exist).await?;
            if found > 0 {
                return Err(StoreError::Unusable {
                    place: place.to_owned(),
                    reason: "something is there, and it is no store: nothing was changed"
                        .to_owned(),
                });
            }
        }
        let _: () = self
            .link
            .ask(redis::cmd("SET").arg(&carrying).arg(&token))
            .await?;
        if replaces || was_broken_off {
            let _: u64 = self
                .link
                .ask(redis::cmd("DEL").arg(self.names.meta()))
                .await?;
            self.clear().await?;
        }
        // A stream that is there and empty: no gate begins a store beside it.
        let feed = self.names.feed();
        let first = redis::cmd("XADD")
            .arg(&feed)
            .arg("0-1")
            .arg("c")
            .arg("")
            .clone();
        let _: String = self.link.ask(&first).await?;
        let _: u64 = self
            .link
            .ask(redis::cmd("XDEL").arg(&feed).arg("0-1"))
            .await?;
        Ok(token)
    }

    async fn clear(&self) -> Result<(), StoreError> {
        let names = self.names;
        let mut gone: Vec<String> = Bucket::all().map(|bucket| names.bucket(bucket)).collect();
        gone.extend([names.feed(), names.audit(), names.veils(), names.events()]);
        gone.extend(Table::ALL.map(|table| names.table(table)));
        self.unlink(&gone).await?;
        for master in self.link.masters().await? {
            for pattern in names.patterns() {
                let mut cursor = 0_u64;
                loop {
                    let mut scan = redis::cmd("SCAN");
                    scan.arg(cursor).arg("MATCH").arg(&pattern);
                    scan.arg("COUNT").arg(1_000);
                    let (next, found): (u64, Vec<String>) = master.ask(&scan).await?;
                    self.unlink(&found).await?;
                    if next == 0 {
                        break;
                    }
                    cursor = next;
                }
            }
        }
        Ok(())
    }

    async fn unlink(&self, names: &[String]) -> Result<(), Fault> {
        for names in names.chunks(500) {
            let mut commands = redis::pipe();
            for name in names {
                commands.cmd("UNLINK").arg(name);
            }
            let _: Vec<u64> = self.link.ask_all(&commands).await?;
        }
        Ok(())
    }

    /// Keys, owners, tokens, rules and checkpoints.
    async fn records(
        &self,
        batch: &mut Batch<'_>,
        before: u64,
        told: &mut dyn FnMut(u64),
    ) -> Result<u64, StoreError> {
        let names = self.names;
        let mut sent = 0;
        for (table, sql) in [
            (None, "SELECT id, record, '' FROM keys"),
            (Some(Table::Owners), "SELECT id, record, '' FROM owners"),
            (Some(Table::Tokens), "SELECT id, record, '' FROM tokens"),
            (
                Some(Table::Products),
                "SELECT id, record, '' FROM rules WHERE kind = 'product'",
            ),
            (
                Some(Table::Policies),
                "SELECT id, record, '' FROM rules WHERE kind = 'policy'",
            ),
            (
                Some(Table::Rotation),
                "SELECT id, record, '' FROM rules WHERE kind = 'rotation'",
            ),
            (
                Some(Table::Checkpoints),
                "SELECT CAST(seq AS TEXT), record, '' FROM checkpoints",
            ),
        ] {
            let mut statement = self.held.find(sql)?;
            let mut rows = Pieces::of(&mut statement, found)?;
            loop {
                let page = rows.next()?;
                if page.is_empty() {
                    break;
                }
                for (id, record, _) in page {
                    let (place, state) = match table {
                        None => (bucket_of(names, &id), state_of_key(&record)),
                        Some(table) => (names.table(table), state_of(table, &record)),
                    };
                    let framed = frame::frame(state, self.stand.revision, record);
                    batch.field(&place, id.as_bytes(), &framed).await?;
                    sent += 1;
                    told(before + sent);
                }
            }
        }
        Ok(sent)
    }

    async fn audit(
        &self,
        batch: &mut Batch<'_>,
        before: u64,
        told: &mut dyn FnMut(u64),
    ) -> Result<u64, StoreError> {
        let (audit, veils) = (self.names.audit(), self.names.veils());
        let mut sent = 0;
        let mut after = 0;
        loop {
            let page = self.held.audit_after(after, PAGE)?;
            let Some(last) = page.last() else {
                return Ok(sent);
            };
            after = last.0.seq;
            for (sealed, veil) in page {
                // The numbers of a chain, and below every revision to come.
                let id = format!("0-{}", sealed.seq);
                let entry = (b"e".to_vec(), record::encode_sealed(&sealed));
                batch.entry(&audit, &id, &[entry]).await?;
                sent += 1;
                if let Some(veil) = veil {
                    let seq = sealed.seq.to_string();
                    batch.field(&veils, seq.as_bytes(), &veil).await?;
                    sent += 1;
                }
                told(before + sent);
            }
        }
    }

    async fn events(
        &self,
        batch: &mut Batch<'_>,
        before: u64,
        told: &mut dyn FnMut(u64),
    ) -> Result<u64, StoreError> {
        let events = self.names.events();
        let mut sent = 0;
        let sql =
            "SELECT revision || '-' || at, record, revision FROM events ORDER BY revision, at";
        let mut statement = self.held.find(sql)?;
        let mut rows = Pieces::of(&mut statement, found)?;
        loop {
            let page = rows.next()?;
            if page.is_empty() {
                break;
            }
            for (id, record, revision) in page {
                let revision = Revision(revision.parse().unwrap_or_default());
                let framed = frame::frame(b'A', revision, record);
                batch
                    .entry(&events, &id, &[(b"e".to_vec(), framed)])
                    .await?;
                sent += 1;
                told(before + sent);
            }
        }
        Ok(sent)
    }

    /// The changes that are still known: by them a gate that was away sees that this is the store it knew.
    async fn feed(&self, batch: &mut Batch<'_>) -> Result<u64, StoreError> {
        let mut known: Vec<(Revision, Change)> = Vec::new();
        self.held.changes(|revision, change| {
            if known
                .last()
                .is_some_and(|(last, _)| last.next() != revision)
            {
                known.clear();
            }
            known.push((revision, change));
            Ok(())
        })?;
        // One that does not lead up to where the store stands proves nothing.
        if known
            .last()
            .is_none_or(|(last, _)| *last != self.stand.revision)
        {
            return Ok(0);
        }
        let mut wanted: BTreeMap<String, Option<Sealed>> = BTreeMap::new();
        for (_, change) in &known {
            for entry in &change.audit {
                wanted.insert(entry.id.to_string(), None);
            }
        }
        self.held.sealed(&mut wanted)?;
        let mut before: Option<ChangeId> = None;
        let mut sent = 0;
        let feed = self.names.feed();
        for (revision, change) in &known {
            let previous = match before.replace(change.id) {
                None if *revision == Revision(1) => NO_CHANGE,
                // What came before the first is not known.
                None => continue,
                Some(previous) => previous,
            };
            let mut fields = vec![
                (b"c".to_vec(), feed::change_text(change.id).into_bytes()),
                (b"p".to_vec(), feed::change_text(previous).into_bytes()),
            ];
            for write in &change.writes {
                let placed = frame::place(self.names, write, *revision);
                let name = format!("{}:{}", placed.kind.letter(), placed.id);
                fields.push((name.into_bytes(), placed.record));
            }
            for entry in &change.audit {
                if let Some(Some(sealed)) = wanted.get(&entry.id.to_string()) {
                    fields.push((b"a".to_vec(), record::encode_sealed(sealed)));
                }
            }
            batch
                .entry(&feed, &format!("{revision}-0"), &fields)
                .await?;
            sent += 1;
        }
        Ok(sent)
    }

    async fn receipts(&self, batch: &mut Batch<'_>) -> Result<(), StoreError> {
        let mut statement = self.held.find("SELECT '', record, '' FROM receipts")?;
        let mut rows = Pieces::of(&mut statement, found)?;
        loop {
            let page = rows.next()?;
            if page.is_empty() {
                break;
            }
            for (_, bytes, _) in page {
                let Ok(receipt) = record::decode_receipt(&bytes) else {
                    continue;
                };
                let left = Receipt::KEPT.saturating_sub(self.now.since(receipt.at));
                if left.as_secs() == 0 {
                    continue;
                }
                let place = frame::place(self.names, &Write::Receipt(receipt), self.stand.revision);
                let mut set = redis::cmd("SET");
                set.arg(place.place).arg(place.record);
                set.arg("EX").arg(left.as_secs());
                batch.other(set).await?;
            }
        }
        Ok(())
    }

    async fn plant(&self, token: &str) -> Result<(), StoreError> {
        let stand = &self.stand;
        let change = match (stand.change, stand.revision) {
            (Some(change), _) => change,
            (None, Revision(0)) => NO_CHANGE,
            // No gate knows it, so every gate reads anew.
            (None, _) => {
                let mut random = [0; 16];
                getrandom::fill(&mut random).map_err(StoreError::unavailable)?;
                ChangeId(random)
            }
        };
        let mut call = Call::default();
        call.key(self.names.meta());
        call.key(self.names.carrying());
        call.bytes(token)
            .number(feed::FORMAT)
            .number(feed::FORMAT)
            .bytes(hex(&stand.incarnation))
            .number(stand.revision.0)
            .bytes(feed::change_text(change))
            .bytes(feed::head_text(stand.head));
        let answer: Vec<String> = Scripts::new().plant.run(self.link.any(), &call).await?;
        match answer.first().map(String::as_str) {
            Some("OK") => Ok(()),
            Some("TAKEN") => Err(self.damaged("a store was made there meanwhile".to_owned())),
            _ => Err(self.damaged("someone else carries a store there".to_owned())),
        }
    }

    fn damaged(&self, what: String) -> StoreError {
        self.link.blame(Cause::Damaged { what }).into()
    }
}

/// A name, bytes, and one value more.
pub(super) type Found = (String, Vec<u8>, String);

pub(super) fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    Ok((
        text(row.get_ref(0)?),
        bytes(row.get_ref(1)?),
        text(row.get_ref(2)?),
    ))
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}

fn bytes(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes.to_vec(),
        _ => Vec::new(),
    }
}

pub(super) fn expire(name: &str, lives_s: u64) -> redis::Cmd {
    let mut command = redis::cmd("EXPIRE");
    command.arg(name).arg(lives_s);
    command
}

fn bucket_of(names: &Names, id: &str) -> String {
    // An id that is none lies where no gate looks for it, and is set aside when all are read.
    let bucket = KeyId::from_chars(id.as_bytes()).map_or_else(|_| Bucket::first(), Bucket::of);
    names.bucket(bucket)
}

/// The letter that scripts know a record's state by; of one that cannot be read, that it is in force: gates
/// set it aside.
fn state_of_key(bytes: &[u8]) -> u8 {
    record::decode_key(bytes).map_or(b'A', |key| match key.standing {
        KeyStanding::Active => b'A',
        KeyStanding::Suspended { .. } => b'S',
        KeyStanding::Revoked { .. } => b'R',
    })
}

fn state_of(table: Table, bytes: &[u8]) -> u8 {
    let is_off = match table {
        Table::Owners => record::decode_owner(bytes).is_ok_and(|it| it.disabled_at.is_some()),
        Table::Tokens => record::decode_token(bytes).is_ok_and(|it| it.revoked_at.is_some()),
        _ => false,
    };
    match (is_off, table) {
        (false, _) => b'A',
        (true, Table::Tokens) => b'R',
        (true, _) => b'S',
    }
}

const PAGE: usize = 1_000;
