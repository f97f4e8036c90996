//! Lists and searches: what is in them, in which order, page by page.

use std::sync::Arc;

use portcullis::domain::change::Write;
use portcullis::domain::key::{Key, KeyStatus, Standing};
use portcullis::domain::owner::OwnerKind;
use portcullis::domain::query::{KeyQuery, KeySort, Position, SortField};
use portcullis::domain::time::Timestamp;
use portcullis::domain::usage::{Tally, UsageBatch, UsageRow};
use portcullis::store::Store;

use super::Backend;
use crate::store::things::{at, commit, key, key_id, keys, owner, owner_id, receipt, token};

async fn list(store: &dyn Store, query: &KeyQuery, sort: KeySort, limit: usize) -> Vec<String> {
    let mut names = Vec::new();
    let mut after: Option<Position> = None;
    loop {
        let page = store.keys(query, sort, limit, after).await.unwrap();
        assert!(page.items.len() <= limit);
        names.extend(page.items.into_iter().map(|row| row.key.settings.name));
        after = page.next;
        if after.is_none() {
            return names;
        }
    }
}

async fn names(store: &dyn Store, query: &KeyQuery) -> Vec<String> {
    list(store, query, KeySort::default(), 100).await
}

fn named(number: u32, name: &str) -> Key {
    let mut key = key(number);
    key.settings.name = name.into();
    key
}

async fn use_at(store: &dyn Store, seq: u64, uses: &[(u32, u16, Timestamp)]) {
    let rows = uses.iter().map(|(number, version, at)| UsageRow {
        key: key_id(*number),
        version: *version,
        route: "r".into(),
        minute: 1,
        tally: Tally {
            requests: 1,
            last_used_at: Some(*at),
            ..Tally::default()
        },
    });
    let batch = UsageBatch {
        node: "uses".into(),
        epoch: 1,
        seq,
        rows: rows.collect(),
    };
    store.add_usage(Arc::new(batch)).await.unwrap();
}

pub(crate) async fn every_filter_finds_its_keys_and_no_others(backend: &dyn Backend) {
    let store = backend.open().await;
    let now = at(10_000);
    let mut all = vec![named(1, "plain")];
    let mut suspended = named(2, "suspended");
    suspended.standing = Standing::Suspended { at: at(5) };
    let mut revoked = named(3, "revoked");
    revoked.standing = Standing::Revoked { at: at(5) };
    revoked.settings.expires_at = Some(at(1));
    let mut expired = named(4, "expired");
    expired.settings.expires_at = Some(now);
    let mut expiring = named(5, "expiring");
    expiring.settings.expires_at = Some(at(10_001));
    let mut both = named(6, "suspended and expired");
    both.standing = suspended.standing;
    both.settings.expires_at = Some(at(9_999));
    let mut tagged = named(7, "tagged");
    tagged.owner = owner_id(2);
    tagged.env = "test".into();
    // Named twice, found once.
    tagged.settings.products = vec!["starter".into(), "pro".into(), "pro".into()];
    tagged.settings.labels = [("team".into(), "a".into()), ("tier".into(), "".into())].into();
    let mut other = named(8, "other");
    other.settings.labels = [("team".into(), "b".into())].into();
    all.extend([suspended, revoked, expired, expiring, both, tagged, other]);
    commit(&*store, all.into_iter().map(Write::Key).collect()).await;
    use_at(&*store, 1, &[(1, 1, at(9_000)), (2, 1, at(8_999))]).await;

    let any = || KeyQuery {
        now,
        ..KeyQuery::default()
    };
    let in_status = |status| KeyQuery {
        status: Some(status),
        ..any()
    };
    let with_label = |label: &str, value: Option<&str>| KeyQuery {
        label: Some((label.into(), value.map(Into::into))),
        ..any()
    };
    let stale = |is_stale| KeyQuery {
        stale: Some((at(9_000), is_stale)),
        ..any()
    };
    let of_product = |product: &str| KeyQuery {
        product: Some(product.into()),
        ..any()
    };
    let of_owner = |number| KeyQuery {
        owner: Some(owner_id(number)),
        ..any()
    };
    let of_env = |env: &str| KeyQuery {
        env: Some(env.into()),
        ..any()
    };
    for (query, expected) in [
        (
            in_status(KeyStatus::Active),
            vec!["plain", "expiring", "tagged", "other"],
        ),
        (in_status(KeyStatus::Suspended), vec!["suspended"]),
        (
            in_status(KeyStatus::Expired),
            vec!["expired", "suspended and expired"],
        ),
        (in_status(KeyStatus::Revoked), vec!["revoked"]),
        (of_owner(2), vec!["tagged"]),
        (of_owner(3), vec![]),
        (of_env("test"), vec!["tagged"]),
        (of_product("pro"), vec!["tagged"]),
        (of_product("pr"), vec![]),
        (with_label("team", None), vec!["tagged", "other"]),
        (with_label("team", Some("b")), vec!["other"]),
        (with_label("tier", Some("")), vec!["tagged"]),
        (with_label("team", Some("")), vec![]),
        (stale(false), vec!["plain"]),
        (
            KeyQuery {
                status: Some(KeyStatus::Active),
                name: Some("AG".into()),
                ..of_owner(2)
            },
            vec!["tagged"],
        ),
        (
            KeyQuery {
                status: Some(KeyStatus::Revoked),
                ..of_owner(2)
            },
            vec![],
        ),
    ] {
        assert_eq!(names(&*store, &query).await, expected, "{query:?}");
    }
    // Never used counts from when it was made.
    assert_eq!(names(&*store, &stale(true)).await.len(), 7);
    assert_eq!(names(&*store, &any()).await.len(), 8);
}

