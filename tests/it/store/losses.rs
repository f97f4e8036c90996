//! Stores that have lost something: what gates give back, keep in force, and tell of.

use std::fs;

use futures_util::future::join_all;
use portcullis::domain::audit::AuditEntry;
use portcullis::domain::audit::query::{AuditQuery, Kind};
use portcullis::domain::change::{Change, Revision, Write};
use portcullis::domain::key::Key;
use portcullis::domain::owner::OwnerKind;
use portcullis::domain::tombstone::Ended;
use portcullis::store::redis::RedisStore;
use portcullis::store::{
    AuditStore, ContactState, Feed, Kept, OwnerStore, Store, StoreError, TokenStore,
};

use super::gate::{Gate, choice, is_revoked, local, making, node_key, revoking};
use super::things::{change, entry, key, key_id, owner, owner_id, revoked, token};
use crate::support::clock;
use crate::support::patience::eventually;
use crate::support::redis::RedisServer;

/// The change that gives a key another name.
pub(super) fn renaming(number: u32, name: &str, expect: u64) -> Change {
    let mut key = key(number);
    key.settings.name = name.to_owned();
    telling(change(Revision(expect), vec![Write::Key(key)]))
}

/// The same change, whose audit entry has an id of its own.
pub(super) fn telling(mut change: Change) -> Change {
    let said = u32::from_be_bytes(*change.id.0.first_chunk().unwrap());
    change.audit = vec![AuditEntry {
        reason: Some("a reason".into()),
        ..entry(said % 1_000_000)
    }];
    change
}

/// Waits until all gates are in step with the store and owe it nothing.
async fn are_in_step(server: &RedisServer, gates: &[&Gate]) {
    clock::eventually("all gates are in step", async || {
        let rev: String = server.ask(&["HGET", "{pc}:meta", "rev"]);
        let in_step = gates.iter().all(|gate| {
            let contact = gate.store.contact();
            contact.is_up && contact.revision.to_string() == rev && !gate.owes()
        });
        in_step.then_some(())
    })
    .await;
}

/// What each gate has, and the store has, is the same; and the audit log is one chain.
pub(super) async fn are_equal(server: &RedisServer, gates: &[&Gate]) -> Vec<Key> {
    are_in_step(server, gates).await;
    let mut all = Vec::new();
    for gate in gates {
        clock::eventually("the audit log is whole", async || {
            let verdict = gate.store.verify_audit().await.ok()?;
            assert_eq!(verdict.fault, None);
            Some(())
        })
        .await;
        let end = gate.store.audit_end().await.unwrap().head;
        assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:audit"]), end.seq);
        all.push((gate.keys().await.0, end));
    }
    let fresh = Gate::at(server).await;
    let (keys, _) = fresh.keys().await;
    for key in &keys {
        assert!(fresh.finds(key).await, "{key:?}");
    }
    for (found, end) in all {
        assert_eq!(found, keys);
        assert_eq!(end, fresh.store.audit_end().await.unwrap().head);
    }
    keys
}

/// How often something was said again by the gates themselves.
pub(super) async fn said(gate: &Gate, why: &str) -> usize {
    let query = AuditQuery {
        kind: Kind::All,
        ..AuditQuery::default()
    };
    let page = gate.store.audit(&query, 1_000, None).await.unwrap();
    let entries = page.items.iter().filter_map(|sealed| sealed.entry().ok());
    entries
        .filter(|entry| entry.reason.as_deref() == Some(why))
        .count()
}

pub(super) fn alarms(gate: &Gate) -> Vec<&'static str> {
    let concerns = gate.store.concerns();
    concerns.iter().map(|it| it.code).collect()
}

fn revoked_of(keys: &[Key]) -> Vec<bool> {
    keys.iter().map(is_revoked).collect()
}

