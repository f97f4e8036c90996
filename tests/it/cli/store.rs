//! `store …`: whole stores, from a terminal or a script, without any gate.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use portcullis::app::SystemClock;
use portcullis::domain::change::Revision;
use portcullis::store::Feed as _;
use portcullis::store::embedded::EmbeddedStore;
use portcullis::store::local::DataDir;

use super::canned::run;
use crate::store::things::{change, keys};
use crate::support::redis::RedisServer;

/// A configuration whose `data_dir` is `name` below `dir`.
fn config(dir: &Path, name: &str, store: &str) -> String {
    let path = dir.join(format!("{name}.yaml"));
    let text = format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\nadmin: {{ token: a-token-0123456789abcdef01234567 }}\n\
         data_dir: {}\n{store}upstreams: {{ api: {{ endpoints: [\"http://127.0.0.1:1\"] }} }}\n\
         routes: [{{ match: {{ path_prefix: / }}, upstream: api }}]\n",
        dir.join(name).display()
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn five_keys(data_dir: &Path) {
    let store = EmbeddedStore::open(data_dir, Arc::new(SystemClock::new())).unwrap();
    store
        .commit(change(Revision(0), keys(1..=5)))
        .await
        .unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_store_is_taken_into_a_file_and_restored_elsewhere_by_whoever_trusts_its_signer() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (config(dir.path(), "one", ""), config(dir.path(), "two", ""));
    five_keys(&dir.path().join("one")).await;
    let file = dir.path().join("snapshot");
    let file = file.to_str().unwrap();

    let words = [
        "store", "snapshot", "--config", &one, "--to", file, "--json",
    ];
    let told = run(&words, &[]).ends(0).json();
    assert_eq!(told["tables"]["keys"], 5, "{told}");
    assert_eq!(
        told["audit"],
        serde_json::json!({"valid": true, "entries": 1})
    );
    let signer = told["signed_by"].as_str().unwrap();

    let words = ["store", "restore", "--config", &two, "--from", file];
    let refused = run(&words, &[]).ends(1);
    let hint = format!("--signed-by {signer}");
    assert!(refused.stderr.contains(&hint), "{}", refused.stderr);
    let words = [&words[..], &["--signed-by", signer]].concat();
    let done = run(&words, &[]).ends(0);
    assert!(
        done.stdout.contains("1 entries, each as it was written"),
        "{}",
        done.stdout
    );
    let again = run(&words, &[]).ends(1);
    assert!(
        again.stderr.contains("nothing was changed"),
        "{}",
        again.stderr
    );
    assert!(!dir.path().join("two/carry.work/store").exists());
    let empty = config(dir.path(), "empty", "");
    let other = dir.path().join("none");
    let words = [
        "store",
        "snapshot",
        "--config",
        &empty,
        "--to",
        other.to_str().unwrap(),
    ];
    let none = run(&words, &[]).ends(1);
    assert!(none.stderr.contains("there is no store"), "{}", none.stderr);
    assert!(!other.exists());
}

#[tokio::test]
async fn a_store_moves_to_redis_and_back_but_not_under_a_running_gate() {
    let server = RedisServer::start();
    let dir = tempfile::tempdir().unwrap();
    let redis = format!("store: {{ redis: {{ urls: [\"{}\"] }} }}\n", server.url());
    let one = config(dir.path(), "one", "");
    let (shared, back) = (
        config(dir.path(), "shared", &redis),
        config(dir.path(), "back", ""),
    );
    five_keys(&dir.path().join("one")).await;
    let there = ["store", "migrate", "--from", &one, "--to", &shared];
    let gate = DataDir::open(&dir.path().join("one")).unwrap();

    let refused = run(&there, &[]).ends(1);
    assert!(
        refused.stderr.contains("in use by another gate"),
        "{}",
        refused.stderr
    );
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0);
    let file = dir.path().join("running");
    let words = [
        "store",
        "snapshot",
        "--config",
        &one,
        "--to",
        file.to_str().unwrap(),
    ];
    // Its key is not there yet: the gate makes it when it starts.
    run(&words, &[]).ends(1);
    portcullis::store::node_key::NodeKey::open(&gate).unwrap();
    run(&words, &[]).ends(0);
    drop(gate);
    let done = run(&there, &[]).ends(0);
    assert!(done.stdout.contains("migrated"), "{}", done.stdout);
    let refused = run(&there, &[]).ends(1);
    assert!(refused.stderr.contains("--replace"), "{}", refused.stderr);
    let words = [
        "store", "migrate", "--from", &shared, "--to", &back, "--json",
    ];
    let told = run(&words, &[]).ends(0).json();
    assert_eq!(
        (&told["tables"]["keys"], &told["revision"]),
        (&5.into(), &1.into()),
        "{told}"
    );
    let words = ["store", "restore", "--config", &back, "--from-mirror"];
    let refused = run(&words, &[]).ends(1);
    assert!(
        refused.stderr.contains("has no mirror"),
        "{}",
        refused.stderr
    );
}
