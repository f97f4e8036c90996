//! Secrets that pass and should not, and those that do not and should.

use super::*;

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
    fault(
        &mut history,
        FaultKind::Clock(-30),
        Some(0),
        2 * SECOND,
        2 * SECOND,
    );
    assert_eq!(
        kinds(&history),
        [Kind::LateAdmission],
        "a clock that runs on is not set back"
    );
    fault(
        &mut history,
        FaultKind::Killed,
        Some(0),
        4 * SECOND,
        5 * SECOND,
    );
    assert_eq!(
        kinds(&history),
        NONE,
        "after a kill it lacks the time in between"
    );
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

/// Of two versions of one number, the first of which the store had lost, a request does not tell which it meant.
#[test]
fn a_version_that_was_made_anew_is_known_for_certain_only_before_that() {
    let rotate = What::Rotate {
        from: 1,
        grace: 60 * SECOND,
    };
    let refused = |history: &mut History, at| {
        answer(history, 0, "key", 2, at, 401, Some("unknown_key"));
        kinds(history).contains(&Kind::ValidRefused)
    };
    let twice = |forgets, anew_at| {
        let mut history = good();
        change(&mut history, rotate, 0, "key", 2 * SECOND);
        let lost = FaultKind::Store { forgets };
        fault(&mut history, lost, None, 5 * SECOND, 6 * SECOND);
        change(&mut history, rotate, 1, "key", anew_at);
        history
    };
    assert!(!refused(&mut twice(3 * SECOND, 8 * SECOND), 10 * SECOND));
    assert!(refused(&mut twice(3 * SECOND, 12 * SECOND), 10 * SECOND));
    // What was lost was made later.
    assert!(refused(&mut twice(SECOND, 8 * SECOND), 10 * SECOND));
    assert!(refused(&mut twice(0, 8 * SECOND), 10 * SECOND));
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
