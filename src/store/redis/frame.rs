//! How a record lies in Redis: ten bytes that any version and any script can read, then its body.
//!
//! Byte 0 is the frame's format, byte 1 the state (`A` active, `S` suspended, `R` revoked; all that scripts
//! look at), bytes 2 to 9 the revision of its last write, big-endian. The body is [`crate::store::record`]'s.

use crate::domain::change::{Gone, Revision, Write};
use crate::domain::key::{Key, Standing};
use crate::domain::owner::Owner;
use crate::domain::token::AdminToken;
use crate::store::record;

use super::names::{Bucket, Names, Table, hex};

/// A write as it is sent: where it goes, under which id, and what.
#[derive(Debug)]
pub(super) struct Placed {
    /// The key in Redis.
    pub(super) place: String,
    /// What it is.
    pub(super) kind: Kind,
    /// Its id, without prefix.
    pub(super) id: String,
    /// The record in its frame.
    pub(super) record: Vec<u8>,
}

/// What a record is of, by the letter it has in the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A key.
    Key,
    /// An owner.
    Owner,
    /// An admin token.
    Token,
    /// A receipt.
    Receipt,
    /// A checkpoint of the audit chain.
    Checkpoint,
    /// That personal values are taken out of the audit log; it has no record.
    Erasure,
    /// An event.
    Event,
    /// A product.
    Product,
    /// A policy.
    Policy,
    /// A rule of automatic rotation.
    RotationRule,
    /// That one of these three is gone: the script takes it out of its place.
    Gone,
}

/// A record cannot be read; it is set aside.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is {0} bytes long, shorter than its frame")]
    Short(usize),
    #[error("its frame has format {0}")]
    Format(u8),
    #[error("its body cannot be read")]
    Body(#[source] record::DecodeError),
}

impl Kind {
    /// All there are.
    const ALL: [Self; 11] = [
        Self::Key,
        Self::Owner,
        Self::Token,
        Self::Receipt,
        Self::Checkpoint,
        Self::Erasure,
        Self::Event,
        Self::Product,
        Self::Policy,
        Self::RotationRule,
        Self::Gone,
    ];

    /// Its letter.
    pub(super) const fn letter(self) -> &'static str {
        match self {
            Self::Key => "k",
            Self::Owner => "o",
            Self::Token => "t",
            Self::Receipt => "r",
            Self::Checkpoint => "c",
            Self::Erasure => "v",
            Self::Event => "e",
            Self::Product => "p",
            Self::Policy => "l",
            Self::RotationRule => "a",
            Self::Gone => "x",
        }
    }

    /// What a letter stands for.
    pub(super) fn from_letter(letter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.letter() == letter)
    }

    /// How long it is kept, in seconds, 0 for ever; of events, about how many.
    pub(super) const fn kept(self) -> u64 {
        match self {
            Self::Receipt => RECEIPT_LIVES_S,
            Self::Event => EVENTS_KEPT,
            Self::Key
            | Self::Owner
            | Self::Token
            | Self::Product
            | Self::Policy
            | Self::RotationRule
            | Self::Gone
            | Self::Checkpoint
            | Self::Erasure => 0,
        }
    }
}

/// Where `write` goes, and what is written there at `revision`.
pub(super) fn place(names: &Names, write: &Write, revision: Revision) -> Placed {
    match write {
        Write::Key(key) => Placed {
            place: names.bucket(Bucket::of(key.id)),
            kind: Kind::Key,
            id: key.id.chars().to_owned(),
            record: frame(state_of_key(key), revision, record::encode_key(key)),
        },
        Write::Owner(owner) => Placed {
            place: names.table(Table::Owners),
            kind: Kind::Owner,
            id: owner.id.chars().to_owned(),
            record: frame(state_of_owner(owner), revision, record::encode_owner(owner)),
        },
        Write::Token(token) => Placed {
            place: names.table(Table::Tokens),
            kind: Kind::Token,
            id: token.id.chars().to_owned(),
            record: frame(state_of_token(token), revision, record::encode_token(token)),
        },
        Write::Receipt(receipt) => Placed {
            place: names.receipt(&receipt.digest),
            kind: Kind::Receipt,
            id: hex(&receipt.digest),
            record: frame(b'A', revision, record::encode_receipt(receipt)),
        },
        Write::Checkpoint(checkpoint) => Placed {
            place: names.table(Table::Checkpoints),
            kind: Kind::Checkpoint,
            id: checkpoint.head.seq.to_string(),
            record: frame(b'A', revision, record::encode_checkpoint(checkpoint)),
        },
        // What is to be taken out, only the mirror knows; it is put in where the change is sent.
        Write::Erasure(owner) => Placed {
            place: names.veils(),
            kind: Kind::Erasure,
            id: owner.chars().to_owned(),
            record: Vec::new(),
        },
        Write::Event(event) => Placed {
            place: names.events(),
            kind: Kind::Event,
            id: event.id.chars().to_owned(),
            record: frame(b'A', revision, record::encode_event(event)),
        },
        Write::Product(kept) => Placed {
            place: names.table(Table::Products),
            kind: Kind::Product,
            id: kept.id.chars().to_owned(),
            record: frame(b'A', revision, record::encode_product(kept)),
        },
        Write::Policy(policy) => Placed {
            place: names.table(Table::Policies),
            kind: Kind::Policy,
            id: policy.id.chars().to_owned(),
            record: frame(b'A', revision, record::encode_policy(policy)),
        },
        Write::RotationRule(rule) => Placed {
            place: names.table(Table::Rotation),
            kind: Kind::RotationRule,
            id: rule.id.chars().to_owned(),
            record: frame(b'A', revision, record::encode_rotation_rule(rule)),
        },
        Write::Gone(gone) => {
            let (table, id) = match gone {
                Gone::Product(id) => (Table::Products, id.chars()),
                Gone::Policy(id) => (Table::Policies, id.chars()),
                Gone::RotationRule(id) => (Table::Rotation, id.chars()),
            };
            Placed {
                place: names.table(table),
                kind: Kind::Gone,
                id: id.to_owned(),
                record: frame(b'A', revision, record::encode_gone(gone)),
            }
        }
    }
}

