//! That what is sealed can be read, erased and proved, and that whatever is done to a chain is found.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::chain::{Head, Sealed};
use super::checkpoint::Checkpoint;
use super::form::{hex, personal_places};
use super::verify::{Columns, Fault, FaultKind, Link, Trust, Verdict, Walk};
use super::*;
use crate::domain::id::AuditId;

fn entry(number: u64) -> AuditEntry {
    AuditEntry {
        id: AuditId::from_chars(format!("{number:010}").as_bytes()).unwrap(),
        timestamp: Timestamp::from_millis(number * 1_000 + 7),
        action: Action::KeyRotation,
        outcome: Outcome::Refused("protected".into()),
        actor: Actor {
            kind: "token".into(),
            id: "tok_0000000001".into(),
            name: "Ann \"the\" ops".into(),
        },
        address: Some("203.0.113.7".into()),
        request_id: Some("req_1".into()),
        reason: Some("left the company\n".into()),
        key: Some(KeyId::from_random([1; 10])),
        key_version: Some(3),
        owner: Some(OwnerId::from_random([2; 10])),
        changes: vec![
            FieldChange {
                field: "name".into(),
                from: "Ann's key".into(),
                to: json!({"a": [1, null, "x"]}),
            },
            FieldChange {
                field: "status".into(),
                from: "active".into(),
                to: "revoked".into(),
            },
        ],
        rotation: Some(RotationNote {
            old_version: 2,
            old_fingerprint: Fingerprint::from_bytes([1; 6]),
            new_fingerprint: Fingerprint::from_bytes([0xfd; 6]),
            grace: Some(Duration::from_secs(24 * 3_600)),
        }),
    }
}

fn chain(length: u64) -> Vec<Sealed> {
    let mut head = Head::default();
    (1..=length)
        .map(|number| head.seal(&entry(number), [number as u8; 16]))
        .collect()
}

fn walk(chain: &[Sealed], checkpoints: &[Checkpoint], end: Option<Head>) -> Verdict {
    let mut walk = Walk::new(Head::default(), checkpoints);
    if let Some(end) = end {
        walk.ends_at(end);
    }
    for sealed in chain {
        let line = sealed.form_to_verify().unwrap().to_string();
        walk.pass(Link::of_line(&line).unwrap());
    }
    walk.end()
}

fn end(chain: &[Sealed]) -> Option<Head> {
    chain.last().map(|last| Head {
        seq: last.seq,
        hash: last.hash,
    })
}

fn fault(seq: u64, kind: FaultKind) -> Option<Fault> {
    Some(Fault { seq, kind })
}

/// The entry again, saying something else, with a hash that fits it.
fn forge(sealed: &Sealed, previous: Option<[u8; 32]>) -> Sealed {
    let mut before = Head {
        seq: sealed.seq - 1,
        hash: previous.unwrap_or_else(|| {
            let form = sealed.form().unwrap();
            super::form::unhex(form["previous_hash"].as_str().unwrap()).unwrap()
        }),
    };
    let mut said = sealed.entry().unwrap();
    said.reason = Some("nothing to see here".into());
    before.seal(&said, [0; 16])
}

#[test]
fn what_is_sealed_is_what_was_said() {
    let mut plain = entry(2);
    plain.rotation = None;
    plain.outcome = Outcome::Done;
    plain.address = None;
    plain.changes.clear();
    for said in [entry(1), plain] {
        let sealed = Head::default().seal(&said, [9; 16]);
        assert_eq!(sealed.entry().unwrap(), said);
    }
}

/// S3-17: a rotation is exported with when, both fingerprints, and by whom.
#[test]
fn a_rotation_is_exported_with_what_it_adds() {
    let form = Head::default().seal(&entry(1), [9; 16]).form().unwrap();
    for (name, value) in [
        ("timestamp", json!("1970-01-01T00:00:01.007Z")),
        ("old_version", json!(2)),
        ("old_fingerprint", json!("010101010101")),
        ("new_fingerprint", json!("fdfdfdfdfdfd")),
        ("rotated_by", json!("tok_0000000001")),
        ("grace", json!("24h")),
        ("previous_hash", json!("0".repeat(64))),
    ] {
        assert_eq!(form[name], value, "{name}");
    }
}

