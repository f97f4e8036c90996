//! Bad histories, written by hand: each promise is seen to fail, and the good history beside it to hold.

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

#[test]
fn a_good_history_breaks_no_promise() {
    let mut history = revoked();
    admit(&mut history, 0, "limited", 1, 2 * SECOND);
    answer(
        &mut history,
        0,
        "limited",
        1,
        2 * SECOND,
        429,
        Some("rate_limited"),
    );
    answer(
        &mut history,
        0,
        "key",
        1,
        11 * SECOND,
        401,
        Some("key_revoked"),
    );
    probe(&mut history, 0, "key", 1, 30 * SECOND, 401);
    assert_eq!(check(&history), []);
}

#[test]
fn a_request_that_is_admitted_after_the_acknowledgement_is_named() {
    let acknowledged = 10 * SECOND + 10_000;
    let mut history = revoked();
    admit(&mut history, 0, "key", 1, acknowledged);
    assert_eq!(kinds(&history), NONE, "sent no later than it");
    admit(&mut history, 0, "key", 1, acknowledged + 1);
    assert_eq!(kinds(&history), [Kind::LateAdmission]);
}

#[test]
fn a_gate_that_was_named_as_applied_is_held_to_it() {
    let mut history = revoked();
    admit(&mut history, 1, "key", 1, 11 * SECOND);
    assert_eq!(
        kinds(&history),
        NONE,
        "it was not named, and two seconds are not over"
    );
    let last = history.changes.last_mut().unwrap();
    receipt(last).applied_on.push("b".to_owned());
    assert_eq!(kinds(&history), [Kind::LateAdmission]);
}

#[test]
fn a_gate_that_nothing_was_done_to_hears_of_it_within_two_seconds() {
    let mut history = revoked();
    admit(&mut history, 1, "key", 1, 13 * SECOND);
    assert_eq!(kinds(&history), [Kind::LateAdmission]);
    fault(&mut history, SILENT, Some(1), 9 * SECOND, 12 * SECOND);
    assert_eq!(kinds(&history), NONE, "it was cut off");
}

#[test]
fn a_gate_that_is_pending_is_held_to_when_it_stops_by() {
    let mut history = revoked();
    fault(&mut history, SILENT, Some(1), 9 * SECOND, 40 * SECOND);
    let last = history.changes.last_mut().unwrap();
    receipt(last)
        .pending
        .push(("b".to_owned(), Some(20 * SECOND)));
    admit(&mut history, 1, "key", 1, 20 * SECOND);
    assert_eq!(kinds(&history), NONE);
    admit(&mut history, 1, "key", 1, 20 * SECOND + 1);
    assert_eq!(kinds(&history), [Kind::LateAdmission]);
}

#[test]
fn a_version_that_was_replaced_ends_when_it_was_said_to() {
    let mut history = good();
    let what = What::Rotate {
        from: 1,
        grace: SECOND,
    };
    let rotation = change(&mut history, what, 0, "key", 10 * SECOND);
    receipt(rotation).retires_at = Some(11 * SECOND + 1_000);
    history
        .end
        .entries
        .push(entry("key_rotation", "key", Some(2)));
    admit(&mut history, 0, "key", 1, 11 * SECOND + 6_000);
    admit(&mut history, 0, "key", 2, 12 * SECOND);
    assert_eq!(kinds(&history), NONE);
    admit(&mut history, 0, "key", 1, 11 * SECOND + 6_001);
    assert_eq!(kinds(&history), [Kind::LateAdmission]);
}

#[test]
fn what_a_gate_refused_as_ended_it_must_not_admit_again() {
    let mut history = revoked();
    // Nobody acknowledged it, so nothing else is broken.
    history.changes.last_mut().unwrap().result = Done::Unknown("503".to_owned());
    answer(
        &mut history,
        2,
        "key",
        1,
        11 * SECOND,
        401,
        Some("key_revoked"),
    );
    admit(&mut history, 2, "key", 1, 16 * SECOND);
    assert_eq!(kinds(&history), [Kind::Revived]);
    fault(
        &mut history,
        FaultKind::Killed,
        Some(2),
        14 * SECOND,
        15 * SECOND,
    );
    assert_eq!(
        kinds(&history),
        [Kind::Revived],
        "what it knew was on its disk"
    );
    fault(
        &mut history,
        FaultKind::Killed,
        Some(2),
        11 * SECOND + 5_000,
        12 * SECOND,
    );
    assert_eq!(kinds(&history), NONE, "it was killed before it could be");
}

#[test]
fn a_revocation_that_is_not_there_at_the_end_is_lost() {
    let mut history = revoked();
    probe(&mut history, 3, "key", 1, 30 * SECOND, 200);
    assert_eq!(kinds(&history), [Kind::RevocationLost], "at a gate");
    let mut history = revoked();
    history.end.stored[0].status = Some("active".to_owned());
    assert_eq!(kinds(&history), [Kind::RevocationLost], "in the store");
    history.end.stored[0].status = None;
    assert!(
        kinds(&history).contains(&Kind::RevocationLost),
        "with the key"
    );
}

