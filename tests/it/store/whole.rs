//! A store with something of everything in it, and all that is in one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use portcullis::domain::audit::checkpoint::Checkpoint;
use portcullis::domain::change::{Change, Revision, Write};
use portcullis::domain::draw::QuotaDraw;
use portcullis::domain::event::EventKind;
use portcullis::domain::owner::OwnerKind;
use portcullis::domain::period::Span;
use portcullis::domain::selector::Selector;
use portcullis::domain::time::Clock;
use portcullis::domain::usage::{Tally, UsageBatch, UsageRow};
use portcullis::store::embedded::EmbeddedStore;
use portcullis::store::node_key::NodeKey;
use portcullis::store::{Feed, Store};
use rusqlite::Connection;
use tempfile::{TempDir, tempdir};

use super::things::{
    HandClock, change, entry, event, key, key_id, keys, owner, policy, product, receipt, revoked,
    rotation_rule, token,
};

pub(super) fn nobody_looks(_: &'static str, _: u64, _: u64) {}

/// The key of a gate.
pub(super) fn signer(byte: u8) -> NodeKey {
    NodeKey::given(&[byte; 32]).unwrap()
}

/// A change with audit entries of numbers that no other has.
pub(super) fn told(expect: u64, writes: Vec<Write>) -> Change {
    let number = u32::try_from(expect).unwrap() + 1;
    Change {
        audit: vec![entry(2 * number), entry(2 * number + 1)],
        ..change(Revision(expect), writes)
    }
}

/// Fills a store with something of everything that a store keeps.
pub(super) async fn fill(store: &dyn Store, clock: &HandClock) -> Revision {
    let now = clock.now();
    let mut revision = Revision(0);
    let changes = [
        vec![
            Write::Owner(owner(1, OwnerKind::Team, "Billing")),
            Write::Token(token(1)),
        ],
        keys(1..=40),
        vec![Write::Key(revoked(key(7))), Write::Receipt(receipt(7, now))],
        vec![
            Write::Product(product(1, "starter")),
            Write::Policy(policy(1)),
            Write::RotationRule(rotation_rule(1, Selector::Product("starter".into()))),
        ],
        vec![
            Write::Event(event(1, EventKind::KeyRotated)),
            Write::Event(event(2, EventKind::KeyRevoked)),
        ],
    ];
    for writes in changes {
        revision = store.commit(told(revision.0, writes)).await.unwrap();
    }
    let head = store.audit_end().await.unwrap().head;
    let signer = signer(9);
    let text = Checkpoint::text(head, now, "gate-1");
    let checkpoint = Checkpoint {
        head,
        at: now,
        node: "gate-1".into(),
        public_key: signer.public(),
        signature: signer.sign(text.as_bytes()),
    };
    let signed = vec![Write::Checkpoint(checkpoint), Write::Key(key(41))];
    revision = store.commit(told(revision.0, signed)).await.unwrap();
    for (seq, number) in [(1, 3), (2, 4), (3, 3)] {
        let tally = Tally {
            requests: number,
            status: [0, number, 0, 0, 0],
            last_used_at: Some(now),
            ..Tally::default()
        };
        let row = |key: u32, route: &str| UsageRow {
            key: key_id(key),
            version: 1,
            route: route.into(),
            minute: u32::try_from(now.as_millis() / 60_000).unwrap(),
            tally: tally.clone(),
        };
        let batch = UsageBatch {
            node: "gate-1".into(),
            epoch: 1_700_000_000,
            seq,
            rows: vec![row(1, "a:b"), row(2, "orders")],
        };
        store.add_usage(Arc::new(batch)).await.unwrap();
    }
    let first_day = portcullis::domain::period::day(now);
    let drawn = |quota: &str, end_day: u32| QuotaDraw {
        key: key_id(3),
        quota: quota.into(),
        span: Span { first_day, end_day },
        limit: 100,
        need: 1,
        want: 8,
        charge: 0,
        back: 0,
        run: u64::MAX,
        received: 0,
        reached: 50,
    };
    let draws = vec![
        drawn("key-day", first_day + 1),
        drawn("key-total", Span::FOR_EVER),
    ];
    store.draw("gate-1", draws).await.unwrap();
    revision
}

/// All rows of a store in a directory that say something, in an order that does not depend on where it was.
pub(super) fn rows(directory: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let connection = Connection::open(directory.join("portcullis.db")).unwrap();
    let tables = [
        ("keys", "SELECT id, hex(record) FROM keys"),
        (
            "lists",
            "SELECT id, name, owner, env, standing, created_at, expires_at, used_at FROM key_list",
        ),
        (
            "hashes",
            "SELECT hex(digest), pepper, id FROM key_hash JOIN keys USING (seq)",
        ),
        (
            "products",
            "SELECT product, id FROM key_product JOIN keys USING (seq)",
        ),
        ("owners", "SELECT id, kind, name, hex(record) FROM owners"),
        (
            "tokens",
            "SELECT id, hex(digest), created_at, hex(record) FROM tokens",
        ),
        (
            "receipts",
            "SELECT hex(digest), at, hex(record) FROM receipts",
        ),
        ("rules", "SELECT kind, id, hex(record) FROM rules"),
        (
            "audit",
            "SELECT seq, id, timestamp, type, actor, code, request, key, version, owner, hex(hash),
                 hex(body), hex(veil) FROM audit",
        ),
        ("checkpoints", "SELECT seq, hex(record) FROM checkpoints"),
        (
            "events",
            "SELECT revision, at, id, timestamp, type, hex(record) FROM events",
        ),
        (
            "feed",
            "SELECT revision, hex(change), hex(record) FROM feed",
        ),
        ("hours", "SELECT * FROM usage_hour"),
        ("days", "SELECT * FROM usage_day"),
        ("batches", "SELECT hex(record) FROM usage_batch"),
        ("marks", "SELECT * FROM usage_mark"),
        ("uses", "SELECT * FROM last_used"),
        ("quotas", "SELECT * FROM quotas"),
        (
            "meta",
            "SELECT name, hex(value) FROM meta WHERE name <> 'last_change'",
        ),
    ];
    let read = |sql: &str| {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement
            .query_map([], |row| {
                let values = (0..columns).map(|at| format!("{:?}", row.get_ref(at).unwrap()));
                Ok(values.collect::<Vec<_>>().join(" "))
            })
            .unwrap();
        let mut rows: Vec<String> = rows.map(Result::unwrap).collect();
        rows.sort();
        rows
    };
    tables.map(|(name, sql)| (name, read(sql))).into()
}

/// A filled embedded store that nobody has open.
pub(super) async fn filled(clock: &Arc<HandClock>) -> TempDir {
    let dir = tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), clock.clone()).unwrap();
    fill(&store, clock).await;
    store.close().await;
    dir
}
