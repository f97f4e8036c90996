//! Policies in earnest: what a preview says is what is then done.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis::control::ControlError;
use portcullis::control::keys::{KeyChange, Rotation};
use portcullis::control::policies::PolicyDraft;
use portcullis::control::sinks::Sinks;
use portcullis::domain::event::EventKind;
use portcullis::domain::id::KeyId;
use portcullis::domain::key::KeyStatus;
use portcullis::domain::patch::SettingsPatch;
use portcullis::domain::policy::PolicyTerms;
use portcullis::domain::selector::Selector;
use portcullis::domain::time::Timestamp;
use proptest::prelude::*;

use super::rig::{DAY, Rig, walk};

fn draft(terms: PolicyTerms) -> PolicyDraft {
    PolicyDraft {
        name: "unused".into(),
        description: None,
        enabled: true,
        selector: Selector::All,
        terms,
    }
}

fn unused(after: u32, warning: u32) -> PolicyTerms {
    PolicyTerms {
        revoke_unused_after: Some(DAY * after),
        revoke_warning: Some(DAY * warning),
        ..PolicyTerms::default()
    }
}

async fn revoked(rig: &Rig, keys: &[KeyId]) -> BTreeSet<KeyId> {
    let mut revoked = BTreeSet::new();
    for id in keys {
        if rig.key(*id).await.status(rig.now()) == KeyStatus::Revoked {
            revoked.insert(*id);
        }
    }
    revoked
}

/// S4-06, S4-12: six months; a warning first; a use in between, and the key lives.
#[tokio::test]
async fn what_nobody_uses_is_warned_of_and_then_revoked() {
    let rig = Rig::new();
    let jobs = rig.jobs_with(Sinks::default());
    let (forgotten, _) = rig.make_key(SettingsPatch::default()).await;
    let (saved, _) = rig.make_key(SettingsPatch::default()).await;
    let protected = SettingsPatch {
        protected: Some(true),
        ..SettingsPatch::default()
    };
    let (protected, _) = rig.make_key(protected).await;
    let all = [forgotten, saved, protected];
    rig.policies
        .create(&rig.caller, &draft(unused(180, 14)))
        .await
        .unwrap();
    for day in 1..=181 {
        rig.clock.turn(DAY);
        if day == 170 {
            rig.note_use(saved).await;
        }
        walk(&jobs).await;
        let expected = if day < 180 {
            BTreeSet::new()
        } else {
            BTreeSet::from([forgotten])
        };
        assert_eq!(revoked(&rig, &all).await, expected, "day {day}");
    }
    let events = rig.events().await;
    let about = |kind| events.iter().filter(move |event| event.kind == kind);
    assert_eq!(
        about(EventKind::KeyUnused).count(),
        2,
        "two were warned of, once"
    );
    assert_eq!(about(EventKind::KeyRevoked).count(), 1);
}

/// S4-15: made or changed, a key is as the policies want it, or it is not made or changed.
#[tokio::test]
async fn a_key_that_breaks_a_policy_is_neither_made_nor_changed() {
    let rig = Rig::new();
    let (before, _) = rig.make_key(SettingsPatch::default()).await;
    let terms = PolicyTerms {
        require_expiry: true,
        require_description: true,
        allowed_scopes: Some(vec!["a".parse().unwrap()]),
        ..PolicyTerms::default()
    };
    rig.policies
        .create(&rig.caller, &draft(terms))
        .await
        .unwrap();
    let as_it_was = rig.key(before).await;
    let bad = SettingsPatch {
        scopes: Some(vec!["a".parse().unwrap(), "b".parse().unwrap()]),
        ..SettingsPatch::default()
    };
    let to = |settings| KeyChange {
        settings,
        ..KeyChange::default()
    };
    let changed = rig
        .keys
        .change(&rig.caller, before, &to(bad), Default::default())
        .await;
    let Err(ControlError::Invalid(faults)) = changed else {
        panic!("{changed:?}");
    };
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    // The scope is unknown to all that names scopes, and not among those that the policy allows.
    assert_eq!(
        pointers,
        ["/scopes/1", "/expires_at", "/description", "/scopes/1"]
    );
    assert_eq!(rig.key(before).await, as_it_was);

    let good = SettingsPatch {
        scopes: Some(vec!["a".parse().unwrap()]),
        description: Some(Some("nightly export".into())),
        expires_at: Some(Some(rig.now().after(DAY))),
        ..SettingsPatch::default()
    };
    rig.keys
        .change(&rig.caller, before, &to(good.clone()), Default::default())
        .await
        .unwrap();
    rig.make_key(good).await;
}

fn oldest(days: u32) -> PolicyTerms {
    PolicyTerms {
        max_age: Some(DAY * days),
        ..PolicyTerms::default()
    }
}

