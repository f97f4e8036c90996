//! Landing a change: checked against the mirror, sent as one script, and asked after if the answer is lost.

use std::collections::HashMap;

use crate::domain::audit::chain::{Head, Sealed};
use crate::domain::change::{Change, Revision, Write};
use crate::domain::id::KeyId;
use crate::domain::job::Fence;
use crate::domain::key::KeyVersion;
use crate::domain::secret::KeyHash;
use crate::store::{Feed as _, KeyStore as _, News, OwnerStore as _, StoreError, record};

use super::connect::{Cause, Fault};
use super::feed::{self, Entry, FEED_ENTRIES, Stand};
use super::follow::Shared;
use super::frame::{self, Kind, Placed};
use super::mirror::Taken;
use super::scripts::Call;

/// Lands a change at the revision after the one it expects, or says what it lost to.
///
/// # Errors
/// As [`crate::store::Feed::commit`], and as [`crate::store::Feed::commit_held`] where it has a fence.
pub(super) async fn commit(
    shared: &Shared,
    change: Change,
    fence: Option<&Fence>,
) -> Result<Revision, StoreError> {
    for _ in 0..TRIES {
        shared.catch_up(change.expect).await?;
        let Some(stand) = shared.mirror.stand() else {
            return Err(shared.link.blame(Cause::NotConnected).into());
        };
        if stand.revision != change.expect {
            return landed_or_conflict(shared, &change, stand.revision).await;
        }
        // Sent before, when the store was elsewhere, and thought not to have landed. It can be in flight no
        // more: what is sent lands only after the change it was made upon.
        if let Some(landed) = shared.mirror.tables().landed(change.id).await? {
            return Ok(landed);
        }
        check_claims(shared, &change).await?;
        let sealed = seal(stand.head, &change)?;
        let erased = to_erase(shared, &change).await?;
        match send(shared, &change, &sealed, &erased, (stand, fence)).await {
            Ok(Answer::Landed) => {
                let revision = change.expect.next();
                return mirror(shared, change, sealed, stand)
                    .await
                    .map(|()| revision);
            }
            Ok(Answer::Conflict(found)) if found < change.expect => {
                let mine = change.expect;
                return Err(shared.link.blame(Cause::Older { found, mine }).into());
            }
            Ok(Answer::Conflict(found)) => {
                shared.catch_up(found).await?;
                return landed_or_conflict(shared, &change, found).await;
            }
            Ok(Answer::Fenced) => {
                let job = fence.map_or_else(String::new, |fence| fence.job.to_string());
                return Err(StoreError::Fenced { job });
            }
            // Whether it landed, the feed knows: the next turn reads it, and sends again if it did not.
            Err(fault) if fault.leaves_doubt() => {
                shared.catch_up(change.expect.next()).await?;
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    Err(shared.link.blame(Cause::Silent).into())
}

/// What the script said.
pub(super) enum Answer {
    Landed,
    Conflict(Revision),
    /// Another gate has taken the job over.
    Fenced,
}

/// Puts the audit entries at the end of the chain as it is at the expected revision; the script proves
/// that it still ends there.
fn seal(mut head: Head, change: &Change) -> Result<Vec<Sealed>, StoreError> {
    let entries = change.audit.iter();
    entries
        .map(|entry| {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(StoreError::unavailable)?;
            Ok(head.seal(entry, salt))
        })
        .collect()
}

/// The numbers of the audit entries that a change takes the personal values out of.
async fn to_erase(shared: &Shared, change: &Change) -> Result<Vec<u64>, StoreError> {
    let mut all = Vec::new();
    for write in &change.writes {
        if let Write::Erasure(owner) = write {
            all.extend(shared.mirror.tables().audit_to_erase(*owner).await?);
        }
    }
    Ok(all)
}

/// Sends a change, to land after `stand`.
///
/// # Errors
/// If it is not known to have landed, or to have met another.
pub(super) async fn send(
    shared: &Shared,
    change: &Change,
    sealed: &[Sealed],
    erased: &[u64],
    (stand, fence): (Stand, Option<&Fence>),
) -> Result<Answer, Fault> {
    let call = call(shared, change, sealed, erased, (stand, fence))?;
    shared.link.may_write().await?;
    let asked = shared.clock.read();
    let answer: Vec<String> = shared.scripts.commit.run(shared.link.any(), &call).await?;
    let word = |at: usize| answer.get(at).map_or("", String::as_str);
    if matches!(word(0), "OK" | "CONFLICT" | "FENCED") {
        shared.heard(asked);
    }
    let cause = match (word(0), word(1)) {
        ("OK", _) => return Ok(Answer::Landed),
        ("CONFLICT", found) => match found.parse() {
            Ok(found) => return Ok(Answer::Conflict(Revision(found))),
            Err(_) => Cause::Damaged {
                what: "its revision is no number".to_owned(),
            },
        },
        ("FENCED", _) => return Ok(Answer::Fenced),
        ("FOREIGN", "") => Cause::Emptied {
            mine: super::names::hex(&stand.incarnation),
        },
        ("FOREIGN", found) => Cause::Foreign {
            found: found.to_owned(),
            mine: super::names::hex(&stand.incarnation),
        },
        ("FORKED", _) => Cause::Forked,
        ("REVIVE", id) => Cause::Revived { id: id.to_owned() },
        ("DAMAGED", what) => Cause::Damaged {
            what: what.to_owned(),
        },
        _ => Cause::Damaged {
            what: "it does not answer as the commit script does".to_owned(),
        },
    };
    Err(shared.link.blame(cause))
}

fn call(
    shared: &Shared,
    change: &Change,
    sealed: &[Sealed],
    erased: &[u64],
    (stand, fence): (Stand, Option<&Fence>),
) -> Result<Call, Fault> {
    let revision = stand.revision.next();
    let writes = change.writes.iter();
    let mut placed: Vec<Placed> = writes
        .map(|write| frame::place(&shared.names, write, revision))
        .collect();
    let erasures = |write: &&mut Placed| write.kind == Kind::Erasure;
    if let Some(erasure) = placed.iter_mut().find(erasures) {
        let numbers: String = erased.iter().map(|number| format!("{number} ")).collect();
        erasure.record = numbers.into_bytes();
    }
    let audit: Vec<[Vec<u8>; 3]> = sealed.iter().map(parts).collect();
    let records = placed.len() + audit.len();
    let bytes = placed.iter().map(|write| write.record.len()).sum::<usize>()
        + audit.iter().map(|[whole, ..]| whole.len()).sum::<usize>();
    if records > MOST_RECORDS || bytes > MOST_BYTES {
        return Err(shared.link.blame(Cause::TooLarge { records, bytes }));
    }
    let mut call = Call::default();
    call.key(shared.names.meta());
    call.key(shared.names.feed());
    call.key(shared.names.audit());
    call.key(shared.names.veils());
    let head = sealed.last().map_or(stand.head, Sealed::head);
    call.bytes(super::names::hex(&stand.incarnation))
        .number(stand.revision.0)
        .bytes(feed::change_text(stand.change))
        .number(revision.0)
        .bytes(feed::change_text(change.id))
        .number(FEED_ENTRIES)
        .bytes(feed::head_text(stand.head))
        .bytes(feed::head_text(head))
        .number(placed.len() as u64)
        .bytes(fence.map_or_else(String::new, |fence| fence.number.to_string()));
    for write in placed {
        call.key(write.place);
        call.bytes(write.kind.letter())
            .bytes(write.id)
            .bytes(write.record)
            .number(write.kind.kept());
    }
    if let Some(fence) = fence {
        call.key(shared.names.job(&fence.job));
    }
    for (sealed, [whole, body, veil]) in sealed.iter().zip(audit) {
        call.number(sealed.seq).bytes(whole).bytes(body).bytes(veil);
    }
    Ok(call)
}

/// An entry for the feed, whole; for the audit log, without its veil; and the veil.
fn parts(sealed: &Sealed) -> [Vec<u8>; 3] {
    let bare = Sealed {
        veil: None,
        ..sealed.clone()
    };
    let veil = sealed.veil.as_ref().map(record::encode_veil);
    [
        record::encode_sealed(sealed),
        record::encode_sealed(&bare),
        veil.unwrap_or_default(),
    ]
}

/// Has the mirror show what was done before whoever did it is told.
async fn mirror(
    shared: &Shared,
    change: Change,
    sealed: Vec<Sealed>,
    stand: Stand,
) -> Result<(), StoreError> {
    let entry = Entry {
        revision: change.expect.next(),
        before: stand.change,
        change,
        sealed,
        unreadable: 0,
        is_sealed: true,
        // Whoever measures how long changes are under way measures those of others.
        committed_us: None,
    };
    match shared.take(vec![entry]).await? {
        // A mirror that was read anew in between has it all the same.
        Taken::All | Taken::Gap | Taken::Fork => Ok(()),
    }
}

/// The store has moved past what a change expects: by this very change, or by another one.
async fn landed_or_conflict(
    shared: &Shared,
    change: &Change,
    found: Revision,
) -> Result<Revision, StoreError> {
    let landed = match shared.mirror.tables().since(change.expect, 1).await? {
        News::Changes(changes) => changes.first().map(|(_, change)| change.id),
        News::Trimmed => {
            let next = Some(change.expect.next());
            let ask = feed::ask_range(&shared.names, change.expect, next, 1);
            let entries = feed::read_range(shared.link.ask(&ask).await?);
            let entries = shared.entries(entries)?;
            entries.first().map(|entry| entry.change.id)
        }
    };
    if landed == Some(change.id) {
        Ok(change.expect.next())
    } else {
        Err(StoreError::Conflict {
            expected: change.expect,
            found,
        })
    }
}

/// A hash belongs to one key, a name of a kind to one owner. The mirror has them all as of the expected
/// revision, and the script proves that this is still the revision, so Redis needs no index of them.
async fn check_claims(shared: &Shared, change: &Change) -> Result<(), StoreError> {
    let tables = shared.mirror.tables();
    let mut claimed: HashMap<KeyHash, KeyId> = HashMap::new();
    for write in &change.writes {
        match write {
            Write::Key(key) => {
                for KeyVersion { hash, .. } in &key.versions {
                    let claim = claimed.insert(*hash, key.id);
                    let holder = match claim {
                        None => tables.hash_owner(hash).await?,
                        claim => claim,
                    };
                    if let Some(key) = holder.filter(|holder| *holder != key.id) {
                        return Err(StoreError::DuplicateHash { key });
                    }
                }
            }
            Write::Owner(owner) => {
                let named = tables.owner_named(owner.kind, &owner.name).await?;
                if named.is_some_and(|named| named.id != owner.id) {
                    return Err(StoreError::Conflict {
                        expected: change.expect,
                        found: change.expect,
                    });
                }
            }
            Write::Token(_)
            | Write::Receipt(_)
            | Write::Event(_)
            | Write::Checkpoint(_)
            | Write::Erasure(_)
            | Write::Product(_)
            | Write::Policy(_)
            | Write::RotationRule(_)
            | Write::Gone(_) => {}
        }
    }
    Ok(())
}

/// How often a change is sent when answers are lost.
const TRIES: usize = 3;
/// The most records that one script takes: 512 keep Redis from everyone else for about 6 ms, and what a
/// script hands over to one command is at most 7,999 values, two a record. Only an owner who leaves with
/// thousands of keys comes near it.
const MOST_RECORDS: usize = 3_500;
/// The most bytes of records that one script takes.
const MOST_BYTES: usize = 8 << 20;
