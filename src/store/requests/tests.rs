//! That what is written is found, signed when it is closed, and gone when it is old.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Kept, RequestLog};
use crate::domain::audit::query::AuditQuery;
use crate::domain::audit::query::Kind;
use crate::domain::audit::request::RequestEntry;
use crate::domain::audit::{Action, checkpoint};
use crate::domain::id::{AuditId, KeyId, OwnerId};
use crate::domain::permission::Method;
use crate::domain::query::Page;
use crate::domain::time::Reading;
use crate::domain::time::{Clock, Timestamp};
use crate::store::local::DataDir;
use crate::store::node_key::NodeKey;

struct Hand(AtomicU64);

impl Clock for Hand {
    fn read(&self) -> Reading {
        let ms = self.0.load(Ordering::Relaxed);
        Reading {
            wall: Timestamp::from_millis(ms),
            mono_ns: ms * 1_000_000,
        }
    }
}

struct Place {
    root: tempfile::TempDir,
    clock: Arc<Hand>,
    key: Arc<NodeKey>,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let key = NodeKey::open(&DataDir::open(root.path()).unwrap()).unwrap();
        Self {
            root,
            clock: Arc::new(Hand(AtomicU64::new(1_000))),
            key: Arc::new(key),
        }
    }

    fn open(&self, kept: Kept) -> RequestLog {
        RequestLog::open(
            &self.root.path().join("requests"),
            "gate-1".into(),
            Arc::clone(&self.key),
            self.clock.clone(),
            kept,
        )
        .unwrap()
    }

    fn files(&self, suffix: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.root.path().join("requests"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.to_str().unwrap().ends_with(suffix))
            .collect();
        files.sort();
        files
    }
}

const KEPT: Kept = Kept {
    age: Duration::from_secs(7 * 86_400),
    bytes: 1 << 30,
};

fn entry(number: u64, at: u64) -> RequestEntry {
    RequestEntry {
        id: AuditId::from_chars(format!("{number:010}").as_bytes()).unwrap(),
        timestamp: Timestamp::from_millis(at),
        code: Some("key_retired".into()),
        key: Some(KeyId::from_random([1; 10])),
        key_version: Some(3),
        owner: Some(OwnerId::from_random([2; 10])),
        route: Some("orders".into()),
        method: Some(Method::Get),
        path: Some("/v1/orders".into()),
        status: 401,
        address: Some([203, 0, 113, 7].into()),
        request_id: Some(format!("req_{number}")),
        node: "gate-1".into(),
        count: 1,
        until: None,
    }
}

fn ids(page: &Page<RequestEntry>) -> Vec<u64> {
    let items = page.items.iter();
    items.map(|it| it.id.chars().parse().unwrap()).collect()
}

#[test]
fn an_entry_is_read_as_it_was_written() {
    let place = Place::new();
    let log = place.open(KEPT);
    let mut folded = entry(2, 7);
    folded.count = 400;
    folded.until = Some(Timestamp::from_millis(900));
    (folded.path, folded.request_id, folded.address) = (None, None, None);
    folded.key = None;
    folded.code = None;
    let all = [entry(1, 5), folded];
    log.write(&all).unwrap();
    let page = log.find(&AuditQuery::default(), 10, None).unwrap();
    assert_eq!(page.items, [all[1].clone(), all[0].clone()]);
    assert_eq!(page.next, None);
    // Also after the gate was started anew, and while nothing has come since.
    log.close();
    let log = place.open(KEPT);
    let page = log.find(&AuditQuery::default(), 10, None).unwrap();
    assert_eq!(ids(&page), [2, 1]);
    log.write(&[entry(3, 9)]).unwrap();
    assert_eq!(place.files(".db").len(), 1);
}

