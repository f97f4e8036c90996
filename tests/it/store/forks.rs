//! What holds at a gate while its store is away, forks, or is another: in whatever order things come.

use std::time::Duration;

use portcullis::domain::audit::Action;
use portcullis::domain::change::{Change, Revision, Write};
use portcullis::domain::draw::QuotaDraw;
use portcullis::domain::key::Key;
use portcullis::domain::period::Span;
use portcullis::domain::time::Clock;
use portcullis::store::{ContactState, Feed, JobStore, Kept, LeaseStore, News, QuotaStore, Store};
use rusqlite::Connection;

use super::contract::call;
use super::gate::{Gate, is_revoked, making, revoking};
use super::losses::{alarms, are_equal, renaming, said, telling};
use super::things::{at, change, key, key_id, revoked, version};
use crate::support::clock;
use crate::support::patience::eventually;
use crate::support::redis::RedisServer;

/// The change that gives a key a second secret.
fn rotating(number: u32, expect: u64) -> Change {
    rotating_to(2, number, expect)
}

/// The change that gives a key, after all before it, this version.
fn rotating_to(last: u16, number: u32, expect: u64) -> Change {
    let mut key = key(number);
    let versions = (2..=last).map(|version_number| version(number, version_number));
    key.versions.extend(versions);
    telling(change(Revision(expect), vec![Write::Key(key)]))
}

/// The change that revokes a key, as whoever asks for it has it made.
fn ending(number: u32, expect: u64) -> Change {
    let mut change = telling(revoking(number, expect));
    for entry in &mut change.audit {
        entry.action = Action::KeyRevocation;
    }
    change
}

fn of(keys: &[Key], number: u32) -> Option<&Key> {
    keys.iter().find(|key| key.id == key_id(number))
}

/// Who shows keys elsewhere is given what has ended even where the tables had it ended before, and a change from
/// before that is read does not bring it back.
#[tokio::test]
async fn what_is_held_is_shown_whatever_is_read_before_and_after() {
    let mut server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    server.kill();
    eventually("the gate notices", || !gate.store.contact().is_up).await;
    let ended = Kept::Held(vec![Write::Key(revoked(key(1)))]);
    for _ in 0..2 {
        let held = gate.store.hold(telling(revoking(1, 1))).await.unwrap();
        assert_eq!(held, ended);
    }
    let News::Changes(changes) = gate.store.since(Revision(0), 10).await.unwrap() else {
        panic!("the journal is whole");
    };
    let writes: Vec<_> = changes.iter().flat_map(|(_, it)| &it.writes).collect();
    assert_eq!(writes, [&Write::Key(revoked(key(1)))]);
    assert!(is_revoked(&gate.keys().await.0[0]));
}

/// New keys and new secrets that the store has lost pass until they are made again; what others ended meanwhile
/// does not pass by a secret that they never knew.
#[tokio::test]
async fn what_the_store_lost_is_shown_until_it_is_made_again_or_told_of() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    gate.commits(telling(making(2))).await;
    let backup = server.backup();
    gate.commits(rotating(1, 2)).await;
    gate.commits(rotating(2, 3)).await;
    gate.commits(telling(making(5))).await;
    gate.store.close().await;
    server.restore(&backup);
    let other = Gate::at(&server).await;
    other.commits(telling(revoking(1, 2))).await;

    // It is read, and nothing is written to it.
    let () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    gate.reopen(&server.url()).await;
    eventually("the gate follows", || {
        gate.store.contact().state == ContactState::Following
    })
    .await;
    let (shown, _) = gate.keys().await;
    let secrets = |keys: &[Key], number| of(keys, number).map(|key| key.versions.len());
    assert!(is_revoked(of(&shown, 1).unwrap()));
    assert_eq!(
        [1, 2, 5].map(|it| secrets(&shown, it)),
        [Some(2), Some(2), Some(1)]
    );
    let renewals = gate.store.renewals();

    let () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    clock::eventually("what was lost is settled", async || {
        let is_told = said(&gate, "changes_lost").await == 1;
        (is_told && gate.store.renewals() > renewals).then_some(())
    })
    .await;
    let kept = are_equal(&server, &[&gate, &other]).await;
    assert!(is_revoked(of(&kept, 1).unwrap()));
    assert_eq!(
        [1, 2, 5].map(|it| secrets(&kept, it)),
        [Some(1), Some(2), Some(1)]
    );
}

/// Waits until a gate follows a store that it has read anew since it had done so `before` times.
async fn has_read_anew(gate: &Gate, before: u64) {
    eventually("the gate reads the store anew", || {
        let is_following = gate.store.contact().state == ContactState::Following;
        gate.store.renewals() > before && is_following
    })
    .await;
}