/// S4-16: who knows only the chain learns no name, address or reason from it.
#[test]
fn a_body_has_no_personal_value_and_an_erased_entry_none_at_all() {
    let mut sealed = Head::default().seal(&entry(1), [9; 16]);
    let body = String::from_utf8(sealed.body.clone()).unwrap();
    for personal in ["Ann", "203.0.113.7", "left the company"] {
        assert!(!body.contains(personal), "{body}");
    }
    let shown = sealed.form_to_verify().unwrap();
    assert_eq!(shown["salts"].as_object().unwrap().len(), 5);
    assert!(shown.get("erased").is_none());

    sealed.veil = None;

    let shown = sealed.form_to_verify().unwrap();
    assert_eq!(shown["actor"]["name"], Value::Null);
    assert_eq!(shown["actor"]["id"], "tok_0000000001");
    assert_eq!(shown["salts"], json!({}));
    assert_eq!(shown["erased"].as_object().unwrap().len(), 5);
    // What is no person's stays.
    assert_eq!(shown["changes"][1]["to"], "revoked");
    assert!(Link::of_line(&shown.to_string()).unwrap().is_sound);
}

/// A value that was erased must not come back as another.
#[test]
fn what_stands_beside_an_erased_hash_is_refused() {
    let mut sealed = Head::default().seal(&entry(1), [9; 16]);
    sealed.veil = None;
    let mut shown = sealed.form_to_verify().unwrap();
    shown["reason"] = "invented".into();
    assert!(Link::of_line(&shown.to_string()).is_err());
}

#[test]
fn a_new_field_of_a_change_is_personal_until_it_is_known_not_to_be() {
    let mut said = entry(1);
    said.changes[1].field = "favourite_colour".into();
    let form = Value::Object(super::form::write(&said));
    assert_eq!(personal_places(&form).len(), 7);
}

#[test]
fn a_whole_chain_is_valid_and_an_empty_one_too() {
    let whole = chain(5);
    assert_eq!(
        walk(&whole, &[], end(&whole)),
        Verdict {
            entries: 5,
            last: Some(5),
            fault: None,
            signers: Vec::new()
        }
    );
    assert_eq!(walk(&[], &[], None).fault, None);
}

#[test]
fn what_an_index_says_is_what_the_entry_says() {
    let sealed = Head::default().seal(&entry(1), [9; 16]);
    let (key, owner) = (
        KeyId::from_random([1; 10]).to_string(),
        OwnerId::from_random([2; 10]).to_string(),
    );
    let columns = Columns {
        id: "aud_0000000001",
        timestamp: Timestamp::from_millis(1_007),
        action: "key_rotation",
        actor: "tok_0000000001",
        code: Some("protected"),
        request: Some("req_1"),
        key: Some(&key),
        version: Some(3),
        owner: Some(&owner),
    };
    let of = |columns| Link::of_stored(&sealed, sealed.veil.as_ref(), &columns).is_sound;
    assert!(of(columns));
    for hidden in [
        Columns {
            key: None,
            ..columns
        },
        Columns {
            action: "session",
            ..columns
        },
        Columns {
            version: Some(2),
            ..columns
        },
        Columns {
            timestamp: Timestamp::from_millis(1_006),
            ..columns
        },
    ] {
        assert!(!of(hidden), "{hidden:?}");
    }
    let mut veil = sealed.veil.clone().unwrap();
    veil.values.insert("/reason".into(), "another".into());
    assert!(!Link::of_stored(&sealed, Some(&veil), &columns).is_sound);
    assert!(Link::of_stored(&sealed, None, &columns).is_sound);
}

