//! The file of tombstones: torn, tampered with, full, and read again.

use super::line::words;
use super::*;
use crate::domain::audit::{Action, Actor, AuditEntry, Outcome};
use crate::domain::id::{AuditId, KeyId, OwnerId};
use crate::domain::secret::Fingerprint;

fn node_key() -> NodeKey {
    NodeKey::given(&[7; 32]).unwrap()
}

fn open(folder: &Path) -> Tombstones {
    Tombstones::open(folder, &node_key(), at(9_000)).unwrap()
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn key(byte: u8) -> Ended {
    Ended::Key(KeyId::from_random([byte; 10]))
}

fn ended(what: Ended, ms: u64) -> Tombstone {
    Tombstone {
        what,
        at: at(ms),
        revision: Some(Revision(ms)),
    }
}

fn owed(byte: u8) -> Owed {
    Owed {
        change: Change {
            id: ChangeId([byte; 16]),
            expect: Revision(4),
            writes: Vec::new(),
            audit: vec![AuditEntry {
                id: AuditId::from_random([byte; 10]),
                timestamp: at(5_000),
                action: Action::KeyRevocation,
                outcome: Outcome::Done,
                actor: Actor {
                    kind: "token".into(),
                    id: "tok_0".into(),
                    name: "ci".into(),
                },
                address: None,
                request_id: None,
                reason: Some("left".into()),
                key: None,
                key_version: None,
                owner: None,
                changes: Vec::new(),
                rotation: None,
            }],
        },
        incarnation: [1; 16],
        since: Revision(4),
        kind: OwedKind::Held,
    }
}

fn all(tombstones: &Tombstones) -> Vec<Tombstone> {
    let mut all: Vec<_> = tombstones.graves(|graves| graves.iter().copied().collect());
    all.sort_by_key(|it| it.what);
    all
}

#[tokio::test]
async fn what_was_noted_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let version = Ended::Version {
        key: KeyId::from_random([2; 10]),
        number: 3,
        fingerprint: Fingerprint::from_bytes([9; 6]),
    };
    let owner = Ended::Owner(OwnerId::from_random([3; 10]));
    let first = open(folder.path());
    let noted = vec![ended(key(1), 1), ended(version, 2), ended(owner, 3)];
    first.note(noted.clone(), Vec::new()).await.unwrap();
    first.note(noted, Vec::new()).await.unwrap();
    first.note(Vec::new(), vec![owner]).await.unwrap();
    first.owe(vec![owed(1), owed(2)], Vec::new()).await.unwrap();
    first.settle(vec![ChangeId([1; 16])]).await.unwrap();

    let again = open(folder.path());
    assert_eq!(all(&again), [ended(key(1), 1), ended(version, 2)]);
    assert_eq!(again.owed(), [owed(2)]);
    assert_eq!(again.damage(), None);
}

/// A store that loses more of a history lacks what was owed since then, too.
#[tokio::test]
async fn what_is_owed_of_a_history_is_owed_since_the_two_last_had_it_in_common() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let other = Owed {
        incarnation: [2; 16],
        ..owed(3)
    };
    first
        .owe(vec![owed(1), other.clone()], Vec::new())
        .await
        .unwrap();
    first.part([1; 16], Revision(5)).await.unwrap();
    assert_eq!(first.owed(), [owed(1), other.clone()]);
    first.part([1; 16], Revision(2)).await.unwrap();
    let since = Revision(2);
    let now = [Owed { since, ..owed(1) }, other];
    assert_eq!(first.owed(), now);
    assert_eq!(open(folder.path()).owed(), now);
}

/// A crash leaves half a line: it was never answered for, and what is written next is whole.
#[tokio::test]
async fn half_a_line_is_forgotten_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    let first = open(folder.path());
    first
        .note(vec![ended(key(1), 1)], Vec::new())
        .await
        .unwrap();
    let whole = fs::read(&path).unwrap();
    first
        .note(vec![ended(key(2), 2)], Vec::new())
        .await
        .unwrap();
    let longer = fs::read(&path).unwrap();
    for cut in whole.len() + 1..longer.len() {
        fs::write(&path, &longer[..cut]).unwrap();
        let again = open(folder.path());
        assert_eq!(all(&again), [ended(key(1), 1)]);
        assert_eq!(again.damage(), None);
        again
            .note(vec![ended(key(3), 3)], Vec::new())
            .await
            .unwrap();
        assert_eq!(all(&open(folder.path())).len(), 2);
    }
}