/// A gate that read the store anew knows keys, and not the changes that made them. What of those the store loses then
/// passes until others, who know them, had their turn; it is told of where nobody does.
#[tokio::test]
async fn what_only_others_can_give_back_passes_until_they_had_their_turn() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    let now = gate.clock.read().wall;
    let young = |number, secrets: u16, expect| {
        let mut key = key(number);
        key.versions = (1..=secrets).map(|it| version(number, it)).collect();
        for version in &mut key.versions {
            version.created_at = now;
        }
        telling(change(Revision(expect), vec![Write::Key(key)]))
    };
    gate.commits(telling(making(1))).await;
    let oldest = server.backup();
    gate.commits(young(2, 1, 1)).await;
    let backup = server.backup();
    gate.commits(young(2, 2, 2)).await;
    gate.commits(young(5, 1, 3)).await;
    let fresh = Gate::at(&server).await;
    gate.store.close().await;
    let secrets = async || {
        let (shown, _) = fresh.keys().await;
        [2, 5].map(|it| of(&shown, it).map(|key| key.versions.len()))
    };
    // Twice, before anybody has given anything back.
    for (lost, left) in [(&backup, 2), (&oldest, 1)] {
        let before = fresh.store.renewals();
        server.restore(lost);
        has_read_anew(&fresh, before).await;
        assert_eq!(fresh.store.revision().await.unwrap(), Revision(left));
        assert_eq!(secrets().await, [Some(2), Some(1)]);
        assert_eq!(alarms(&fresh), Vec::<&str>::new());
    }

    gate.reopen(&server.url()).await;
    are_equal(&server, &[&gate, &fresh]).await;
    assert_eq!(secrets().await, [Some(2), Some(1)]);
    gate.store.close().await;
    fresh.clock.turn(Duration::from_secs(16));

    // Nobody else is there any more who knows them.
    fresh.store.close().await;
    let fresh = Gate::at(&server).await;
    let before = fresh.store.renewals();
    server.restore(&backup);
    has_read_anew(&fresh, before).await;
    fresh.clock.turn(Duration::from_secs(16));
    eventually("it tells of what is lost", || {
        alarms(&fresh) == ["keys_lost"]
    })
    .await;
    let (shown, _) = fresh.keys().await;
    let secrets = [2, 5].map(|it| of(&shown, it).map(|key| key.versions.len()));
    assert_eq!(secrets, [Some(1), None]);
}

/// A key that the store has lost two secrets of gets them back one by one, by whichever gate comes first: at a
/// gate that knows both, both pass all the while.
#[tokio::test]
async fn a_change_that_is_made_again_takes_back_no_secret_that_was_made_upon_it() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    let backup = server.backup();
    let second = rotating_to(2, 1, 1);
    gate.commits(second.clone()).await;
    gate.commits(rotating_to(3, 1, 2)).await;
    gate.store.close().await;
    server.restore(&backup);
    let other = Gate::at(&server).await;
    other
        .commits(change(Revision(1), vec![Write::Key(key(9))]))
        .await;

    // It is read, and nothing is written to it, but by a gate that does not know that.
    let () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    gate.reopen(&server.url()).await;
    eventually("the gate follows", || {
        gate.store.contact().state == ContactState::Following
    })
    .await;
    let again = Change {
        expect: Revision(2),
        ..second
    };
    other.commits(again).await;
    gate.reaches(3).await;

    let News::Changes(changes) = gate.store.since(Revision(2), 10).await.unwrap() else {
        panic!("the journal is whole");
    };
    let [(Revision(3), made)] = &changes[..] else {
        panic!("{changes:?}");
    };
    let [Write::Key(key), ..] = &made.writes[..] else {
        panic!("{made:?}");
    };
    assert_eq!(key.versions.len(), 3);
    assert_eq!(gate.keys().await.0[0].versions.len(), 3);
    assert_eq!(other.keys().await.0[0].versions.len(), 2);

    let () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    other.reaches(4).await;
    assert_eq!(other.keys().await.0[0].versions.len(), 3);
}