/// S4-15: a rotation gives no key a longer life than its policies do, and takes nothing from one that asks
/// for no other end.
#[tokio::test]
async fn a_rotation_gives_no_key_a_longer_life_than_its_policies() {
    let rig = Rig::new();
    let (id, _) = rig.make_key(SettingsPatch::default()).await;
    let made_at = rig.now();
    rig.policies
        .create(&rig.caller, &draft(oldest(90)))
        .await
        .unwrap();
    let ending = |end| {
        let mut asked = Rotation::default();
        asked.terms.expires_at = end;
        asked
    };
    let last = made_at.after(DAY * 90);
    let too_late = last.after(Duration::from_millis(1));
    for (end, code) in [(Some(too_late), "policy_max_age"), (None, "policy_expiry")] {
        let asked = ending(Some(end));
        let before = rig.key(id).await;
        let rotated = rig
            .keys
            .rotate(&rig.caller, id, &asked, Default::default())
            .await;
        let Err(ControlError::Invalid(faults)) = rotated else {
            panic!("{rotated:?}");
        };
        assert_eq!(
            (faults[0].pointer.as_str(), faults[0].code),
            ("/expires_at", code)
        );
        assert_eq!(rig.key(id).await, before);
    }
    // It has no end, as it had none before: a leaked secret is replaced whatever else is wrong.
    for end in [None, Some(Some(last))] {
        rig.keys
            .rotate(&rig.caller, id, &ending(end), Default::default())
            .await
            .unwrap();
    }
    assert_eq!(rig.key(id).await.settings.expires_at, Some(last));
}

/// S4-15: by itself a key is given a new secret for as long as it may live, and then someone is told.
#[tokio::test]
async fn a_key_that_has_outlived_its_policy_is_not_rotated_by_itself() {
    let rig = Rig::new();
    let (id, first) = rig.make_key(SettingsPatch::default()).await;
    rig.rotate_every(30, false).await;
    rig.policies
        .create(&rig.caller, &draft(oldest(90)))
        .await
        .unwrap();
    let jobs = rig.jobs();
    for (day, number) in [(30, 2), (60, 3), (89, 3), (90, 3), (200, 3)] {
        let at = rig.key(id).await.created_at.after(DAY * day);
        rig.clock.turn(at.since(rig.now()));
        walk(&jobs).await;
        let key = rig.key(id).await;
        assert_eq!(key.current().unwrap().number, number, "day {day}");
    }
    let held = rig.sink.secret().unwrap();
    assert!(
        rig.admits(id, &held).await && !rig.admits(id, &first).await,
        "nobody is locked out"
    );
    let events = rig.events().await;
    let reminded = events.iter().any(|it| it.kind == EventKind::KeyRotationDue);
    assert!(reminded, "{events:?}");
}

/// S4-12: whatever keys there are and whenever it is asked.
#[test]
fn what_a_preview_says_is_what_is_then_done() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = ProptestConfig::with_cases(24);
    proptest!(config, |(
        uses in prop::collection::vec(prop::option::of(0_u32..200), 1..12),
        after in 30_u32..200,
        warning in 1_u32..40,
        asked in 0_u32..300,
    )| {
        runtime.block_on(preview_and_apply(&uses, after, warning, asked));
    });
}

async fn preview_and_apply(uses: &[Option<u32>], after: u32, warning: u32, asked: u32) {
    let rig = Rig::new();
    let mut keys = Vec::new();
    for _ in uses {
        keys.push(rig.make_key(SettingsPatch::default()).await.0);
    }
    for day in 0..asked {
        for (key, used) in keys.iter().zip(uses) {
            if *used == Some(day) {
                rig.note_use(*key).await;
            }
        }
        rig.clock.turn(DAY);
    }
    let wanted = draft(unused(after, warning));
    let preview = rig
        .policies
        .preview(&rig.caller, Some(&wanted), None)
        .await
        .unwrap();
    let fates: Vec<(KeyId, Timestamp)> = preview
        .items
        .iter()
        .map(|judged| {
            (
                judged.key.id,
                judged.judgement.outlook.fate.unwrap().revoke_at,
            )
        })
        .collect();
    assert_eq!(preview.revoked, fates.len() as u64);
    assert!(
        rig.events()
            .await
            .iter()
            .all(|it| it.kind == EventKind::KeyCreated)
    );

    rig.policies.create(&rig.caller, &wanted).await.unwrap();
    let jobs = rig.jobs_with(Sinks::default());
    walk(&jobs).await;
    assert_eq!(
        revoked(&rig, &keys).await,
        BTreeSet::new(),
        "a warning comes first"
    );
    // To each end, both sides of it.
    let mut ends: Vec<Timestamp> = fates.iter().map(|(_, end)| *end).collect();
    ends.sort_unstable();
    ends.dedup();
    for end in ends {
        for now in [end.before(Duration::from_millis(1)), end] {
            rig.clock.turn(now.since(rig.now()));
            walk_now(&rig, &keys, &fates, now).await;
        }
    }
}

/// A fresh process walks at once, and what is revoked is what the preview said would be by now.
async fn walk_now(rig: &Rig, keys: &[KeyId], fates: &[(KeyId, Timestamp)], now: Timestamp) {
    walk(&rig.jobs_with(Sinks::default())).await;
    let due = fates.iter().filter(|(_, end)| *end <= now);
    let expected: BTreeSet<KeyId> = due.map(|(id, _)| *id).collect();
    let done = revoked(rig, keys).await;
    let foretold: BTreeSet<KeyId> = fates.iter().map(|(id, _)| *id).collect();
    let done: BTreeSet<KeyId> = done.intersection(&foretold).copied().collect();
    assert_eq!(done, expected, "at {now}");
}