/// An old backup, or a failover that lost a tail: what the store lacks is sent again as it was, by as many gates
/// as there are, each of which may know less than another.
#[tokio::test]
async fn a_store_that_came_back_older_is_given_back_what_it_lacks() {
    let mut server = RedisServer::start();
    let (mut a, mut b) = (Gate::at(&server).await, Gate::at(&server).await);
    a.commits(telling(making(1))).await;
    a.commits(telling(making(2))).await;
    let backup = server.backup();
    a.commits(telling(revoking(1, 2))).await;
    a.commits(renaming(2, "lost and found", 3)).await;
    b.reaches(4).await;
    // The one knows less than the other.
    b.store.close().await;
    a.commits(telling(making(5))).await;
    a.commits(telling(revoking(2, 5))).await;
    let before = a.changes_since(0).await;
    let chain = a.store.audit_end().await.unwrap().head;
    a.store.close().await;

    server.restore(&backup);
    let url = server.url();
    tokio::join!(a.reopen(&url), b.reopen(&url));
    let keys = are_equal(&server, &[&a, &b]).await;
    assert_eq!(revoked_of(&keys), [true, true, false]);
    // Bytes, revisions and ids: nothing of it was made anew.
    assert_eq!(a.store.audit_end().await.unwrap().head, chain);
    assert_eq!(a.changes_since(0).await, before);
    assert_eq!(b.changes_since(0).await, before);
    assert_eq!(alarms(&a), Vec::<&str>::new());
}

/// Others went on without the tail: their decisions stand, every revocation is back, what nobody has touched is made
/// again, and the rest is told of. Several gates do all of this once.
#[tokio::test]
async fn of_a_fork_every_revocation_is_back_and_nothing_is_dropped_in_silence() {
    let mut server = RedisServer::start();
    let (mut a, mut b) = (Gate::at(&server).await, Gate::at(&server).await);
    for number in 1..=4 {
        a.commits(telling(making(number))).await;
    }
    let backup = server.backup();
    let lost = [
        telling(revoking(1, 4)),
        renaming(2, "lost", 5),
        renaming(3, "found", 6),
        telling(making(8)),
        telling(revoking(4, 8)),
    ];
    for change in lost {
        a.commits(change).await;
    }
    b.reaches(9).await;
    a.store.close().await;
    b.store.close().await;

    server.restore(&backup);
    let url = server.url();
    let c = Gate::at(&server).await;
    c.commits(renaming(2, "decided since", 4)).await;
    c.commits(renaming(4, "decided since", 5)).await;
    assert!(!c.has_revoked(1).await);
    tokio::join!(a.reopen(&url), b.reopen(&url));
    let keys = are_equal(&server, &[&a, &b, &c]).await;
    // Keys 1 to 4, and 8.
    assert_eq!(revoked_of(&keys), [true, false, false, true, false]);
    let names: Vec<_> = keys.iter().map(|key| &*key.settings.name).collect();
    assert_eq!(
        names,
        ["key 1", "decided since", "found", "decided since", "key 8"]
    );
    // The first revocation is the one that was made; the other one's record was touched since.
    assert_eq!(said(&c, "revocation_reasserted").await, 1);
    assert_eq!(said(&c, "changes_lost").await, 1);
    assert_eq!(said(&c, "a reason").await, 4 + 3 + 2);
    let told: Vec<_> = [&a, &b].iter().flat_map(|gate| alarms(gate)).collect();
    assert!(told.contains(&"changes_lost"), "{told:?}");
}