/// However many were lost: each is made again after what it was made upon.
#[tokio::test]
async fn lost_revocations_follow_the_keys_that_were_lost_with_them() {
    const KEYS: u32 = 20;
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    let backup = server.backup();
    let made: Vec<_> = (2..=KEYS).map(|it| telling(making(it))).collect();
    let expect = |number: u32| u64::from(KEYS + number - 2);
    let ended: Vec<_> = (2..=KEYS).map(|it| ending(it, expect(it))).collect();
    for change in made.iter().chain(&ended) {
        gate.commits(change.clone()).await;
    }
    gate.store.close().await;
    server.restore(&backup);
    let other = Gate::at(&server).await;
    other
        .commits(change(Revision(1), vec![Write::Key(key(99))]))
        .await;
    gate.reopen(&server.url()).await;

    let keys = are_equal(&server, &[&gate, &other]).await;
    assert_eq!(keys.iter().filter(|it| is_revoked(it)).count(), made.len());
    let changes = other.changes_since(1).await;
    let at = |change: &Change| changes.iter().position(|it| *it == change.id);
    for (made, ended) in made.iter().zip(&ended) {
        assert!(at(made).is_some() && at(made) < at(ended));
    }
}

/// A lost revocation is made again, as the change it was, though somebody else has changed its key since.
#[tokio::test]
async fn a_lost_revocation_is_made_again_whatever_it_met() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    let backup = server.backup();
    let ended = ending(1, 1);
    gate.commits(ended.clone()).await;
    gate.store.close().await;
    server.restore(&backup);
    let other = Gate::at(&server).await;
    other.commits(renaming(1, "met", 1)).await;
    gate.reopen(&server.url()).await;

    let kept = are_equal(&server, &[&gate, &other]).await;
    let key = of(&kept, 1).unwrap();
    assert_eq!((is_revoked(key), &*key.settings.name), (true, "met"));
    assert!(other.changes_since(2).await.contains(&ended.id));
    assert_eq!(said(&gate, "changes_lost").await, 0);
}

/// Whoever revokes the secret that a client has left, while the store lacks the one it has now, shuts out nobody.
#[tokio::test]
async fn a_lost_rotation_is_made_again_though_the_version_before_was_revoked_since() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    let backup = server.backup();
    gate.commits(rotating(1, 1)).await;
    gate.store.close().await;
    server.restore(&backup);
    let other = Gate::at(&server).await;
    let mut ended = key(1);
    ended.versions[0].revoked_at = Some(at(5_000));
    let mut ending = telling(change(Revision(1), vec![Write::Key(ended)]));
    ending.audit[0].action = Action::KeyRevocation;
    other.commits(ending).await;
    gate.reopen(&server.url()).await;

    let kept = are_equal(&server, &[&gate, &other]).await;
    let versions = of(&kept, 1).unwrap().versions.iter();
    let revoked: Vec<_> = versions.map(|it| (it.number, it.revoked_at)).collect();
    assert_eq!(revoked, [(1, Some(at(5_000))), (2, None)]);
    assert_eq!(said(&gate, "changes_lost").await, 0);
}

/// A change that is made again keeps its id, and may by chance land at the revision that it had. A gate that was
/// away meanwhile sees the fork all the same, wherever the two histories end, and takes what lies behind it.
#[tokio::test]
async fn a_fork_is_seen_though_a_change_was_made_again_at_its_revision() {
    for (mine, theirs) in [(4, 4), (4, 5), (5, 4), (5, 5), (5, 6)] {
        let mut server = RedisServer::start();
        let mut gate = Gate::at(&server).await;
        gate.commits(telling(making(1))).await;
        gate.commits(telling(making(2))).await;
        let backup = server.backup();
        gate.commits(renaming(2, "lost", 2)).await;
        let twice = telling(change(Revision(3), vec![Write::Key(key(3))]));
        gate.commits(twice.clone()).await;
        if mine > 4 {
            gate.commits(telling(making(5))).await;
        }
        gate.store.close().await;
        server.restore(&backup);
        let other = Gate::at(&server).await;
        other.commits(ending(1, 2)).await;
        other.commits(twice).await;
        for number in 5..=theirs {
            other
                .commits(renaming(3, &format!("kept-{number}"), number - 1))
                .await;
        }
        gate.reopen(&server.url()).await;

        let kept = are_equal(&server, &[&gate, &other]).await;
        assert!(is_revoked(of(&kept, 1).unwrap()), "{mine} and {theirs}");
        assert!(gate.has_revoked(1).await, "{mine} and {theirs}");
        assert_eq!(of(&kept, 5).is_some(), mine > 4);
    }
}

/// Changes of which the audit log says nothing look the same in every history: what lies before one that was made again
/// may be another all the same, and what was lost with it meets that.
#[tokio::test]
async fn a_change_without_an_audit_entry_tells_of_no_common_history() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    let backup = server.backup();
    gate.commits(renaming(1, "lost", 1)).await;
    let untold = change(Revision(2), vec![Write::Key(key(9))]);
    gate.commits(untold.clone()).await;
    gate.commits(renaming(1, "lost, too", 3)).await;
    gate.store.close().await;
    server.restore(&backup);
    let other = Gate::at(&server).await;
    other.commits(renaming(1, "kept", 1)).await;
    other.commits(untold).await;
    gate.reopen(&server.url()).await;

    let kept = are_equal(&server, &[&gate, &other]).await;
    assert_eq!(of(&kept, 1).unwrap().settings.name, "kept");
    assert_eq!(said(&gate, "changes_lost").await, 1);
}

