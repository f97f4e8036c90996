//! The audit log: entries come with their change, numbered and chained, and are found again.

use portcullis::domain::audit::chain::Head;
use portcullis::domain::audit::checkpoint::Checkpoint;
use portcullis::domain::audit::query::{AuditQuery, Kind};
use portcullis::domain::audit::{Action, AuditEntry, FieldChange, Outcome};
use portcullis::domain::change::{Change, ChangeId, Revision, Write};
use portcullis::store::Store;

use super::Backend;
use crate::store::things::{at, change, commit, entry, key, key_id, keys, owner_id};

async fn tell(store: &dyn Store, entries: Vec<AuditEntry>) -> Revision {
    let expect = store.revision().await.unwrap();
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    let change = Change {
        id: ChangeId(id),
        expect,
        writes: Vec::new(),
        audit: entries,
    };
    store.commit(change).await.unwrap()
}

/// The numbers in the ids of what is found, by pages of `limit`.
async fn found(store: &dyn Store, query: AuditQuery, limit: usize) -> Vec<u32> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.audit(&query, limit, after).await.unwrap();
        assert!(page.items.len() <= limit);
        for sealed in &page.items {
            let said = sealed.entry().unwrap();
            all.push(said.id.chars().parse().unwrap());
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

/// S4-08, S4-16
pub(crate) async fn audit_entries_are_chained_with_their_change(backend: &dyn Backend) {
    let store = backend.open().await;
    assert_eq!(store.audit_end().await.unwrap().head, Head::default());
    let first = change(Revision(0), keys([1]));
    store.commit(first.clone()).await.unwrap();
    // Sent again, it tells of nothing new; refused, of nothing at all.
    store.commit(first).await.unwrap();
    store
        .commit(change(Revision(0), keys([2])))
        .await
        .unwrap_err();
    tell(&*store, vec![entry(2), entry(3)]).await;

    let end = store.audit_end().await.unwrap();
    assert_eq!((end.head.seq, &end.checkpoint), (3, &None));
    let verdict = store.verify_audit().await.unwrap();
    assert_eq!(
        (verdict.entries, verdict.last, verdict.fault),
        (3, Some(3), None)
    );
    let page = store.audit(&AuditQuery::default(), 10, None).await.unwrap();
    let newest = &page.items[0];
    assert_eq!((newest.seq, newest.hash), (3, end.head.hash));
    assert_eq!(newest.entry().unwrap(), entry(3));
    let before = page.items[1].form().unwrap();
    assert_eq!(newest.form().unwrap()["previous_hash"], before["hash"]);
    store.close().await;

    let store = backend.open().await;
    assert_eq!(store.audit_end().await.unwrap(), end);
    commit(&*store, keys([5])).await;
    let verdict = store.verify_audit().await.unwrap();
    assert_eq!((verdict.entries, verdict.fault), (4, None));
}

/// S3-08, S3-16
pub(crate) async fn audit_entries_are_found_by_what_they_say(backend: &dyn Backend) {
    let store = backend.open().await;
    let make = |number: u32| {
        let mut made = entry(number);
        made.timestamp = at(1_000 + u64::from(number / 2));
        made.action = if number.is_multiple_of(2) {
            Action::KeyRotation
        } else {
            Action::KeyUpdate
        };
        made.key = Some(key_id(number % 3));
        made.key_version = Some(u16::try_from(number % 4).unwrap());
        made.owner = (number > 5).then(|| owner_id(number % 2));
        made.actor.id = format!("tok_000000000{}", number % 5);
        made.request_id = Some(format!("req_{number}"));
        if number.is_multiple_of(4) {
            made.outcome = Outcome::Refused(format!("code_{}", number % 8));
        }
        made
    };
    let all: Vec<AuditEntry> = (0..40).map(make).collect();
    for some in all.chunks(7) {
        tell(&*store, some.to_vec()).await;
    }
    type Says = Box<dyn Fn(&AuditEntry) -> bool>;
    let none = AuditQuery::default;
    let questions: Vec<(AuditQuery, Says)> = vec![
        (none(), Box::new(|_| true)),
        (
            AuditQuery {
                kind: Kind::Action(Action::KeyRotation),
                ..none()
            },
            Box::new(|it| it.action == Action::KeyRotation),
        ),
        (
            AuditQuery {
                kind: Kind::Request,
                ..none()
            },
            Box::new(|_| false),
        ),
        (
            AuditQuery {
                key: Some(key_id(1)),
                ..none()
            },
            Box::new(|it| it.key == Some(key_id(1))),
        ),
        (
            AuditQuery {
                key: Some(key_id(1)),
                key_version: Some(2),
                ..none()
            },
            Box::new(|it| it.key == Some(key_id(1)) && it.key_version == Some(2)),
        ),
        (
            AuditQuery {
                key_version: Some(2),
                from: Some(at(1_004)),
                ..none()
            },
            Box::new(|it| it.key_version == Some(2) && it.timestamp >= at(1_004)),
        ),
        (
            AuditQuery {
                owner: Some(owner_id(1)),
                until: Some(at(1_010)),
                ..none()
            },
            Box::new(|it| it.owner == Some(owner_id(1)) && it.timestamp < at(1_010)),
        ),
        (
            AuditQuery {
                actor: Some("tok_0000000003".into()),
                key_version: Some(1),
                ..none()
            },
            Box::new(|it| it.actor.id == "tok_0000000003" && it.key_version == Some(1)),
        ),
        (
            AuditQuery {
                code: Some("code_4".into()),
                ..none()
            },
            Box::new(|it| it.outcome == Outcome::Refused("code_4".into())),
        ),
        (
            AuditQuery {
                is_refused: Some(true),
                ..none()
            },
            Box::new(|it| it.outcome != Outcome::Done),
        ),
        (
            AuditQuery {
                is_refused: Some(false),
                kind: Kind::Action(Action::KeyRotation),
                ..none()
            },
            Box::new(|it| it.outcome == Outcome::Done && it.action == Action::KeyRotation),
        ),
        (
            AuditQuery {
                request_id: Some("req_7".into()),
                ..none()
            },
            Box::new(|it| it.request_id.as_deref() == Some("req_7")),
        ),
    ];
    for (query, says) in questions {
        let mut expected: Vec<&AuditEntry> = all.iter().filter(|it| says(it)).collect();
        expected.sort_by_key(|it| std::cmp::Reverse((it.timestamp, it.id.chars().to_owned())));
        let expected: Vec<u32> = expected
            .iter()
            .map(|it| it.id.chars().parse().unwrap())
            .collect();
        for limit in [1, 3, 100] {
            assert_eq!(
                found(&*store, query.clone(), limit).await,
                expected,
                "{query:?}"
            );
        }
    }
}

/// S4-16
pub(crate) async fn an_erased_owner_leaves_the_chain_whole(backend: &dyn Backend) {
    let store = backend.open().await;
    let named = |number: u32, owner: u32, actor: &str| {
        let mut made = entry(number);
        made.owner = Some(owner_id(owner));
        made.actor.id = actor.to_owned();
        made.reason = Some("Ann left".to_owned());
        made.changes.push(FieldChange {
            field: "name".into(),
            from: "Ann".into(),
            to: "Anne".into(),
        });
        made
    };
    let ann = owner_id(7);
    tell(
        &*store,
        vec![
            named(1, 7, "tok_0000000001"),
            named(2, 8, "tok_0000000001"),
            named(3, 8, &ann.to_string()),
        ],
    )
    .await;
    let mut erasing = change(store.revision().await.unwrap(), vec![Write::Erasure(ann)]);
    let mut erasure = named(4, 7, "tok_0000000001");
    erasure.action = Action::OwnerErasure;
    erasing.audit = vec![erasure];
    store.commit(erasing).await.unwrap();

    let check = async |store: &dyn Store| {
        let page = store.audit(&AuditQuery::default(), 10, None).await.unwrap();
        let told: Vec<_> = page
            .items
            .iter()
            .map(|sealed| {
                let said = sealed.entry().unwrap();
                let is_named = sealed.form_to_verify().unwrap().to_string().contains("Ann");
                assert_eq!(said.address.is_some(), is_named);
                assert!(!said.actor.id.is_empty());
                (said.id.chars().parse::<u32>().unwrap(), is_named)
            })
            .collect();
        assert_eq!(told, [(4, true), (3, false), (2, true), (1, false)]);
        assert_eq!(store.verify_audit().await.unwrap().fault, None);
    };
    check(&*store).await;
    store.close().await;
    check(&*backend.open().await).await;
}

pub(crate) async fn checkpoints_are_kept_in_order(backend: &dyn Backend) {
    let store = backend.open().await;
    let checkpoint = |seq: u64| Checkpoint {
        head: Head { seq, hash: [1; 32] },
        at: at(seq),
        node: "gate-1".into(),
        public_key: [2; 32],
        signature: [3; 64],
    };
    for seq in [2, 300, 1_000_000] {
        commit(
            &*store,
            vec![Write::Checkpoint(checkpoint(seq)), Write::Key(key(1))],
        )
        .await;
    }
    let last = store.audit_end().await.unwrap().checkpoint;
    assert_eq!(last, Some(checkpoint(1_000_000)));
    let some = store.checkpoints(3, 10).await.unwrap();
    assert_eq!(some, [checkpoint(300), checkpoint(1_000_000)]);
    assert_eq!(store.checkpoints(0, 1).await.unwrap(), [checkpoint(2)]);
    // The chain has not gone so far: nobody who holds no key can say it did.
    let fault = store.verify_audit().await.unwrap().fault.unwrap();
    assert_eq!((fault.seq, fault.kind.as_str()), (2, "forged"));
}
