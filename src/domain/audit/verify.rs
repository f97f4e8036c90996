//! Walks a chain and names the first entry that is not as it was written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Action;
use super::chain::{self, Digest, Head, Sealed, Veil};
use super::checkpoint::Checkpoint;
use super::form::{NotAnEntry, unhex};
use super::line;
use super::unveiled::{Persons, Unveiled};
use crate::domain::id::OwnerId;
use crate::domain::time::Timestamp;

/// What came of walking a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How many entries there were.
    pub entries: u64,
    /// The number of the last one; `None` if there was none.
    pub last: Option<u64>,
    /// The first that is not as it was written.
    pub fault: Option<Fault>,
    /// Who signed the chain. A key that is not known proves nothing: whoever writes a store makes one.
    pub signers: Vec<Signer>,
}

/// Whose checkpoints a chain has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Which gate it says it is.
    pub node: String,
    /// The public half of its key.
    pub public_key: [u8; 32],
    /// The number of the first entry that it signed.
    pub first: u64,
    /// That of the last; with it, all before.
    pub last: u64,
    /// Whether the key is known from elsewhere than the chain.
    pub is_known: bool,
}

/// What is known, from elsewhere than the chain, of who signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Nothing.
    Nobody,
    /// A gate knows itself: what bears its name is signed with its key. It does not know the others'.
    Itself {
        /// Its name.
        node: Arc<str>,
        /// The public half of its key.
        key: [u8; 32],
    },
    /// The keys of all gates.
    Only(Vec<[u8; 32]>),
}

impl Trust {
    fn knows(&self, signer: &Signer) -> bool {
        match self {
            Self::Nobody => false,
            Self::Itself { key, .. } => signer.public_key == *key,
            Self::Only(keys) => keys.contains(&signer.public_key),
        }
    }

    /// Whether who signed cannot be who it says it is.
    fn denies(&self, signer: &Signer) -> bool {
        match self {
            Self::Nobody => false,
            Self::Itself { node, .. } => *signer.node == **node && !self.knows(signer),
            Self::Only(_) => !self.knows(signer),
        }
    }
}

impl Verdict {
    /// The same for whoever knows who may sign: which signers are known, and whether one is an impostor.
    #[must_use]
    pub fn trusting(mut self, trust: &Trust) -> Self {
        for signer in &mut self.signers {
            signer.is_known = trust.knows(signer);
        }
        let forged = self.signers.iter().filter(|signer| trust.denies(signer));
        let forged = forged.map(|signer| Fault {
            seq: signer.first,
            kind: FaultKind::Forged,
        });
        self.fault = self.fault.or(forged.min_by_key(|fault| fault.seq));
        self
    }

    /// The number of the last entry that is signed with a key that is known.
    #[must_use]
    pub fn proved_up_to(&self) -> Option<u64> {
        let known = self.signers.iter().filter(|signer| signer.is_known);
        known.map(|signer| signer.last).max()
    }
}

/// Something that is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The number of the entry.
    pub seq: u64,
    /// What was done to it.
    pub kind: FaultKind,
}

/// What was done to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It does not say what it said.
    Changed,
    /// It is not there.
    Removed,
    /// It was not there.
    Inserted,
    /// It is not in its place.
    Swapped,
    /// It, and whatever it stands on, is another than the one that was signed.
    Rewritten,
    /// The checkpoint of it is not signed by whom it names, or with a key that is none of the gates'.
    Forged,
}

impl FaultKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Inserted => "inserted",
            Self::Swapped => "swapped",
            Self::Rewritten => "rewritten",
            Self::Forged => "forged",
        }
    }
}

/// What one entry says of its place, and whether it says what its hash is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its number and its hash.
    pub at: Head,
    /// The hash that it says the one before has.
    pub previous: Digest,
    /// Whether body, hash and personal values agree.
    pub is_sound: bool,
    /// Of whom an erasure must follow: the personal values are gone.
    pub unveiled: Option<Persons>,
    /// Whose personal values were taken out of all entries before this one.
    pub erases: Option<OwnerId>,
}

/// What is found beside a stored body: the columns that questions are answered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each is the exported field of its name")]
pub struct Columns<'a> {
    pub id: &'a str,
    pub timestamp: Timestamp,
    pub action: &'a str,
    pub actor: &'a str,
    pub code: Option<&'a str>,
    pub request: Option<&'a str>,
    pub key: Option<&'a str>,
    pub version: Option<u16>,
    pub owner: Option<&'a str>,
}

