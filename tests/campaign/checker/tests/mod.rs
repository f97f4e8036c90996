//! Bad histories, written by hand: each promise is seen to fail, and the good history beside it to hold.

mod secrets;
mod sums;

use super::{Kind, check};
use crate::history::{
    Admission, Change, Done, End, Entry, Fault, FaultKind, History, Outcome, Probe, Receipt,
    Stored, Terms, Use, What,
};
use crate::support::watch::{At, SECOND};

/// A history of four gates, in which a key was made at the first and is well.
fn good() -> History {
    let mut history = History {
        gates: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
        terms: Terms {
            limited: "limited".to_owned(),
            rate: 10,
            burst: 5,
            quota_key: "quota".to_owned(),
            quota: 8,
            falls_back_late: true,
        },
        ..History::default()
    };
    for key in ["key", "limited", "quota"] {
        change(&mut history, What::Create, 0, key, SECOND);
        history.end.entries.push(entry("key_creation", key, None));
        history.end.stored.push(Stored {
            key: key.to_owned(),
            status: Some("active".to_owned()),
            requests: 0,
        });
    }
    history
}

/// A change that is acknowledged 10 ms later.
fn change<'a>(
    history: &'a mut History,
    what: What,
    gate: usize,
    key: &str,
    at: At,
) -> &'a mut Change {
    history.changes.push(Change {
        what,
        gate,
        keys: vec![key.to_owned()],
        owner: None,
        sent: at,
        done: at + 10_000,
        result: Done::Acknowledged(Receipt {
            status: 200,
            applied_on: vec![history.gates[gate].clone()],
            ..Receipt::default()
        }),
    });
    history.changes.last_mut().unwrap()
}

fn receipt(change: &mut Change) -> &mut Receipt {
    match &mut change.result {
        Done::Acknowledged(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

fn entry(kind: &str, key: &str, version: Option<u32>) -> Entry {
    Entry {
        seq: 1,
        kind: kind.to_owned(),
        key: Some(key.to_owned()),
        owner: None,
        version,
        is_asked: true,
    }
}

/// A request that was admitted, seen by the upstream and counted.
fn admit(history: &mut History, gate: usize, key: &str, version: u32, at: At) {
    answer(history, gate, key, version, at, 200, None);
    let tag = history.uses.last().unwrap().tag;
    history.admissions.push(Admission {
        tag,
        seen: at + 500,
        key: key.to_owned(),
        version,
    });
    let mut stored = history.end.stored.iter_mut();
    stored.find(|it| it.key == key).unwrap().requests += 1;
}

fn answer(
    history: &mut History,
    gate: usize,
    key: &str,
    version: u32,
    at: At,
    status: u16,
    code: Option<&str>,
) {
    let tag = history.uses.len() as u64 + 1;
    history.uses.push(Use {
        tag,
        gate,
        key: key.to_owned(),
        version,
        sent: at,
        done: at + 1_000,
        outcome: Outcome::Answered(status, code.map(str::to_owned)),
    });
}

fn fault(history: &mut History, kind: FaultKind, gate: Option<usize>, from: At, to: At) {
    history.faults.push(Fault {
        kind,
        gate,
        from,
        to,
    });
}

fn probe(history: &mut History, gate: usize, key: &str, version: u32, at: At, status: u16) {
    history.end.probes.push(Probe {
        gate,
        key: key.to_owned(),
        version,
        at,
        outcome: Outcome::Answered(status, None),
    });
}

/// The key is revoked at the first gate, at 10 s, and all is well.
fn revoked() -> History {
    let mut history = good();
    admit(&mut history, 1, "key", 1, 9 * SECOND);
    let all = What::Revoke { all: false };
    change(&mut history, all, 0, "key", 10 * SECOND);
    history
        .end
        .entries
        .push(entry("key_revocation", "key", None));
    history.end.stored[0].status = Some("revoked".to_owned());
    history
}

fn kinds(history: &History) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = check(history).into_iter().map(|it| it.kind).collect();
    kinds.dedup();
    kinds
}

const NONE: [Kind; 0] = [];
/// A gate that hears nothing of the store.
const SILENT: FaultKind = FaultKind::Cut { is_told: false };
