//! Failures, limits, counts, entries, and what is there at the end.

use super::*;

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
fn a_request_that_is_cut_without_its_key_being_revoked_meanwhile_is_named() {
    let cut = |what: What, at: At| {
        let mut history = good();
        admit(&mut history, 0, "key", 1, 2 * SECOND);
        let used = history.uses.last_mut().unwrap();
        used.outcome = Outcome::Broken("unexpected end of file".to_owned());
        change(&mut history, what, 0, "key", at);
        let found = kinds(&history);
        found.contains(&Kind::Failed)
    };
    assert!(!cut(What::Revoke { all: false }, 2 * SECOND));
    assert!(cut(What::Revoke { all: false }, 3 * SECOND));
    let rotate = What::Rotate {
        from: 1,
        grace: SECOND,
    };
    assert!(cut(rotate, 2 * SECOND));
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
    fault(&mut history, SILENT, Some(1), 40 * SECOND, 41 * SECOND);
    assert_eq!(kinds(&history), [Kind::OverLimit], "nothing was left then");
    fault(&mut history, SILENT, Some(1), 3 * SECOND, 3 * SECOND);
    assert_eq!(kinds(&history), NONE, "a gate apart spends its share");
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