impl Link {
    /// Reads a stored entry, with its veil apart. An entry that says something else than the `columns`
    /// beside it is found by other questions than it should be, so it counts as changed.
    #[must_use]
    pub fn of_stored(sealed: &Sealed, veil: Option<&Veil>, columns: &Columns<'_>) -> Self {
        let digest: Digest = Sha256::digest(&sealed.body).into();
        let mut link = Self {
            at: Head {
                seq: sealed.seq,
                hash: sealed.hash,
            },
            previous: [0; 32],
            is_sound: false,
            unveiled: None,
            erases: None,
        };
        let Ok(body) = serde_json::from_slice::<Body<'_>>(&sealed.body) else {
            return link;
        };
        link.at.seq = body.seq;
        link.previous = unhex(body.previous_hash).unwrap_or_default();
        let owner = body.owner_id.and_then(|id| id.parse().ok());
        link.unveiled = veil.is_none().then(|| Persons {
            owner,
            actor: body.actor.id.parse().ok(),
        });
        let is_erasure = body.action == Action::OwnerErasure.as_str() && body.code.is_none();
        link.erases = owner.filter(|_| is_erasure);
        link.is_sound = digest == sealed.hash
            && body.columns() == *columns
            && veil.is_none_or(|veil| {
                veil.values.iter().all(|(place, value)| {
                    let said = chain::commit(&veil.salt_of(place), value);
                    body.at(place) == Some(said.as_str())
                })
            });
        link
    }

    /// Reads a line of an export.
    ///
    /// # Errors
    /// If it is no entry.
    pub fn of_line(line: &str) -> Result<Self, NotAnEntry> {
        if let Some(link) = Self::as_written(line) {
            return Ok(link);
        }
        Self::of_form(serde_json::from_str(line).map_err(|_| NotAnEntry("line"))?)
    }

    /// Reads a line that is sound and formatted as it was exported, which is quickly done; `None` says
    /// nothing of it.
    #[must_use]
    pub fn as_written(line: &str) -> Option<Self> {
        let written = line::read(line)?;
        Some(Self::exported(written.at, written.previous, true))
    }

    /// Reads an exported entry.
    ///
    /// # Errors
    /// If it is none.
    pub fn of_form(form: Value) -> Result<Self, NotAnEntry> {
        let (body, at, previous) = chain::body_of(form)?;
        let digest: Digest = Sha256::digest(&body).into();
        Ok(Self::exported(at, previous, digest == at.hash))
    }

    /// A line says of itself what is veiled in it, and whoever exports may leave values out.
    const fn exported(at: Head, previous: Digest, is_sound: bool) -> Self {
        Self {
            at,
            previous,
            is_sound,
            unveiled: None,
            erases: None,
        }
    }
}

/// What verifying reads of a body; the rest is covered by its hash.
#[derive(Deserialize)]
struct Body<'a> {
    seq: u64,
    previous_hash: &'a str,
    id: &'a str,
    timestamp: &'a str,
    #[serde(rename = "type")]
    action: &'a str,
    code: Option<&'a str>,
    #[serde(borrow)]
    actor: BodyActor<'a>,
    address: Option<&'a str>,
    reason: Option<&'a str>,
    request_id: Option<&'a str>,
    key_id: Option<&'a str>,
    key_version: Option<u16>,
    owner_id: Option<&'a str>,
    changes: Vec<BodyChange>,
}

#[derive(Deserialize)]
struct BodyActor<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    name: &'a str,
}

#[derive(Deserialize)]
struct BodyChange {
    from: Value,
    to: Value,
}

impl Body<'_> {
    fn columns(&self) -> Columns<'_> {
        Columns {
            id: self.id,
            timestamp: self.timestamp.parse().unwrap_or(Timestamp::NEVER),
            action: self.action,
            actor: &self.actor.id,
            code: self.code,
            request: self.request_id,
            key: self.key_id,
            version: self.key_version,
            owner: self.owner_id,
        }
    }

    /// The text at a personal place.
    fn at(&self, place: &str) -> Option<&str> {
        match place {
            "/actor/name" => Some(self.actor.name),
            "/address" => self.address,
            "/reason" => self.reason,
            place => {
                let (at, side) = place.strip_prefix("/changes/")?.split_once('/')?;
                let change = self.changes.get(at.parse::<usize>().ok()?)?;
                match side {
                    "from" => change.from.as_str(),
                    "to" => change.to.as_str(),
                    _ => None,
                }
            }
        }
    }
}

/// Walks a chain, an entry after the other.
#[derive(Debug)]
pub struct Walk {
    last: Head,
    /// Where it begins: the entry before is known by something else, or there is none.
    start: Head,
    entries: u64,
    fault: Option<Fault>,
    /// The entry that does not follow upon the last: which of the two is wrong, the next one tells.
    suspect: Option<(u64, Link)>,
    /// The number that stood where another was missing.
    odd: Option<u64>,
    checkpoints: BTreeMap<u64, Digest>,
    /// The checkpoint that nobody signed.
    forged: Option<u64>,
    signers: Vec<Signer>,
    unveiled: Unveiled,
}

