//! Puts changes into the tables.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::tables::{millis, revision, set_revision, strange};
use super::{audit, feed, outbox, rules, tables};
use crate::domain::audit::chain::Sealed;
use crate::domain::change::{Change, Receipt, Revision, Write};
use crate::domain::event::EventPlace;
use crate::domain::id::KeyId;
use crate::domain::key::{Key, KeyVersion, Standing};
use crate::domain::owner::Owner;
use crate::domain::secret::KeyHash;
use crate::domain::time::Timestamp;
use crate::domain::token::AdminToken;
use crate::store::StoreError;
use crate::store::record;

/// Lands a change at the revision after the one it expects, unless it has landed already.
pub(super) fn commit(
    transaction: &Connection,
    change: &Change,
    now: Timestamp,
) -> Result<Revision, Fault> {
    if let Some(landed) = feed::landed(transaction, change.id)? {
        return Ok(landed);
    }
    let found = revision(transaction)?;
    let conflict = StoreError::Conflict {
        expected: change.expect,
        found,
    };
    if found != change.expect {
        return Err(conflict.into());
    }
    for write in &change.writes {
        // Two owners of one name would be the work of two callers who both saw none.
        if let Write::Owner(owner) = write
            && is_name_taken(transaction, owner)?
        {
            return Err(conflict.into());
        }
    }
    let revision = found.next();
    write_all(transaction, revision, change, Claim::Refuse, now)?;
    audit::seal(transaction, &change.audit)?;
    Ok(revision)
}

/// Lands a change where it was decided elsewhere that it lands, unless it is there.
pub(super) fn apply(
    transaction: &Connection,
    revision: Revision,
    change: &Change,
    sealed: &[Sealed],
    now: Timestamp,
) -> Result<Revision, Fault> {
    let found = tables::revision(transaction)?;
    if revision <= found {
        return Ok(found);
    }
    if revision != found.next() {
        let expected = Revision(revision.0.saturating_sub(1));
        return Err(StoreError::Conflict { expected, found }.into());
    }
    write_all(transaction, revision, change, Claim::Take, now)?;
    audit::take(transaction, sealed)?;
    feed::note_audit_end(transaction, revision, audit::head(transaction)?.seq)?;
    Ok(revision)
}

/// Replaces records where they are, at no revision of their own.
pub(super) fn revise(
    transaction: &Connection,
    writes: &[Write],
    now: Timestamp,
) -> Result<(), Fault> {
    for write in writes {
        match write {
            Write::Key(key) => put_key(transaction, key, Claim::Take)?,
            other => put_other(transaction, other, now)?,
        }
    }
    Ok(())
}

/// The key that a version with this hash belongs to.
pub(super) fn hash_owner(connection: &Connection, hash: &KeyHash) -> Result<Option<KeyId>, Fault> {
    let key: Option<String> = connection
        .prepare_cached(
            "SELECT id FROM key_hash JOIN keys USING (seq) WHERE digest = ?1 AND pepper = ?2",
        )?
        .query_row(params![hash.digest, hash.pepper], |row| row.get(0))
        .optional()?;
    key.map(|key| KeyId::from_chars(key.as_bytes()).map_err(|_| strange("keys", &key).into()))
        .transpose()
}

/// Whose a hash is that two keys have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The first one's; the change is refused.
    Refuse,
    /// The last one's; whoever decided on the change has looked.
    Take,
}

fn write_all(
    transaction: &Connection,
    revision: Revision,
    change: &Change,
    claim: Claim,
    now: Timestamp,
) -> Result<(), Fault> {
    let mut tells = false;
    for (index, write) in (0..).zip(&change.writes) {
        match write {
            Write::Key(key) => put_key(transaction, key, claim)?,
            Write::Event(event) => {
                outbox::put(transaction, EventPlace { revision, index }, event)?;
                tells = true;
            }
            other => put_other(transaction, other, now)?,
        }
    }
    if tells {
        outbox::trim(transaction, outbox::EVENTS_MAX)?;
    }
    feed::append(transaction, revision, change)?;
    set_revision(transaction, revision)?;
    Ok(())
}