#[test]
fn a_revocation_that_waited_names_every_gate() {
    let mut history = revoked();
    let last = history.changes.last_mut().unwrap();
    last.what = What::Revoke { all: true };
    assert_eq!(kinds(&history), [Kind::Unnamed], "three are not spoken of");
    let last = history.changes.last_mut().unwrap();
    receipt(last).applied_on = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    assert_eq!(kinds(&history), NONE);
    let last = history.changes.last_mut().unwrap();
    receipt(last).applied_on.pop();
    receipt(last).pending.push(("d".to_owned(), None));
    assert_eq!(
        kinds(&history),
        [Kind::Unnamed],
        "200, and one has not applied it"
    );
    let last = history.changes.last_mut().unwrap();
    receipt(last).status = 202;
    assert_eq!(kinds(&history), NONE);
}

#[test]
fn a_valid_key_that_is_refused_is_named() {
    for status in [401, 403] {
        let mut history = good();
        answer(
            &mut history,
            0,
            "key",
            1,
            2 * SECOND,
            status,
            Some("unknown_key"),
        );
        assert_eq!(
            kinds(&history),
            [Kind::ValidRefused],
            "{status} where it was made"
        );
    }
    let mut history = good();
    answer(
        &mut history,
        1,
        "key",
        1,
        2 * SECOND,
        401,
        Some("unknown_key"),
    );
    assert_eq!(kinds(&history), NONE, "the other need not know yet");
    answer(
        &mut history,
        1,
        "key",
        1,
        4 * SECOND,
        401,
        Some("unknown_key"),
    );
    assert_eq!(kinds(&history), [Kind::ValidRefused]);
}

#[test]
fn a_key_that_was_admitted_once_is_known_though_its_gate_is_cut_off() {
    let mut history = good();
    fault(&mut history, SILENT, Some(1), 0, 60 * SECOND);
    answer(
        &mut history,
        1,
        "key",
        1,
        30 * SECOND,
        401,
        Some("unknown_key"),
    );
    assert_eq!(kinds(&history), NONE);
    admit(&mut history, 1, "key", 1, 20 * SECOND);
    assert_eq!(kinds(&history), [Kind::ValidRefused]);
}

#[test]
fn a_grace_that_is_cut_short_is_a_valid_key_refused_but_by_a_clock_that_is_ahead() {
    let mut history = good();
    let what = What::Rotate {
        from: 1,
        grace: 10 * SECOND,
    };
    let rotation = change(&mut history, what, 0, "key", 10 * SECOND);
    receipt(rotation).retires_at = Some(20 * SECOND);
    history
        .end
        .entries
        .push(entry("key_rotation", "key", Some(2)));
    answer(
        &mut history,
        0,
        "key",
        1,
        19 * SECOND,
        401,
        Some("key_retired"),
    );
    assert_eq!(kinds(&history), [Kind::ValidRefused]);
    fault(
        &mut history,
        FaultKind::Clock(2),
        Some(0),
        5 * SECOND,
        5 * SECOND,
    );
    assert_eq!(kinds(&history), NONE);
}

#[test]
fn a_failure_and_a_request_without_an_answer_are_named_unless_the_gate_was_killed() {
    for (status, code) in [
        (503, "not_ready"),
        (502, "upstream_reset"),
        (429, "rate_limited"),
    ] {
        let mut history = good();
        answer(&mut history, 0, "key", 1, 2 * SECOND, status, Some(code));
        assert_eq!(kinds(&history), [Kind::Failed], "{status}");
    }
    let mut history = good();
    answer(&mut history, 0, "key", 1, 2 * SECOND, 0, None);
    history.uses[0].outcome = Outcome::Broken("reset".to_owned());
    assert_eq!(kinds(&history), [Kind::Failed]);
    fault(
        &mut history,
        FaultKind::Killed,
        Some(0),
        2 * SECOND + 500,
        3 * SECOND,
    );
    assert_eq!(kinds(&history), NONE);
}

#[test]
fn a_request_that_passes_as_another_is_named() {
    let mut history = good();
    admit(&mut history, 0, "key", 1, 2 * SECOND);
    history.admissions[0].version = 2;
    assert_eq!(kinds(&history), [Kind::Misattributed]);
}