/// S1-10, S3-08
#[test]
fn requests_are_found_by_key_version_time_and_code() {
    let place = Place::new();
    let log = place.open(KEPT);
    let all: Vec<RequestEntry> = (0..60)
        .map(|number| {
            let mut it = entry(number, 1_000 + number / 2);
            it.key = (number % 5 != 0).then(|| KeyId::from_random([(number % 3) as u8; 10]));
            it.key_version = it.key.map(|_| (number % 4) as u16);
            it.owner = (number % 2 == 0).then(|| OwnerId::from_random([2; 10]));
            it.code = (number % 7 == 0).then(|| "key_revoked".to_owned());
            it
        })
        .collect();
    // Not in order: a request is written when it ends.
    log.write(&all[30..]).unwrap();
    log.write(&all[..30]).unwrap();
    let none = AuditQuery::default;
    let key = KeyId::from_random([1; 10]);
    let owner = OwnerId::from_random([2; 10]);
    type Says = fn(&RequestEntry) -> bool;
    let questions: [(AuditQuery, Says); 8] = [
        (none(), |_| true),
        (
            AuditQuery {
                kind: Kind::Request,
                ..none()
            },
            |_| true,
        ),
        (
            AuditQuery {
                kind: Kind::Action(Action::Session),
                ..none()
            },
            |_| false,
        ),
        (
            AuditQuery {
                actor: Some("tok_1".into()),
                ..none()
            },
            |_| false,
        ),
        (
            AuditQuery {
                key: Some(key),
                key_version: Some(2),
                ..none()
            },
            |it| it.key == Some(KeyId::from_random([1; 10])) && it.key_version == Some(2),
        ),
        (
            AuditQuery {
                key_version: Some(1),
                from: Some(Timestamp::from_millis(1_010)),
                until: Some(Timestamp::from_millis(1_020)),
                ..none()
            },
            |it| it.key_version == Some(1) && (1_010..1_020).contains(&it.timestamp.as_millis()),
        ),
        (
            AuditQuery {
                owner: Some(owner),
                is_refused: Some(true),
                ..none()
            },
            |it| it.owner.is_some() && it.code.is_some(),
        ),
        (
            AuditQuery {
                request_id: Some("req_7".into()),
                ..none()
            },
            |it| it.request_id.as_deref() == Some("req_7"),
        ),
    ];
    for (query, says) in questions {
        let mut expected: Vec<u64> = all
            .iter()
            .filter(|it| says(it))
            .map(|it| it.id.chars().parse().unwrap())
            .collect();
        expected.reverse();
        for limit in [1, 7, 100] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = log.find(&query, limit, after.as_ref()).unwrap();
                found.extend(ids(&page));
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            assert_eq!(found, expected, "{query:?} by {limit}");
        }
    }
}

#[test]
fn a_closed_file_is_signed_and_what_is_too_old_goes() {
    let place = Place::new();
    let day = 86_400_000;
    let log = place.open(KEPT);
    for number in 0..10 {
        place.clock.0.store(1_000 + number * day, Ordering::Relaxed);
        log.write(&[entry(number, 1_000 + number * day)]).unwrap();
    }
    // The day that is going on, and what ended less than seven days ago.
    let page = log.find(&AuditQuery::default(), 100, None).unwrap();
    assert_eq!(ids(&page), [9, 8, 7, 6, 5, 4, 3, 2]);
    assert_eq!(
        (place.files(".db").len(), place.files(".sig").len()),
        (8, 7)
    );

    let said = fs::read_to_string(&place.files(".sig")[0]).unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let text = |name: &str| said[name].as_str().unwrap();
    let signed = format!(
        "portcullis request log\n{}\n{}\n{}\n",
        text("file"),
        text("sha256"),
        text("node")
    );
    let unhex = crate::domain::audit::form::unhex;
    assert!(checkpoint::is_signed(
        &place.key.public(),
        signed.as_bytes(),
        &unhex(text("signature")).unwrap()
    ));
    let file = fs::read(&place.files(".db")[0]).unwrap();
    let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&file).into();
    assert_eq!(text("sha256"), crate::domain::audit::form::hex(&digest));
}