/// Writes what is no key.
pub(super) fn put_other(
    transaction: &Connection,
    write: &Write,
    now: Timestamp,
) -> Result<(), Fault> {
    match write {
        Write::Owner(owner) => put_owner(transaction, owner),
        Write::Token(token) => put_token(transaction, token),
        Write::Receipt(receipt) => put_receipt(transaction, receipt, now),
        Write::Checkpoint(checkpoint) => audit::put_checkpoint(transaction, checkpoint),
        Write::Erasure(owner) => audit::erase(transaction, *owner),
        Write::Product(_) | Write::Policy(_) | Write::RotationRule(_) | Write::Gone(_) => {
            rules::put(transaction, write)
        }
        // Keys and events lie in places of their own.
        Write::Key(_) | Write::Event(_) => Ok(()),
    }
}

/// Writes a key in the place of what had its id.
pub(super) fn put_key(transaction: &Connection, key: &Key, claim: Claim) -> Result<(), Fault> {
    let old: Option<(i64, Vec<u8>)> = transaction
        .prepare_cached("SELECT seq, record FROM keys WHERE id = ?1")?
        .query_row([key.id.chars()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((seq, old)) = old else {
        let seq = insert_key(transaction, key)?;
        return key
            .versions
            .iter()
            .try_for_each(|version| claim_hash(transaction, key.id, seq, version, claim));
    };
    forget_what_was(transaction, seq, &old, key)?;
    for version in &key.versions {
        claim_hash(transaction, key.id, seq, version, claim)?;
    }
    put_marks(transaction, key, seq)?;
    transaction
        .prepare_cached("UPDATE keys SET record = ?2 WHERE seq = ?1")?
        .execute(params![seq, record::encode_key(key)])?;
    transaction
        .prepare_cached(
            "UPDATE key_list SET name = ?2, owner = ?3, env = ?4, standing = ?5, created_at = ?6,
                 expires_at = ?7 WHERE seq = ?1",
        )?
        .execute(params![
            seq,
            key.settings.name.to_lowercase(),
            key.owner.chars(),
            key.env,
            standing(key),
            millis(key.created_at),
            key.settings.expires_at.map(millis),
        ])?;
    Ok(())
}

/// Writes a key that is not there yet, all but its hashes; its place.
pub(super) fn insert_key(transaction: &Connection, key: &Key) -> Result<i64, Fault> {
    transaction
        .prepare_cached("INSERT INTO keys (id, record) VALUES (?1, ?2)")?
        .execute(params![key.id.chars(), record::encode_key(key)])?;
    let seq = transaction.last_insert_rowid();
    // Apart from what is inserted by it: within one statement SQLite prepared that anew for every key.
    let used_at: Option<i64> = transaction
        .prepare_cached("SELECT max(at) FROM last_used WHERE key = ?1")?
        .query_row([key.id.chars()], |row| row.get(0))?;
    transaction
        .prepare_cached(
            "INSERT INTO key_list
                 (seq, id, name, owner, env, standing, created_at, expires_at, used_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            seq,
            key.id.chars(),
            key.settings.name.to_lowercase(),
            key.owner.chars(),
            key.env,
            standing(key),
            millis(key.created_at),
            key.settings.expires_at.map(millis),
            used_at.unwrap_or(0),
        ])?;
    put_marks(transaction, key, seq)?;
    Ok(seq)
}

/// Writes the products and labels of a key.
fn put_marks(transaction: &Connection, key: &Key, seq: i64) -> Result<(), Fault> {
    for product in &key.settings.products {
        // A product may be named twice in a key.
        transaction
            .prepare_cached("INSERT OR IGNORE INTO key_product (product, seq) VALUES (?1, ?2)")?
            .execute(params![product, seq])?;
    }
    for (label, value) in &key.settings.labels {
        transaction
            .prepare_cached("INSERT INTO key_label (label, value, seq) VALUES (?1, ?2, ?3)")?
            .execute(params![label, value, seq])?;
    }
    Ok(())
}

fn claim_hash(
    transaction: &Connection,
    key: KeyId,
    seq: i64,
    version: &KeyVersion,
    claim: Claim,
) -> Result<(), Fault> {
    let hash = &version.hash;
    if claim == Claim::Refuse
        && let Some(owner) = hash_owner(transaction, hash)?
        && owner != key
    {
        return Err(StoreError::DuplicateHash { key: owner }.into());
    }
    transaction
        .prepare_cached(
            "INSERT INTO key_hash (digest, pepper, seq) VALUES (?1, ?2, ?3)
             ON CONFLICT (digest, pepper) DO UPDATE SET seq = excluded.seq",
        )?
        .execute(params![hash.digest, hash.pepper, seq])?;
    Ok(())
}

/// Takes out what the tables say of a key and may not be so any more: hashes, products, labels.
fn forget_what_was(transaction: &Connection, seq: i64, old: &[u8], key: &Key) -> Result<(), Fault> {
    let Ok(old) = record::decode_key(old) else {
        // What cannot be read does not say what to look for.
        for search in [
            "DELETE FROM key_product WHERE seq = ?1",
            "DELETE FROM key_label WHERE seq = ?1",
            "DELETE FROM key_hash WHERE seq = ?1",
        ] {
            transaction.execute(search, [seq])?;
        }
        return Ok(());
    };
    let is_kept = |version: &KeyVersion| key.versions.iter().any(|new| new.hash == version.hash);
    for gone in old.versions.iter().filter(|version| !is_kept(version)) {
        transaction
            .prepare_cached("DELETE FROM key_hash WHERE digest = ?1 AND pepper = ?2 AND seq = ?3")?
            .execute(params![gone.hash.digest, gone.hash.pepper, seq])?;
    }
    for product in &old.settings.products {
        transaction
            .prepare_cached("DELETE FROM key_product WHERE product = ?1 AND seq = ?2")?
            .execute(params![product, seq])?;
    }
    for (label, value) in &old.settings.labels {
        transaction
            .prepare_cached("DELETE FROM key_label WHERE label = ?1 AND value = ?2 AND seq = ?3")?
            .execute(params![label, value, seq])?;
    }
    Ok(())
}

const fn standing(key: &Key) -> u8 {
    match key.standing {
        Standing::Active => 0,
        Standing::Suspended { .. } => 1,
        Standing::Revoked { .. } => 2,
    }
}

fn is_name_taken(transaction: &Connection, owner: &Owner) -> Result<bool, Fault> {
    let taken = transaction
        .prepare_cached("SELECT 1 FROM owners WHERE name = ?1 AND kind = ?2 AND id <> ?3")?
        .exists(params![
            owner.name.to_lowercase(),
            owner.kind.as_str(),
            owner.id.chars()
        ])?;
    Ok(taken)
}

fn put_owner(transaction: &Connection, owner: &Owner) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "INSERT INTO owners (id, kind, name, record) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id)
             DO UPDATE SET kind = excluded.kind, name = excluded.name, record = excluded.record",
        )?
        .execute(params![
            owner.id.chars(),
            owner.kind.as_str(),
            owner.name.to_lowercase(),
            record::encode_owner(owner),
        ])?;
    Ok(())
}

fn put_token(transaction: &Connection, token: &AdminToken) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "INSERT INTO tokens (id, digest, created_at, record) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET digest = excluded.digest,
                 created_at = excluded.created_at, record = excluded.record",
        )?
        .execute(params![
            token.id.chars(),
            token.digest,
            millis(token.created_at),
            record::encode_token(token),
        ])?;
    Ok(())
}

pub(super) fn put_receipt(
    transaction: &Connection,
    receipt: &Receipt,
    now: Timestamp,
) -> Result<(), Fault> {
    let forgotten = millis(now.before(Receipt::KEPT));
    transaction
        .prepare_cached("DELETE FROM receipts WHERE at <= ?1")?
        .execute([forgotten])?;
    transaction
        .prepare_cached(
            "INSERT INTO receipts (digest, at, record) VALUES (?1, ?2, ?3) ON CONFLICT (digest)
             DO UPDATE SET at = excluded.at, record = excluded.record",
        )?
        .execute(params![
            receipt.digest,
            millis(receipt.at),
            record::encode_receipt(receipt)
        ])?;
    Ok(())
}