#[test]
fn a_window_that_is_fuller_than_one_bucket_is_named() {
    let mut history = good();
    // Five at once, and ten a second: what comes 100 ms apart passes for ever.
    for number in 0..5 {
        admit(&mut history, number % 4, "limited", 1, 2 * SECOND);
    }
    for number in 1..=20 {
        admit(
            &mut history,
            number % 4,
            "limited",
            1,
            2 * SECOND + number as u64 * 100_000,
        );
    }
    assert_eq!(kinds(&history), NONE);
    admit(&mut history, 0, "limited", 1, 4 * SECOND + 1_000);
    assert_eq!(kinds(&history), [Kind::OverLimit]);
    fault(
        &mut history,
        FaultKind::Killed,
        Some(2),
        3 * SECOND,
        3 * SECOND,
    );
    assert_eq!(
        kinds(&history),
        [Kind::OverLimit],
        "a kill allows for nothing"
    );
    fault(
        &mut history,
        FaultKind::Store { forgets: 0 },
        None,
        3 * SECOND,
        3 * SECOND,
    );
    assert_eq!(kinds(&history), NONE, "an outage allows for a burst");
    history.faults.pop();
    fault(&mut history, SILENT, Some(2), 3 * SECOND, 3 * SECOND);
    assert_eq!(
        kinds(&history),
        [Kind::OverLimit],
        "who waits before it falls back is exact"
    );
    history.terms.falls_back_late = false;
    assert_eq!(
        kinds(&history),
        NONE,
        "who does not has its share twice for a moment"
    );
}

#[test]
fn a_quota_that_is_exceeded_is_named() {
    let mut history = good();
    for number in 0..8 {
        admit(&mut history, 0, "quota", 1, (2 + number) * SECOND);
    }
    assert_eq!(kinds(&history), NONE);
    admit(&mut history, 0, "quota", 1, 11 * SECOND);
    assert_eq!(kinds(&history), [Kind::OverLimit]);
    fault(&mut history, SILENT, Some(1), 3 * SECOND, 3 * SECOND);
    assert_eq!(
        kinds(&history),
        NONE,
        "a gate apart spends at most its share"
    );
}

#[test]
fn a_count_that_is_not_the_number_of_requests_is_named() {
    let mut history = good();
    admit(&mut history, 0, "key", 1, 5 * SECOND);
    admit(&mut history, 0, "key", 1, 6 * SECOND);
    history.end.stored[0].requests = 3;
    assert_eq!(kinds(&history), [Kind::Miscounted], "one too many");
    history.end.stored[0].requests = 1;
    assert_eq!(kinds(&history), [Kind::Miscounted], "one too few");
    fault(
        &mut history,
        FaultKind::Killed,
        Some(0),
        6 * SECOND + 800_000,
        8 * SECOND,
    );
    assert_eq!(kinds(&history), NONE, "it was killed within the second");
    history.end.stored[0].requests = 0;
    assert_eq!(
        kinds(&history),
        [Kind::Miscounted],
        "and the other was before that"
    );
}

#[test]
fn a_key_that_is_gone_at_the_end_is_lost_unless_somebody_was_told() {
    let mut history = good();
    probe(&mut history, 2, "key", 1, 30 * SECOND, 401);
    assert_eq!(kinds(&history), [Kind::ChangeLost]);
    history.end.stored[0].status = None;
    history.end.probes.clear();
    assert_eq!(kinds(&history), [Kind::ChangeLost]);
    history.end.alarms.push("not restored: key".to_owned());
    assert_eq!(kinds(&history), NONE);
}

#[test]
fn a_rotation_that_was_lost_and_told_of_is_held_to_nothing_but_a_revocation_is() {
    let mut history = good();
    let what = What::Rotate { from: 1, grace: 0 };
    change(&mut history, what, 0, "key", 10 * SECOND);
    admit(&mut history, 0, "key", 1, 12 * SECOND);
    assert_eq!(kinds(&history), [Kind::Unaudited, Kind::LateAdmission]);
    history
        .end
        .alarms
        .push("lost: key_rotation of key".to_owned());
    assert_eq!(kinds(&history), NONE);
    history.changes.last_mut().unwrap().what = What::Revoke { all: false };
    assert!(kinds(&history).contains(&Kind::LateAdmission));
}

#[test]
fn a_chain_that_is_broken_and_a_change_that_is_not_told_of_once_are_named() {
    let mut history = good();
    history.end.audit_fault = Some("removed at 7".to_owned());
    assert_eq!(kinds(&history), [Kind::Unaudited]);
    let mut history = revoked();
    let told = history.end.entries.pop().unwrap();
    assert_eq!(kinds(&history), [Kind::Unaudited], "nobody tells of it");
    history.end.entries.extend([told.clone(), told.clone()]);
    assert_eq!(kinds(&history), [Kind::Unaudited], "it is told of twice");
    history.end.entries.last_mut().unwrap().is_asked = false;
    assert_eq!(
        kinds(&history),
        NONE,
        "once by who asked, once by a gate that gave it back"
    );
}

#[test]
fn gates_that_do_not_come_to_rest_are_named() {
    let history = History {
        end: End {
            unrest: vec!["gate-2 is not ready".to_owned()],
            ..End::default()
        },
        ..good()
    };
    assert!(kinds(&history).contains(&Kind::Unrest));
}