/// S4-16: values may be gone where their person was erased afterwards, and nowhere else.
#[test]
fn a_veil_is_gone_only_with_an_erasure_of_its_person_after_it() {
    let person = |byte| OwnerId::from_random([byte; 10]);
    let erasure = |number, owner| AuditEntry {
        action: Action::OwnerErasure,
        outcome: Outcome::Done,
        owner: Some(owner),
        ..entry(number)
    };
    let by_itself = AuditEntry {
        actor: Actor {
            kind: "user".into(),
            id: person(3).to_string(),
            name: "Ann".into(),
        },
        ..entry(4)
    };
    let entries = [
        entry(1),
        erasure(2, person(2)),
        entry(3),
        by_itself,
        erasure(5, person(3)),
        erasure(6, person(2)),
    ];
    // Which entries have no veil, how many there are, and what is found.
    for (bare, count, found) in [
        (&[1][..], 2, None),
        (&[1][..], 1, Some(1)),
        (&[1, 3][..], 5, Some(3)),
        (&[1, 3][..], 6, None),
        (&[4][..], 4, Some(4)),
        (&[4][..], 5, None),
        (&[2][..], 6, None),
        (&[6][..], 6, Some(6)),
        (&[][..], 6, None),
    ] {
        let mut head = Head::default();
        let mut walk = Walk::new(Head::default(), &[]);
        for (entry, number) in entries.iter().zip(1..=count) {
            let sealed = head.seal(entry, [number; 16]);
            let owner = entry.owner.map(|id| id.to_string());
            let key = entry.key.map(|id| id.to_string());
            let id = entry.id.to_string();
            let columns = Columns {
                id: &id,
                timestamp: entry.timestamp,
                action: entry.action.as_str(),
                actor: &entry.actor.id,
                code: matches!(entry.outcome, Outcome::Refused(_)).then_some("protected"),
                request: Some("req_1"),
                key: key.as_deref(),
                version: Some(3),
                owner: owner.as_deref(),
            };
            let veil = sealed.veil.as_ref().filter(|_| !bare.contains(&number));
            walk.pass(Link::of_stored(&sealed, veil, &columns));
        }
        let found = found.and_then(|seq| fault(seq, FaultKind::Changed));
        assert_eq!(walk.end().fault, found, "{bare:?} of {count}");
    }
}

fn checkpoint(sealed: &Sealed) -> Checkpoint {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
    let head = Head {
        seq: sealed.seq,
        hash: sealed.hash,
    };
    let at = Timestamp::from_millis(1);
    let text = Checkpoint::text(head, at, "gate-1");
    Checkpoint {
        head,
        at,
        node: "gate-1".into(),
        public_key: pair.public_key().as_ref().try_into().unwrap(),
        signature: pair.sign(text.as_bytes()).as_ref().try_into().unwrap(),
    }
}

#[test]
fn a_checkpoint_reads_back_and_is_signed() {
    let signed = checkpoint(&chain(1)[0]);
    assert!(signed.is_signed());
    assert_eq!(
        Checkpoint::read(&signed.form()).unwrap(),
        Some(signed.clone())
    );
    let moved = Checkpoint {
        at: Timestamp::from_millis(2),
        ..signed
    };
    assert!(!moved.is_signed());
    assert_eq!(Checkpoint::read(&json!({"seq": 1})), Ok(None));
    assert!(Checkpoint::read(&json!({"checkpoint": {}})).is_err());
}

/// A chain that was made anew from somewhere fits itself; only what was signed before tells.
#[test]
fn checkpoints_tell_of_a_chain_made_anew_and_of_one_cut_off() {
    let whole = chain(10);
    let signed = [checkpoint(&whole[3]), checkpoint(&whole[7])];
    let mut anew = whole[..5].to_vec();
    let mut head = end(&anew).unwrap();
    anew.extend(whole[5..].iter().map(|old| {
        let mut said = old.entry().unwrap();
        said.reason = Some("nothing".into());
        head.seal(&said, [1; 16])
    }));
    assert_eq!(walk(&anew, &[], None).fault, None);
    assert_eq!(
        walk(&anew, &signed, None).fault,
        fault(8, FaultKind::Rewritten)
    );
    assert_eq!(
        walk(&whole[..6], &signed, None).fault,
        fault(7, FaultKind::Removed)
    );
    assert_eq!(walk(&whole, &signed, None).fault, None);
    let mut forged = signed;
    forged[1].node = "gate-2".into();
    assert_eq!(
        walk(&whole, &forged, None).fault,
        fault(8, FaultKind::Forged)
    );
}

