//! What lies where the store should be: made whole, or refused and left as it is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use portcullis::domain::change::Revision;
use portcullis::store::{Feed, KeyStore, StoreError};

use super::embedded::Embedded;
use super::things::{commit, key, key_id, keys};

/// Every file below `path` with its bytes.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(path)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// A closed store with some keys.
async fn filled() -> Embedded {
    let place = Embedded::new();
    let store = place.open();
    for from in (0..2_000).step_by(500) {
        commit(&store, keys(from..from + 500)).await;
    }
    store.close().await;
    place
}

/// That opening is refused with `reason`, and that nothing is different afterwards.
fn refuses(place: &Embedded, reason: &str) {
    let before = contents(place.path());
    match place.try_open() {
        Err(StoreError::Unusable {
            place: named,
            reason: found,
        }) => {
            assert!(named.ends_with("portcullis.db"), "{named}");
            assert!(found.contains(reason), "{found:?}, not {reason:?}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened, though {reason}"),
    }
    let after = contents(place.path());
    assert!(before == after, "files were touched: {:?}", after.keys());
}

fn rewrite(place: &Embedded, edit: impl FnOnce(&mut Vec<u8>)) {
    let path = place.path().join("portcullis.db");
    let mut bytes = fs::read(&path).unwrap();
    edit(&mut bytes);
    fs::write(&path, bytes).unwrap();
}

#[tokio::test]
async fn a_store_is_one_file_that_only_its_owner_reads() {
    let place = Embedded::new();
    let path = place.path().join("below").join("store");
    let store =
        portcullis::store::embedded::EmbeddedStore::open(&path, super::things::HandClock::new())
            .unwrap();
    commit(&store, keys([1])).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for name in contents(&path).keys() {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    store.close().await;
    assert_eq!(
        contents(&path).into_keys().collect::<Vec<_>>(),
        ["portcullis.db"]
    );
}

#[tokio::test]
async fn a_foreign_database_is_refused() {
    let place = Embedded::new();
    let sql = place.sql();
    sql.execute_batch("PRAGMA user_version = 1; CREATE TABLE notes (text)")
        .unwrap();
    sql.close().unwrap();
    refuses(&place, "another application");
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let place = Embedded::new();
    let path = place.path().join("portcullis.db");
    fs::write(&path, vec![b'x'; 10_000]).unwrap();
    refuses(&place, "no SQLite file");
    fs::write(&path, "").unwrap();
    refuses(&place, "cut short, to 0 bytes");
}

#[tokio::test]
async fn a_newer_store_is_refused() {
    let place = filled().await;
    rewrite(&place, |bytes| {
        bytes[60..64].copy_from_slice(&99_u32.to_be_bytes())
    });
    refuses(
        &place,
        "it has format 99, and this binary knows formats up to ",
    );
}

/// As when a newer binary was killed before its log was folded into the file.
#[tokio::test]
async fn a_store_whose_log_is_newer_is_refused() {
    let place = filled().await;
    let sql = place.sql();
    sql.execute_batch("PRAGMA user_version = 99").unwrap();
    let log = place.path().join("portcullis.db-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0);
    let before = (fs::read(place.path().join("portcullis.db")), fs::read(&log));

    let refused = place.try_open().map(drop).unwrap_err().to_string();

    assert!(refused.contains("it has format 99"), "{refused}");
    let after = (fs::read(place.path().join("portcullis.db")), fs::read(&log));
    assert_eq!(before.0.unwrap(), after.0.unwrap());
    assert_eq!(before.1.unwrap(), after.1.unwrap());
}

#[tokio::test]
async fn a_store_that_was_cut_short_is_refused() {
    let place = filled().await;
    let whole = fs::metadata(place.path().join("portcullis.db"))
        .unwrap()
        .len() as usize;
    for length in [whole - 1, whole - 4_096, whole / 2, 4_096, 100, 99, 1] {
        rewrite(&place, |bytes| bytes.truncate(length));
        refuses(&place, "cut short");
    }
}

#[tokio::test]
async fn a_damaged_store_is_refused() {
    let place = filled().await;
    rewrite(&place, |bytes| bytes[100..4_096].fill(0xA5));
    refuses(&place, "damaged");
}

#[tokio::test]
async fn damage_far_from_the_beginning_is_found() {
    let place = filled().await;
    rewrite(&place, |bytes| {
        let pages = bytes.len() / 4_096;
        for page in (pages / 2)..(pages / 2 + 8) {
            bytes[page * 4_096..page * 4_096 + 64].fill(0xA5);
        }
    });
    refuses(&place, "damaged");
}

#[tokio::test]
async fn a_log_without_its_store_is_not_played_into_a_new_one() {
    let place = Embedded::new();
    fs::write(place.path().join("portcullis.db-wal"), "log").unwrap();
    refuses(&place, "its log is still there");
}

#[tokio::test]
async fn what_a_killed_gate_left_half_made_is_made_again() {
    let place = Embedded::new();
    fs::write(place.path().join("portcullis.db.new"), "half").unwrap();
    fs::write(place.path().join("portcullis.db.new-journal"), "half").unwrap();
    let store = place.open();
    assert_eq!(commit(&store, keys([1])).await, Revision(1));
    store.close().await;
    assert_eq!(contents(place.path()).len(), 1);
}

/// As after `kill -9`: nothing was closed, and the log holds what was acknowledged.
#[tokio::test]
async fn a_store_that_was_not_closed_opens_with_all_that_was_acknowledged() {
    let place = Embedded::new();
    let store = place.open();
    commit(&store, keys([1])).await;
    let copy = Embedded::new();
    for (name, bytes) in contents(place.path()) {
        if !name.ends_with("-shm") {
            fs::write(copy.path().join(name), bytes).unwrap();
        }
    }
    let opened = copy.open();
    assert_eq!(opened.key(key_id(1)).await.unwrap(), Some(key(1)));
    assert_eq!(opened.revision().await.unwrap(), Revision(1));
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let place = Embedded::new();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = portcullis::store::embedded::EmbeddedStore::open(
        &file.join("below"),
        super::things::HandClock::new(),
    );
    let refused = refused.map(drop).unwrap_err().to_string();
    assert!(refused.contains("file/below cannot be opened"), "{refused}");
}