/// What was written, and at which revision.
///
/// # Errors
/// If the frame or the body is not one that this version knows.
pub(super) fn read(kind: Kind, framed: &[u8]) -> Result<(Revision, Write), Unreadable> {
    let (revision, body) = unframe(framed)?;
    let write = match kind {
        Kind::Key => record::decode_key(body).map(Write::Key),
        Kind::Owner => record::decode_owner(body).map(Write::Owner),
        Kind::Token => record::decode_token(body).map(Write::Token),
        Kind::Receipt => record::decode_receipt(body).map(Write::Receipt),
        Kind::Checkpoint => record::decode_checkpoint(body).map(Write::Checkpoint),
        Kind::Erasure => return Err(Unreadable::Short(0)),
        Kind::Event => record::decode_event(body).map(Write::Event),
        Kind::Product => record::decode_product(body).map(Write::Product),
        Kind::Policy => record::decode_policy(body).map(Write::Policy),
        Kind::RotationRule => record::decode_rotation_rule(body).map(Write::RotationRule),
        Kind::Gone => record::decode_gone(body).map(Write::Gone),
    }
    .map_err(Unreadable::Body)?;
    Ok((revision, write))
}

/// A record in its frame.
pub(super) fn frame(state: u8, revision: Revision, body: Vec<u8>) -> Vec<u8> {
    let mut framed = Vec::with_capacity(HEAD + body.len());
    framed.extend([FORMAT, state]);
    framed.extend(revision.0.to_be_bytes());
    framed.extend(body);
    framed
}

fn unframe(framed: &[u8]) -> Result<(Revision, &[u8]), Unreadable> {
    let short = || Unreadable::Short(framed.len());
    let ([format, _state, revision @ ..], body) =
        framed.split_first_chunk::<HEAD>().ok_or_else(short)?;
    if *format != FORMAT {
        return Err(Unreadable::Format(*format));
    }
    Ok((Revision(u64::from_be_bytes(*revision)), body))
}

const fn state_of_key(key: &Key) -> u8 {
    match key.standing {
        Standing::Active => b'A',
        Standing::Suspended { .. } => b'S',
        Standing::Revoked { .. } => b'R',
    }
}

const fn state_of_owner(owner: &Owner) -> u8 {
    match owner.disabled_at {
        None => b'A',
        Some(_) => b'S',
    }
}

const fn state_of_token(token: &AdminToken) -> u8 {
    match token.revoked_at {
        None => b'A',
        Some(_) => b'R',
    }
}

const FORMAT: u8 = 1;
const HEAD: usize = 10;
const RECEIPT_LIVES_S: u64 = 24 * 3_600;
const EVENTS_KEPT: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::Receipt;
    use crate::domain::id::KeyId;
    use crate::domain::time::Timestamp;

    fn receipt() -> Receipt {
        Receipt {
            digest: [1; 32],
            request: [2; 32],
            key: KeyId::from_random([3; 10]),
            version: 2,
            at: Timestamp::from_millis(4),
        }
    }

    #[test]
    fn a_record_reads_back_with_the_revision_it_was_written_at() {
        let write = Write::Receipt(receipt());
        let placed = place(&Names::new("pc"), &write, Revision(0x0102));
        assert_eq!(placed.record[..10], [1, b'A', 0, 0, 0, 0, 0, 0, 1, 2]);
        let (revision, read) = read(placed.kind, &placed.record).unwrap();
        assert_eq!((revision, read), (Revision(0x0102), write));
    }

    #[test]
    fn what_is_no_record_says_why() {
        let placed = place(&Names::new("pc"), &Write::Receipt(receipt()), Revision(1));
        let mut newer = placed.record.clone();
        newer[0] = 2;
        let error = |bytes: &[u8], kind| read(kind, bytes).unwrap_err();
        assert!(matches!(
            error(&newer, Kind::Receipt),
            Unreadable::Format(2)
        ));
        let short = &placed.record[..9];
        assert!(matches!(error(short, Kind::Receipt), Unreadable::Short(9)));
        let head = &placed.record[..10];
        assert!(matches!(error(head, Kind::Receipt), Unreadable::Body(_)));
        assert!(matches!(
            error(&placed.record, Kind::Key),
            Unreadable::Body(_)
        ));
    }

    #[test]
    fn every_letter_stands_for_its_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_letter(kind.letter()), Some(kind));
        }
        assert_eq!(Kind::from_letter("z"), None);
    }
}