/// A gate that knows only that something has ended, and no change, still ends it again: its mirror is gone.
#[tokio::test]
async fn without_its_mirror_a_gate_still_ends_again_what_has_ended() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    let off = |at: Option<u64>| {
        let mut owner = owner(7, OwnerKind::Team, "leavers");
        owner.disabled_at = at.map(|_| crate::store::things::at(5_000));
        Write::Owner(owner)
    };
    let ended_now = gate.clock_now();
    let mut one = key(2);
    one.versions[0].revoked_at = Some(ended_now);
    let mut whole = key(1);
    whole.standing = portcullis::domain::key::Standing::Revoked { at: ended_now };
    let mut left = owner(7, OwnerKind::Team, "leavers");
    left.disabled_at = Some(ended_now);
    let mut badge = token(4);
    badge.revoked_at = Some(ended_now);
    let begin = vec![
        Write::Key(key(1)),
        Write::Key(key(2)),
        off(None),
        Write::Token(token(4)),
    ];
    gate.commits(telling(change(Revision(0), begin))).await;
    let backup = server.backup();
    let end = vec![
        Write::Key(whole),
        Write::Key(one),
        Write::Owner(left),
        Write::Token(badge),
    ];
    gate.commits(telling(change(Revision(1), end))).await;
    gate.store.close().await;
    fs::remove_dir_all(gate.dir.path().join("mirror")).unwrap();

    server.restore(&backup);
    gate.reopen(&server.url()).await;
    let keys = are_equal(&server, &[&gate]).await;
    assert!(is_revoked(&keys[0]));
    assert_eq!(keys[1].versions[0].revoked_at, Some(ended_now));
    let fresh = Gate::at(&server).await;
    let owner = fresh.store.owner(owner_id(7)).await.unwrap().unwrap();
    assert_eq!(owner.disabled_at, Some(ended_now));
    let token = fresh.store.token(token(4).id).await.unwrap().unwrap();
    assert_eq!(token.revoked_at, Some(ended_now));
    assert_eq!(said(&gate, "revocation_reasserted").await, 4);
    // And once only.
    gate.store.close().await;
    gate.reopen(&server.url()).await;
    are_in_step(&server, &[&gate]).await;
    assert_eq!(said(&gate, "revocation_reasserted").await, 4);
}

/// An owner who was let back in is not shut out again by what was known before.
#[tokio::test]
async fn who_was_let_back_in_stays_in() {
    let server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    let now = gate.clock_now();
    let mut off = owner(7, OwnerKind::Team, "team");
    off.disabled_at = Some(now);
    let off = telling(change(Revision(0), vec![Write::Owner(off)]));
    gate.commits(off).await;
    let back = Write::Owner(owner(7, OwnerKind::Team, "team"));
    let mut back = telling(change(Revision(1), vec![back]));
    for entry in &mut back.audit {
        entry.action = portcullis::domain::audit::Action::OwnerUpdate;
        entry.owner = Some(owner_id(7));
        entry.changes = vec![portcullis::domain::audit::FieldChange {
            field: "disabled_at".into(),
            from: now.to_string().into(),
            to: serde_json::Value::Null,
        }];
    }
    gate.commits(back).await;
    for _ in 0..2 {
        let found = gate.store.owner(owner_id(7)).await.unwrap().unwrap();
        assert_eq!(found.disabled_at, None);
        gate.store.close().await;
        gate.reopen(&server.url()).await;
        are_in_step(&server, &[&gate]).await;
    }
    assert_eq!(said(&gate, "revocation_reasserted").await, 0);
}

/// Ended with the store away: in force at once, over a restart too, and handed over with its own entry when the
/// store is back, once, whatever others made of the key meanwhile.
#[tokio::test]
async fn what_is_ended_while_the_store_is_away_is_handed_over_when_it_is_back() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    gate.commits(telling(making(2))).await;
    server.kill();
    eventually("the gate notices", || !gate.store.contact().is_up).await;
    let ends = telling(revoking(1, 2));
    let refused = gate.store.commit(ends.clone()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
    let held = gate.store.hold(ends.clone()).await.unwrap();
    assert_eq!(held, Kept::Held(vec![Write::Key(revoked(key(1)))]));
    assert!(gate.has_revoked(1).await);
    assert!(gate.store.holds(&Ended::Key(key_id(1))));
    assert!(!gate.store.holds(&Ended::Key(key_id(2))));
    assert!(alarms(&gate).contains(&"revocations_held"));
    gate.store.close().await;
    gate.reopen(&server.url()).await;
    assert!(gate.has_revoked(1).await && gate.owes());
    gate.store.close().await;

    server.restart();
    let other = Gate::at(&server).await;
    other.settles(renaming(1, "renamed", 2)).await.unwrap();
    gate.reopen(&server.url()).await;
    let keys = are_equal(&server, &[&gate, &other]).await;
    assert_eq!(revoked_of(&keys), [true, false]);
    assert_eq!(keys[0].settings.name, "renamed");
    assert_eq!(said(&other, "a reason").await, 4);
    assert_eq!(said(&other, "revocation_reasserted").await, 0);
    assert!(gate.changes_since(0).await.contains(&ends.id));
    assert!(!gate.store.holds(&Ended::Key(key_id(1))));
}