/// A log of three days, in two closed files and one that is written to, with entries of two owners.
fn three_days(place: &Place) -> RequestLog {
    let log = place.open(KEPT);
    for number in 0..3 {
        let at = 1_000 + number * 86_400_000;
        place.clock.0.store(at, Ordering::Relaxed);
        let mut others = entry(10 + number, at);
        others.owner = Some(OwnerId::from_random([9; 10]));
        others.address = Some([198, 51, 100, 4].into());
        log.write(&[entry(number, at), others]).unwrap();
    }
    log
}

/// Whether a text stands anywhere in the files of a log.
fn stands_in(place: &Place, text: &str) -> bool {
    let mut files = place.files("").into_iter();
    files.any(|file| {
        let bytes = fs::read(file).unwrap();
        bytes.windows(text.len()).any(|it| it == text.as_bytes())
    })
}

fn ensure_signed(place: &Place, is_erased: bool) {
    for file in place.files(".sig") {
        let said = fs::read_to_string(&file).unwrap();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let text = |name: &str| said[name].as_str().unwrap();
        let (name, node) = (text("file"), text("node"));
        assert_eq!(file.with_extension("db").file_name().unwrap(), name);
        let bytes = fs::read(file.with_extension("db")).unwrap();
        let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&bytes).into();
        let digest = crate::domain::audit::form::hex(&digest);
        assert_eq!(text("sha256"), digest);
        let mut signed = format!("portcullis request log\n{name}\n{digest}\n{node}\n");
        assert_eq!(said["erased_at"].is_string(), is_erased);
        if is_erased {
            signed.push_str(&format!("erased {}\n", text("erased_at")));
        }
        let signature = crate::domain::audit::form::unhex(text("signature")).unwrap();
        let public = place.key.public();
        assert!(checkpoint::is_signed(
            &public,
            signed.as_bytes(),
            &signature
        ));
    }
}

/// S4-16: the addresses go from every file, to the last byte, and what was signed is signed again.
#[test]
fn an_erased_owners_addresses_are_in_no_file_and_the_files_are_signed_anew() {
    let place = Place::new();
    let log = three_days(&place);
    assert!(stands_in(&place, "203.0.113.7") && stands_in(&place, "198.51.100.4"));
    ensure_signed(&place, false);
    let owner = OwnerId::from_random([2; 10]);
    assert_eq!(log.erase(owner).unwrap(), 2);
    assert!(!stands_in(&place, "203.0.113.7"));
    ensure_signed(&place, true);
    // Again, and for someone who is not there: nothing to do.
    assert_eq!(log.erase(owner).unwrap(), 0);
    assert_eq!(log.erase(OwnerId::from_random([8; 10])).unwrap(), 0);
    assert!(place.files(".new").is_empty());

    let check = |log: &RequestLog| {
        let page = log.find(&AuditQuery::default(), 10, None).unwrap();
        assert_eq!(ids(&page), [12, 2, 11, 1, 10, 0]);
        for found in page.items {
            let is_kept = found.owner != Some(owner);
            assert_eq!(found.address.is_some(), is_kept);
            assert_eq!(found.path.as_deref(), Some("/v1/orders"));
        }
    };
    check(&log);
    log.close();
    check(&place.open(KEPT));
}