impl Walk {
    /// A walk from behind `start` (the default: from the beginning) that passes `checkpoints`.
    #[must_use]
    pub fn new<'a>(start: Head, checkpoints: impl IntoIterator<Item = &'a Checkpoint>) -> Self {
        let mut walk = Self {
            last: start,
            start,
            entries: 0,
            fault: None,
            suspect: None,
            odd: None,
            checkpoints: BTreeMap::new(),
            forged: None,
            signers: Vec::new(),
            unveiled: Unveiled::default(),
        };
        for checkpoint in checkpoints {
            let head = checkpoint.head;
            if !checkpoint.is_signed() {
                walk.forged = Some(walk.forged.map_or(head.seq, |seq| seq.min(head.seq)));
            } else if head.seq > start.seq {
                walk.checkpoints.insert(head.seq, head.hash);
                walk.note_signer(checkpoint);
            }
        }
        walk
    }

    fn note_signer(&mut self, checkpoint: &Checkpoint) {
        let seq = checkpoint.head.seq;
        let is_same = |signer: &&mut Signer| {
            signer.public_key == checkpoint.public_key && signer.node == checkpoint.node
        };
        match self.signers.iter_mut().find(is_same) {
            Some(signer) => {
                signer.first = signer.first.min(seq);
                signer.last = signer.last.max(seq);
            }
            None => self.signers.push(Signer {
                node: checkpoint.node.clone(),
                public_key: checkpoint.public_key,
                first: seq,
                last: seq,
                is_known: false,
            }),
        }
    }

    /// Says where whoever keeps the chain believes that it ends.
    pub fn ends_at(&mut self, head: Head) {
        if head.seq > self.start.seq {
            self.checkpoints.entry(head.seq).or_insert(head.hash);
        }
    }

    /// Takes the next entry.
    pub fn pass(&mut self, link: Link) {
        self.entries += 1;
        // What an erasure takes out lies before it.
        if let Some(person) = link.erases {
            self.unveiled.erased(person);
        }
        if let Some(persons) = link.unveiled {
            self.unveiled.note(link.at.seq, persons);
        }
        if let Some((before, suspect)) = self.suspect.take() {
            self.resolve(before, suspect, Some(&link));
        }
        if self.fault.is_some() {
            return self.look_for_what_was_missed(&link);
        }
        let expected = self.last.seq + 1;
        let fault = |seq, kind| Some(Fault { seq, kind });
        if link.at.seq < expected {
            self.fault = fault(link.at.seq, FaultKind::Inserted);
        } else if link.at.seq > expected {
            self.odd = Some(link.at.seq);
            self.fault = fault(expected, FaultKind::Removed);
        } else if !link.is_sound {
            self.fault = fault(expected, FaultKind::Changed);
        } else if link.previous != self.last.hash {
            if self.last == self.start || self.is_vouched_for(self.last) {
                self.fault = fault(expected, FaultKind::Changed);
            } else {
                self.suspect = Some((self.last.seq, link));
            }
        } else if self.is_denied(link.at) {
            self.fault = fault(expected, FaultKind::Rewritten);
        }
        self.last = link.at;
    }

    /// What came of it.
    #[must_use]
    pub fn end(mut self) -> Verdict {
        if let Some((before, suspect)) = self.suspect.take() {
            self.resolve(before, suspect, None);
        }
        let cut_off = self.checkpoints.range(self.last.seq + 1..).next();
        let cut_off = cut_off.map(|_| Fault {
            seq: self.last.seq + 1,
            kind: FaultKind::Removed,
        });
        let unveiled = self.unveiled.first().map(|seq| Fault {
            seq,
            kind: FaultKind::Changed,
        });
        let forged = self.forged.map(|seq| Fault {
            seq,
            kind: FaultKind::Forged,
        });
        Verdict {
            entries: self.entries,
            last: (self.entries > 0).then_some(self.last.seq),
            fault: self.fault.or(cut_off).or(unveiled).or(forged),
            signers: self.signers,
        }
    }

    /// Two entries do not fit. Each fits its own hash, so one of them was made anew: the first, unless
    /// nothing stands on the second either.
    fn resolve(&mut self, before: u64, suspect: Link, next: Option<&Link>) {
        let is_stood_on = next.is_none_or(|next| next.previous == suspect.at.hash);
        self.fault = Some(Fault {
            seq: if is_stood_on { before } else { suspect.at.seq },
            kind: FaultKind::Changed,
        });
    }

    /// An entry that is missing in its place and stands in another was moved, not taken away; one that
    /// stood there and comes again was put there.
    fn look_for_what_was_missed(&mut self, link: &Link) {
        let Some(fault) = &mut self.fault else { return };
        match fault.kind {
            FaultKind::Removed if link.at.seq == fault.seq => fault.kind = FaultKind::Swapped,
            FaultKind::Swapped if Some(link.at.seq) == self.odd => {
                *fault = Fault {
                    seq: link.at.seq,
                    kind: FaultKind::Inserted,
                };
            }
            _ => {}
        }
        self.last.seq = self.last.seq.max(link.at.seq);
    }

    fn is_vouched_for(&self, head: Head) -> bool {
        self.checkpoints.get(&head.seq) == Some(&head.hash)
    }

    fn is_denied(&self, head: Head) -> bool {
        let signed = self.checkpoints.get(&head.seq);
        signed.is_some_and(|hash| *hash != head.hash)
    }
}