#[derive(Debug, Clone)]
enum Mutation {
    /// One byte of the entry is another, and its hash is as it was.
    Flip(usize),
    /// It says something else, with a hash that fits.
    Forge,
    /// It says something else and names another before it, with a hash that fits.
    ForgeLoose,
    Remove,
    Swap(usize),
    Repeat(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any::<usize>().prop_map(Mutation::Flip),
        Just(Mutation::Forge),
        Just(Mutation::ForgeLoose),
        Just(Mutation::Remove),
        any::<usize>().prop_map(Mutation::Swap),
        any::<usize>().prop_map(Mutation::Repeat),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// S4-16: whatever is done to one entry, it is named, or the first of two that changed places.
    #[test]
    fn the_entry_that_was_touched_is_named(
        length in 2_u64..24,
        at in any::<prop::sample::Index>(),
        mutation in mutation(),
    ) {
        let whole = chain(length);
        let at = at.index(whole.len());
        let seq = at as u64 + 1;
        let end = end(&whole);
        let mut touched = whole.clone();
        let expected = match mutation {
            Mutation::Flip(byte) => {
                // In a text, so that it is JSON as before.
                let text = String::from_utf8(touched[at].body.clone()).unwrap();
                let place = text.find("req_1").unwrap() + byte % 5;
                touched[at].body[place] ^= 1;
                fault(seq, FaultKind::Changed)
            }
            Mutation::Forge => {
                touched[at] = forge(&whole[at], None);
                if seq == length {
                    // Nothing stands on the last one but what was noted of it.
                    fault(seq, FaultKind::Rewritten)
                } else {
                    fault(seq, FaultKind::Changed)
                }
            }
            Mutation::ForgeLoose => {
                touched[at] = forge(&whole[at], Some([7; 32]));
                // The last of all may as well be the one before it.
                let named = if seq == length && seq > 1 { seq - 1 } else { seq };
                fault(named, FaultKind::Changed)
            }
            Mutation::Remove => {
                touched.remove(at);
                fault(seq, FaultKind::Removed)
            }
            Mutation::Swap(other) => {
                let other = other % whole.len();
                touched.swap(at, other);
                if other == at {
                    None
                } else {
                    fault(at.min(other) as u64 + 1, FaultKind::Swapped)
                }
            }
            Mutation::Repeat(place) => {
                // Put in a second time, behind its own place.
                let place = at + 1 + place % (whole.len() - at);
                touched.insert(place, whole[at].clone());
                fault(seq, FaultKind::Inserted)
            }
        };
        prop_assert_eq!(walk(&touched, &[], end).fault, expected);
    }
}

#[test]
fn digits_read_back() {
    assert_eq!(
        super::form::unhex::<3>(&hex(&[0, 0xab, 0xff])),
        Some([0, 0xab, 0xff])
    );
    for wrong in ["", "0", "00", "00ab", "00abf", "00abfg", "00ABFF"] {
        assert_eq!(super::form::unhex::<3>(wrong), None, "{wrong}");
    }
}

/// S4-16: a checkpoint names a key itself, so it proves nothing to whoever does not know that key: an
/// impostor makes the whole chain anew and signs it.
#[test]
fn a_checkpoint_proves_only_what_is_signed_with_a_key_that_is_known() {
    let mut head = Head::default();
    let anew: Vec<Sealed> = (1..=4)
        .map(|number| head.seal(&entry(number + 20), [7; 16]))
        .collect();
    let forged = checkpoint(&anew[2]);
    let key = forged.public_key;
    let itself = |node: &str, key| Trust::Itself {
        node: node.into(),
        key,
    };
    for (trust, impostor, proved) in [
        (Trust::Nobody, None, None),
        (itself("gate-1", key), None, Some(3)),
        (itself("gate-1", [1; 32]), fault(3, FaultKind::Forged), None),
        // A gate does not know the others; it says that it does not.
        (itself("gate-2", [1; 32]), None, None),
        (Trust::Only(vec![[1; 32], key]), None, Some(3)),
        (
            Trust::Only(vec![[1; 32]]),
            fault(3, FaultKind::Forged),
            None,
        ),
    ] {
        let verdict = walk(&anew, std::slice::from_ref(&forged), end(&anew)).trusting(&trust);
        assert_eq!(verdict.fault, impostor, "{trust:?}");
        assert_eq!(verdict.proved_up_to(), proved, "{trust:?}");
        let [signer] = verdict.signers.as_slice() else {
            panic!("{verdict:?}");
        };
        assert_eq!((signer.node.as_str(), signer.last), ("gate-1", 3));
        assert_eq!(signer.is_known, proved.is_some());
    }
}