/// Wherever a crash breaks it off, each file has the signature that fits, and erasing again ends it.
#[test]
fn an_erasure_that_breaks_off_leaves_every_file_with_its_signature() {
    let owner = OwnerId::from_random([2; 10]);
    for broken_off in 0..4 {
        let place = Place::new();
        let log = three_days(&place);
        let before = [place.files(".db"), place.files(".sig")].map(|files| {
            let path = files[0].clone();
            (fs::read(&path).unwrap(), path)
        });
        log.erase(owner).unwrap();
        log.close();
        // Before the file was put in its place, half written; with its signature; and before that was.
        let waiting = |(old, path): &(Vec<u8>, PathBuf)| {
            let mut new = path.clone().into_os_string();
            new.push(".new");
            fs::rename(path, &new).unwrap();
            fs::write(path, old).unwrap();
            new
        };
        match broken_off {
            0 => {
                let new = waiting(&before[0]);
                fs::write(new, b"half").unwrap();
                fs::write(&before[1].1, &before[1].0).unwrap();
            }
            1 => {
                waiting(&before[0]);
                waiting(&before[1]);
            }
            2 => drop(waiting(&before[1])),
            _ => {}
        }
        let log = place.open(KEPT);
        assert!(place.files(".new").is_empty(), "{broken_off}");
        let again = log.erase(owner).unwrap();
        assert_eq!(again, usize::from(broken_off < 2), "{broken_off}");
        ensure_signed(&place, true);
        assert!(!stands_in(&place, "203.0.113.7"));
        log.close();
    }
}

#[test]
fn what_is_too_old_goes_though_nothing_comes() {
    let place = Place::new();
    let log = place.open(KEPT);
    log.write(&[entry(1, 1_000)]).unwrap();
    log.tidy().unwrap();
    assert_eq!(
        ids(&log.find(&AuditQuery::default(), 10, None).unwrap()),
        [1]
    );
    let later = 1_000 + 7 * 86_400_000;
    place.clock.0.store(later, Ordering::Relaxed);
    log.tidy().unwrap();
    assert_eq!(
        ids(&log.find(&AuditQuery::default(), 10, None).unwrap()),
        [1]
    );
    place.clock.0.store(later + 1, Ordering::Relaxed);
    log.tidy().unwrap();
    assert_eq!(place.files("db"), [] as [PathBuf; 0]);
    assert_eq!(place.files("sig"), [] as [PathBuf; 0]);
}

/// A search has the file open just when it is to be closed.
#[test]
fn a_file_that_is_being_read_is_closed_and_signed_later_and_loses_nothing() {
    let place = Place::new();
    let log = place.open(KEPT);
    log.write(&[entry(1, 1_000)]).unwrap();
    let file = place.files(".db").remove(0);
    let reader = rusqlite::Connection::open(&file).unwrap();
    reader
        .execute_batch("BEGIN; SELECT * FROM requests;")
        .unwrap();
    let day = 86_400_000;
    place.clock.0.store(1_000 + day, Ordering::Relaxed);
    log.write(&[entry(2, 1_000 + day)]).unwrap();
    assert_eq!(place.files(".sig"), [] as [PathBuf; 0]);
    drop(reader);
    log.write(&[entry(3, 1_001 + day)]).unwrap();
    assert_eq!(place.files(".sig").len(), 1);
    assert_eq!(place.files(".db").len(), 2);
    let page = log.find(&AuditQuery::default(), 10, None).unwrap();
    assert_eq!(ids(&page), [3, 2, 1]);
}

#[test]
fn there_are_never_many_more_bytes_than_are_kept() {
    let place = Place::new();
    let kept = Kept {
        bytes: 1 << 20,
        ..KEPT
    };
    let log = place.open(kept);
    for piece in 0..60 {
        place.clock.0.fetch_add(1_000, Ordering::Relaxed);
        let some: Vec<_> = (0..200)
            .map(|number| entry(number, 1_000 + piece))
            .collect();
        log.write(&some).unwrap();
    }
    let bytes: u64 = place
        .files("")
        .iter()
        .map(|file| fs::metadata(file).unwrap().len())
        .sum();
    assert!((700_000..1_500_000).contains(&bytes), "{bytes}");
    let newest = log.find(&AuditQuery::default(), 1, None).unwrap();
    assert_eq!(newest.items[0].timestamp.as_millis(), 1_059);
}