/// A change whose answer was lost, and which was then held, lands once.
#[tokio::test]
async fn what_had_landed_after_all_is_not_handed_over_again() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    let ends = telling(revoking(1, 1));
    gate.commits(ends.clone()).await;
    let kept = gate.store.hold(ends).await.unwrap();
    assert_eq!(kept, Kept::Landed(Revision(2)));
    assert!(!gate.owes());
    assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:feed"]), 2);
}

/// A store that came back empty is given nothing and takes nothing, but what is revoked meanwhile is in force;
/// until an operator says that it is to be taken as it is.
#[tokio::test]
async fn an_empty_store_waits_for_an_operator() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    server.restart_empty();
    eventually("the gate is estranged", || {
        gate.store.contact().state == ContactState::Estranged
    })
    .await;
    assert_eq!(alarms(&gate), ["store_estranged"]);
    gate.store.hold(telling(revoking(1, 1))).await.unwrap();
    assert!(gate.has_revoked(1).await);
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0);

    gate.store.close().await;
    gate.reopen_accepting(&server.url()).await;
    are_in_step(&server, &[&gate]).await;
    assert_eq!(gate.keys().await.0.len(), 0);
    assert_eq!(said(&gate, "store_accepted").await, 1);
    gate.settles(making(
        u32::try_from(gate.store.revision().await.unwrap().0 + 1).unwrap(),
    ))
    .await
    .unwrap();
}

/// Another store is taken only where that was said, and with what has ended here ended in it first.
#[tokio::test]
async fn a_foreign_store_is_taken_with_what_has_ended_here() {
    let server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    gate.commits(telling(ending_now(&gate, 1, 1))).await;
    gate.store.close().await;
    // A store of another history that has the key, as a migration from an old copy makes it.
    let () = server.ask(&["FLUSHALL"]);
    let other = Gate::at(&server).await;
    other.commits(telling(making(1))).await;
    other.commits(telling(making(2))).await;

    gate.reopen(&server.url()).await;
    eventually("the gate is estranged", || {
        gate.store.contact().state == ContactState::Estranged
    })
    .await;
    assert!(gate.has_revoked(1).await && !other.has_revoked(1).await);
    gate.store.close().await;
    gate.reopen_accepting(&server.url()).await;
    let keys = are_equal(&server, &[&gate, &other]).await;
    assert_eq!(revoked_of(&keys), [true, false]);
    assert_eq!(said(&other, "revocation_reasserted").await, 1);
}

/// A file that somebody wrote into is set aside; the gate runs, and what is sound of it holds.
#[tokio::test]
async fn a_file_of_tombstones_that_was_tampered_with_brings_nothing_back() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    gate.commits(telling(making(2))).await;
    let backup = server.backup();
    gate.commits(telling(ending_now(&gate, 1, 2))).await;
    gate.commits(telling(ending_now(&gate, 2, 3))).await;
    gate.store.close().await;
    let path = gate.dir.path().join("tombstones");
    let text = fs::read_to_string(&path).unwrap();
    let (first, _) = text.split_once('\n').unwrap();
    fs::write(&path, format!("{first}\nsomething else\n")).unwrap();
    server.restore(&backup);

    gate.reopen(&server.url()).await;
    let keys = are_equal(&server, &[&gate]).await;
    assert_eq!(revoked_of(&keys), [true, true]);
    assert_eq!(alarms(&gate), ["tombstones_damaged"]);
}