/// Whoever can write the file but does not have the gate's key neither ends anything nor brings it back
/// unnoticed; and the gate does not stop.
#[tokio::test]
async fn what_was_tampered_with_is_set_aside_and_the_rest_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    let first = open(folder.path());
    for byte in 1..=3 {
        let noted = vec![ended(key(byte), byte.into())];
        first.note(noted, Vec::new()).await.unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let forged = lines[1].replace(&words(&key(2)).1, &words(&key(4)).1);
    for (tampered, holds) in [
        ([lines[0], &forged, lines[2]].join("\n"), vec![1, 3]),
        ([lines[0], lines[2]].join("\n"), vec![1, 3]),
        ([lines[0], "garbage", lines[2]].join("\n"), vec![1, 3]),
        ([lines[1], lines[0], lines[2]].join("\n"), vec![1, 2, 3]),
    ] {
        fs::write(&path, tampered + "\n").unwrap();
        let again = open(folder.path());
        assert!(again.damage().is_some());
        let holds: Vec<_> = holds.into_iter().map(key).collect();
        assert_eq!(
            all(&again).iter().map(|it| it.what).collect::<Vec<_>>(),
            holds
        );
        let aside = fs::read_dir(folder.path()).unwrap();
        let aside = aside.filter(|it| {
            let name = it.as_ref().unwrap().file_name();
            name.to_string_lossy().contains("damaged")
        });
        assert_eq!(aside.count(), 1);
        // What is left is a file in order.
        assert_eq!(open(folder.path()).damage(), None);
    }
}

/// A gate that finds a damaged file and cannot write a new one does not start; what was sound of the old one is
/// there when it can.
#[tokio::test]
async fn a_damaged_file_is_there_until_a_new_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    let first = open(folder.path());
    for byte in 1..=2 {
        let noted = vec![ended(key(byte), byte.into())];
        first.note(noted, Vec::new()).await.unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + "garbage\n").unwrap();
    // A folder in the place of the new file: writing fails, whoever asks.
    let unfinished = folder.path().join(format!("{NAME}.new"));
    fs::create_dir(&unfinished).unwrap();
    assert!(Tombstones::open(folder.path(), &node_key(), at(9_000)).is_err());
    fs::remove_dir(&unfinished).unwrap();
    let again = open(folder.path());
    assert_eq!(all(&again).len(), 2);
    assert!(again.damage().is_some());
}

#[tokio::test]
async fn a_file_of_another_gate_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    first
        .note(vec![ended(key(1), 1)], Vec::new())
        .await
        .unwrap();
    let other = NodeKey::given(&[8; 32]).unwrap();
    let again = Tombstones::open(folder.path(), &other, at(9_000)).unwrap();
    assert!(all(&again).is_empty());
    assert!(again.damage().is_some());
}

/// What could not be written is not known; and when there is room again, all goes on.
#[tokio::test]
async fn what_the_disk_does_not_take_is_not_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    let first = open(folder.path());
    // A folder in the place of the file: writing fails, whoever asks.
    fs::create_dir(&path).unwrap();
    let refused = first.owe(vec![owed(1)], vec![ended(key(1), 1)]).await;
    assert!(
        matches!(refused, Err(StoreError::Full { .. })),
        "{refused:?}"
    );
    assert!(all(&first).is_empty() && first.owed().is_empty());
    fs::remove_dir(&path).unwrap();
    first
        .owe(vec![owed(1)], vec![ended(key(1), 1)])
        .await
        .unwrap();
    let again = open(folder.path());
    assert_eq!((all(&again).len(), again.owed().len()), (1, 1));
}

/// A week is longer than a backup is old that is put back in haste; what the store lacks is kept for ever.
#[tokio::test]
async fn only_what_is_old_and_shown_by_the_store_is_let_go_of() {
    let folder = tempfile::tempdir().unwrap();
    let week = u64::try_from(Tombstones::KEPT.as_millis()).unwrap();
    let id =
        |number: u64| Ended::Key(KeyId::from_chars(format!("{number:010}").as_bytes()).unwrap());
    let many = 2 * SMALL as u64;
    let first = open(folder.path());
    let old = (0..many).map(|number| ended(id(number), 1_000));
    first.note(old.collect(), Vec::new()).await.unwrap();
    let young = ended(id(many), 1_001);
    first.note(vec![young], Vec::new()).await.unwrap();
    first.owe(vec![owed(1)], Vec::new()).await.unwrap();

    // All but the first are shown.
    let shown: Vec<_> = (1..=many).map(id).collect();
    first.compact(shown, at(week + 1_001)).await.unwrap();
    for tombstones in [first, open(folder.path())] {
        assert_eq!(all(&tombstones), [ended(id(0), 1_000), young]);
        assert_eq!(tombstones.owed().len(), 1);
        assert_eq!(tombstones.damage(), None);
    }
}