pub(crate) async fn names_are_searched_as_they_are_and_in_any_case(backend: &dyn Backend) {
    let store = backend.open().await;
    let all = [
        "100% \\ done",
        "1000 done",
        "a_b",
        "axb",
        "ÜBER-Key",
        "o'neil",
        "say \"hi\" AND go",
    ];
    let writes = (1..)
        .zip(all)
        .map(|(number, name)| Write::Key(named(number, name)));
    commit(&*store, writes.collect()).await;
    for (name, expected) in [
        ("0%", vec!["100% \\ done"]),
        ("A_B", vec!["a_b"]),
        ("\\", vec!["100% \\ done"]),
        ("über", vec!["ÜBER-Key"]),
        ("O'", vec!["o'neil"]),
        ("DONE", vec!["100% \\ done", "1000 done"]),
        ("", all.to_vec()),
        ("nobody", vec![]),
        ("\"Hi\" and", vec!["say \"hi\" AND go"]),
        ("hi\"", vec!["say \"hi\" AND go"]),
        // Each part of three is there, and it is not.
        ("100000", vec![]),
        ("ber-key\0", vec![]),
    ] {
        assert_eq!(names(&*store, &part(name)).await, expected, "{name}");
    }

    commit(&*store, vec![Write::Key(named(5, "under-Key"))]).await;
    assert_eq!(names(&*store, &part("über")).await, Vec::<&str>::new());
    assert_eq!(names(&*store, &part("nder-k")).await, ["under-Key"]);
}

fn part(name: &str) -> KeyQuery {
    KeyQuery {
        name: Some(name.into()),
        ..KeyQuery::default()
    }
}

const SORTS: [SortField; 3] = [SortField::CreatedAt, SortField::Name, SortField::LastUsedAt];