/// Journals that do not reach back as far as the store has gone: what has ended is ended again, and what is missing
/// is told of.
#[tokio::test]
async fn a_store_older_than_any_journal_is_taken_and_what_is_lost_is_told() {
    let mut server = RedisServer::start();
    let first = Gate::at(&server).await;
    for number in 1..=2 {
        first.commits(telling(making(number))).await;
    }
    let backup = server.backup();
    first.commits(telling(making(3))).await;
    first.commits(telling(ending_now(&first, 1, 3))).await;
    // This one begins after the hole does.
    let mut late = Gate::at(&server).await;
    first.store.close().await;
    late.commits(renaming(2, "lost", 4)).await;
    late.store.close().await;
    server.restore(&backup);

    late.reopen(&server.url()).await;
    let keys = are_equal(&server, &[&late]).await;
    assert_eq!(revoked_of(&keys), [true, false]);
    assert_eq!(said(&late, "changes_lost").await, 1);
    let concerns = late.store.concerns();
    let codes: Vec<_> = concerns.iter().map(|it| it.code).collect();
    assert_eq!(codes, ["keys_lost", "changes_lost"]);
    assert!(concerns[0].detail.contains(&key_id(3).to_string()));
}

/// The end of a key now, by the gate's clock.
fn ending_now(gate: &Gate, number: u32, expect: u64) -> Change {
    let mut key = key(number);
    key.standing = portcullis::domain::key::Standing::Revoked {
        at: gate.clock_now(),
    };
    change(Revision(expect), vec![Write::Key(key)])
}

impl Gate {
    fn clock_now(&self) -> portcullis::domain::time::Timestamp {
        use portcullis::domain::time::Clock as _;
        // As it is stored: whole milliseconds.
        self.clock.now()
    }

    fn owes(&self) -> bool {
        alarms(self).contains(&"revocations_held")
    }

    /// Opens the same folder again, as with `--accept-store`.
    async fn reopen_accepting(&mut self, url: &str) {
        let (choice, node_key) = (choice(url), node_key());
        let local = local(self.dir.path(), &node_key, true);
        let store = RedisStore::open(&choice, local, self.clock.clone()).await;
        self.store = store.unwrap();
    }
}

/// Many gates, each of which knows as much as it happens to, and a store that lost a tail: whatever it was, all
/// revocations are back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_with_different_knowledge_repair_at_once() {
    let mut server = RedisServer::start();
    let url = server.url();
    let mut gates = Vec::new();
    for _ in 0..4 {
        gates.push(Gate::at(&server).await);
    }
    for number in 1..=12 {
        gates[0].commits(telling(making(number))).await;
    }
    let backup = server.backup();
    // Each gate stops knowing at another place.
    for number in 1..=12_u32 {
        let expect = u64::from(number) + 11;
        gates[0]
            .commits(telling(ending_now(&gates[0], number, expect)))
            .await;
        if number % 4 == 0 && number < 12 {
            let at = usize::try_from(number / 4).unwrap();
            gates[at].reaches(expect + 1).await;
            gates[at].store.close().await;
        }
    }
    gates[3].reaches(24).await;
    gates[0].store.close().await;
    gates[3].store.close().await;
    for is_fork in [false, true] {
        server.restore(&backup);
        let stray = Gate::at(&server).await;
        if is_fork {
            let expect = stray.store.revision().await.unwrap().0;
            stray.settles(renaming(1, "stray", expect)).await.unwrap();
        }
        join_all(gates.iter_mut().map(|gate| gate.reopen(&url))).await;
        let all: Vec<_> = gates.iter().chain([&stray]).collect();
        let keys = are_equal(&server, &all).await;
        assert_eq!(revoked_of(&keys), [true; 12], "fork: {is_fork}");
        join_all(gates.iter().map(|gate| gate.store.close())).await;
        stray.store.close().await;
    }
}