/// Who waits for changes need not wait for a later revision where another history is read: it may have none.
#[tokio::test]
async fn who_waits_for_changes_hears_of_another_history_at_once() {
    let mut server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    let backup = server.backup();
    gate.commits(renaming(1, "lost", 1)).await;
    server.restore(&backup);
    let renewals = gate.store.renewals();
    let other = Gate::at(&server).await;
    let waits = tokio::time::timeout(Duration::from_secs(30), async {
        while gate.store.renewals() == renewals {
            gate.store.moved(Revision(1_000)).await;
        }
    });
    let forks = async { drop(other.settles(renaming(1, "kept", 1)).await) };
    let (waited, ()) = tokio::join!(waits, forks);
    // Unless the gate gave it back first: then there is one history.
    assert!(waited.is_ok() || gate.keys().await.0[0].settings.name == "lost");
}

/// An answer that was lost, and a change that is sent or held again when others have come in between.
#[tokio::test]
async fn what_has_landed_is_known_however_late_it_is_sent_again() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    let ends = telling(revoking(1, 1));
    gate.commits(ends.clone()).await;
    gate.commits(telling(making(3))).await;
    let again = Change {
        expect: Revision(3),
        ..ends
    };
    assert_eq!(gate.commits(again.clone()).await, Revision(2));
    let held = gate.store.hold(again).await.unwrap();
    assert_eq!(held, Kept::Landed(Revision(2)));
    assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:feed"]), 3);
}

/// A gate that knows nothing of what was before it began lands a change a second time.
#[tokio::test]
async fn a_change_that_landed_twice_stops_no_mirror() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    let twice = telling(making(1));
    gate.commits(twice.clone()).await;
    gate.commits(telling(making(2))).await;
    let late = Gate::at(&server).await;
    let again = Change {
        expect: Revision(2),
        ..twice
    };
    assert_eq!(late.commits(again).await, Revision(3));
    gate.reaches(3).await;
    late.commits(telling(making(4))).await;
    gate.reaches(4).await;
    assert_eq!(gate.keys().await, late.keys().await);
}

/// Whatever the reason: a mirror that cannot go on is not away for good.
#[tokio::test]
async fn a_mirror_that_does_not_take_a_change_is_read_anew() {
    let server = RedisServer::start();
    let (mut gate, other) = (Gate::at(&server).await, Gate::at(&server).await);
    gate.commits(telling(making(1))).await;
    gate.store.close().await;
    let file = gate.dir.path().join("mirror/portcullis.db");
    let tables = Connection::open(file).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON feed WHEN NEW.revision = 3
                  BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    tables.execute_batch(refuse).unwrap();
    tables.close().unwrap();
    gate.reopen(&server.url()).await;
    other.reaches(1).await;
    other.commits(telling(making(2))).await;
    other.commits(telling(making(3))).await;
    gate.reaches(3).await;
    other.commits(telling(making(4))).await;
    gate.reaches(4).await;
    assert_eq!(gate.keys().await, other.keys().await);
    assert_eq!(gate.store.renewals(), 1);
}

/// From the first moment, not only once it is known to be empty.
#[tokio::test]
async fn nothing_is_lent_drawn_or_taken_in_a_store_that_is_not_this_one() {
    let mut server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(telling(making(1))).await;
    server.restart_empty();
    let draw = QuotaDraw {
        key: key_id(1),
        quota: "key-day".into(),
        span: Span {
            first_day: 0,
            end_day: 1,
        },
        limit: 100,
        need: 1,
        want: 1,
        charge: 0,
        back: 0,
        run: 1,
        received: 0,
        reached: 0,
    };
    clock::eventually("the gate is estranged", async || {
        let store = &gate.store;
        assert!(store.draw("gate-1", vec![draw.clone()]).await.is_err());
        let lent = store.settle(&"gate-1".into(), vec![call(1, 1, 1)]).await;
        assert!(lent.len() == 1 && lent[0].is_err());
        let job = "job".into();
        let taken = store.take_job(&job, "gate-1", None, Duration::from_secs(9));
        assert!(taken.await.is_err());
        (store.contact().state == ContactState::Estranged).then_some(())
    })
    .await;
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0);
}