pub(crate) async fn every_order_is_total_and_pages_divide_it(backend: &dyn Backend) {
    let store = backend.open().await;
    let all: Vec<Key> = (0..23)
        .map(|number| {
            // Many alike, so that only the id decides; and case must not.
            let mut key = named(
                number,
                ["Beta", "alpha", "beta", "ALPHA"][number as usize % 4],
            );
            key.created_at = at(u64::from(number % 3));
            key
        })
        .collect();
    commit(&*store, all.iter().cloned().map(Write::Key).collect()).await;
    let used = |number: u32| {
        number
            .is_multiple_of(2)
            .then(|| at(u64::from(number % 5) + 1))
    };
    let uses: Vec<_> = (0..23).filter_map(|at| Some((at, 1, used(at)?))).collect();
    use_at(&*store, 1, &uses).await;

    for by in SORTS {
        let mut expected: Vec<u32> = (0..23).collect();
        expected.sort_by_key(|number| match by {
            SortField::CreatedAt => (u64::from(number % 3), String::new(), *number),
            SortField::LastUsedAt => {
                let used = used(*number).unwrap_or_default();
                (used.as_millis(), String::new(), *number)
            }
            SortField::Name => {
                let name = &all[*number as usize].settings.name;
                (0, name.to_lowercase(), *number)
            }
        });
        for descending in [false, true] {
            for limit in [1, 4, 22, 23, 24] {
                let mut found = Vec::new();
                let mut after = None;
                let mut pages = 0_usize;
                loop {
                    let sort = KeySort { by, descending };
                    let page = store
                        .keys(&KeyQuery::default(), sort, limit, after)
                        .await
                        .unwrap();
                    pages += 1;
                    found.extend(page.items.iter().map(|row| row.key.id));
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                assert_eq!(pages, 23_usize.div_ceil(limit), "{by:?} by {limit}");
                let expected = expected.iter().copied().map(key_id);
                if descending {
                    assert_eq!(
                        found,
                        expected.rev().collect::<Vec<_>>(),
                        "-{by:?} by {limit}"
                    );
                } else {
                    assert_eq!(found, expected.collect::<Vec<_>>(), "{by:?} by {limit}");
                }
            }
        }
    }
}

/// However a store finds them: by what is rare, or by walking past what is not.
pub(crate) async fn rare_and_common_conditions_find_the_same(backend: &dyn Backend) {
    let store = backend.open().await;
    let make = |number: u32| {
        let mut key = named(
            number,
            if number.is_multiple_of(100) {
                "rare one"
            } else {
                "common one"
            },
        );
        if !number.is_multiple_of(7) {
            key.settings.products = vec!["common".into()];
            key.settings.labels = [("common".into(), "yes".into())].into();
            key.standing = Standing::Revoked { at: at(1) };
            key.settings.expires_at = Some(at(1));
        }
        if number.is_multiple_of(100) {
            key.settings.products.push("rare".into());
            key.settings.labels.insert("rare".into(), "yes".into());
            key.owner = owner_id(2);
        }
        key
    };
    for from in (0..7_000).step_by(500) {
        let writes = (from..from + 500).map(|number| Write::Key(make(number)));
        commit(&*store, writes.collect()).await;
    }
    for (status, owner, product, label, name) in [
        (None, None, Some("common"), None, None),
        (None, None, Some("rare"), Some("common"), None),
        (
            Some(KeyStatus::Revoked),
            None,
            None,
            Some("rare"),
            Some("rare"),
        ),
        (
            Some(KeyStatus::Revoked),
            Some(2),
            Some("common"),
            None,
            Some("one"),
        ),
        (Some(KeyStatus::Expired), Some(1), None, None, None),
        (Some(KeyStatus::Active), Some(1), None, None, None),
        (None, Some(2), None, Some("common"), None),
        (None, None, None, None, Some("rare")),
        (None, None, None, None, Some("common")),
        (Some(KeyStatus::Active), None, None, None, Some("common")),
    ] {
        let query = KeyQuery {
            status,
            owner: owner.map(owner_id),
            product: product.map(Into::into),
            label: label.map(|label: &str| (label.into(), Some("yes".into()))),
            name: name.map(Into::into),
            now: at(10_000),
            ..KeyQuery::default()
        };
        let is_asked_for = |key: &Key| {
            status.is_none_or(|status| key.status(query.now) == status)
                && query.owner.is_none_or(|owner| key.owner == owner)
                && product.is_none_or(|name| key.settings.products.iter().any(|has| has == name))
                && label.is_none_or(|label| key.settings.labels.contains_key(label))
                && name.is_none_or(|name| key.settings.name.contains(name))
        };
        let expected: Vec<_> = (0..7_000)
            .map(make)
            .filter(is_asked_for)
            .map(|key| key.id)
            .collect();
        for (by, descending) in SORTS.into_iter().zip([true, false, true]) {
            let sort = KeySort { by, descending };
            let mut found = Vec::new();
            let mut after = None;
            loop {
                let page = store.keys(&query, sort, 900, after).await.unwrap();
                found.extend(page.items.into_iter().map(|row| row.key.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            found.sort_unstable();
            assert_eq!(found, expected, "{query:?} {sort:?}");
        }
    }
}

pub(crate) async fn pages_go_on_where_they_were_whatever_is_made_in_between(backend: &dyn Backend) {
    let store = backend.open().await;
    commit(&*store, keys((10..100).step_by(10))).await;
    let sort = KeySort::default();
    let any = KeyQuery::default();
    let first = store.keys(&any, sort, 4, None).await.unwrap();
    assert_eq!(first.items.last().map(|row| row.key.id), Some(key_id(40)));

    // One before the place, one after it.
    commit(&*store, keys([15, 45])).await;

    let second = store.keys(&any, sort, 4, first.next).await.unwrap();
    let found: Vec<_> = second.items.iter().map(|row| row.key.id).collect();
    assert_eq!(found, [45, 50, 60, 70].map(key_id));
}

pub(crate) async fn owners_are_found_by_kind_and_name_in_any_case(backend: &dyn Backend) {
    let store = backend.open().await;
    let ann = owner(1, OwnerKind::User, "Ann");
    let team = owner(2, OwnerKind::Team, "ANN");
    let zoe = owner(3, OwnerKind::User, "zoë");
    let writes = [&ann, &team, &zoe].map(|owner| Write::Owner(owner.clone()));
    commit(&*store, writes.to_vec()).await;

    let found = store.owner_named(OwnerKind::User, "aNN").await.unwrap();
    assert_eq!(found, Some(ann.clone()));
    let found = store.owner_named(OwnerKind::Team, "ann").await.unwrap();
    assert_eq!(found, Some(team.clone()));
    assert_eq!(
        store.owner_named(OwnerKind::User, "ZOË").await.unwrap(),
        Some(zoe.clone())
    );
    let found = store.owner_named(OwnerKind::System, "ann").await.unwrap();
    assert_eq!(found, None);

    let first = store.owners(None, 2, None).await.unwrap();
    assert_eq!(first.items, [ann.clone(), team.clone()]);
    let second = store.owners(None, 2, first.next).await.unwrap();
    assert_eq!((second.items, second.next), (vec![zoe.clone()], None));
    let found = store.owners(Some("Nn"), 10, None).await.unwrap();
    assert_eq!(found.items, [ann.clone(), team]);

    let renamed = owner(1, OwnerKind::User, "Anna");
    commit(&*store, vec![Write::Owner(renamed.clone())]).await;
    let found = store.owner_named(OwnerKind::User, "ann").await.unwrap();
    assert_eq!(found, None);
    assert_eq!(store.owner(ann.id).await.unwrap(), Some(renamed));
}

pub(crate) async fn tokens_are_found_by_their_digest(backend: &dyn Backend) {
    let store = backend.open().await;
    commit(
        &*store,
        (1..=3).map(|number| Write::Token(token(number))).collect(),
    )
    .await;
    let found = store.token_by_digest(token(2).digest).await.unwrap();
    assert_eq!(found, Some(token(2)));
    assert_eq!(store.token_by_digest([0; 32]).await.unwrap(), None);

    let first = store.tokens(2, None).await.unwrap();
    assert_eq!(first.items, [token(1), token(2)]);
    let second = store.tokens(2, first.next).await.unwrap();
    assert_eq!((second.items, second.next), (vec![token(3)], None));

    let mut ended = token(2);
    ended.revoked_at = Some(at(5));
    commit(&*store, vec![Write::Token(ended.clone())]).await;
    let found = store.token_by_digest(token(2).digest).await.unwrap();
    assert_eq!(found, Some(ended));
}

pub(crate) async fn receipts_are_found_by_their_digest(backend: &dyn Backend) {
    let store = backend.open().await;
    let receipt = receipt(1, backend.now());
    commit(&*store, vec![Write::Receipt(receipt.clone())]).await;
    assert_eq!(store.receipt([0; 32]).await.unwrap(), None);
    let found = store.receipt(receipt.digest).await.unwrap();
    assert_eq!(found, Some(receipt));
}
