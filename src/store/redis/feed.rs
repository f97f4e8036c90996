//! The feed and the line that says where it ends, as they lie in Redis.
//!
//! The id of an entry is its revision, so a gap is seen, not inferred. Each entry names the change before
//! it, and its audit entries the chain before them, so a fork is seen, not inferred: also where a change was made
//! again at the revision it had. It holds the whole change, so that any gate could give it back.

use redis::{Cmd, Value};

use crate::domain::audit::chain::{Head, Sealed};
use crate::domain::audit::form;
use crate::domain::change::{Change, ChangeId, Revision, Write};
use crate::domain::id::OwnerId;
use crate::store::embedded::Place;
use crate::store::record;

use super::frame::{self, Kind};
use super::names::{Names, hex, unhex};

/// Where a store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stand {
    /// Which store it is; drawn when it was made, and the same for ever.
    pub(super) incarnation: [u8; 16],
    /// Its last revision.
    pub(super) revision: Revision,
    /// The change that it is.
    pub(super) change: ChangeId,
    /// Where its audit chain ends.
    pub(super) head: Head,
}

/// What `meta` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meta {
    /// There is no store.
    Nothing,
    /// A version of ours cannot read what is there.
    Newer {
        /// Its format.
        format: u64,
    },
    /// There is one.
    At(Stand),
    /// There is something, but no store of ours.
    Unreadable,
}

/// One change of the feed.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its revision.
    pub(super) revision: Revision,
    /// The change before it.
    pub(super) before: ChangeId,
    /// The change.
    pub(super) change: Change,
    /// Its audit entries, as they were sealed.
    pub(super) sealed: Vec<Sealed>,
    /// How many of its records could not be read, and are missing from it.
    pub(super) unreadable: u64,
    /// Whether all its audit entries could be read.
    pub(super) is_sealed: bool,
    /// When it was committed, in microseconds of the store's clock; `None` if it does not say.
    pub(super) committed_us: Option<u64>,
}

impl Stand {
    /// The change that was the last.
    pub(super) const fn place(&self) -> Place {
        Place {
            revision: self.revision,
            change: self.change,
            head: Some(self.head),
        }
    }

    /// Whether it is what stands there, as far as that is known.
    pub(super) fn is_at(&self, place: Place) -> bool {
        let is_of_its_chain = place.head.is_none_or(|head| head == self.head);
        self.revision == place.revision && self.change == place.change && is_of_its_chain
    }
}

impl Entry {
    /// Whether it was made upon what stands there, as far as that is known. What could not be read of it says
    /// nothing.
    pub(super) fn follows(&self, place: Place) -> bool {
        let first = self.sealed.first().filter(|_| self.is_sealed);
        let is_of_its_chain = match (first, place.head) {
            (Some(first), Some(head)) => first.follows(head),
            _ => true,
        };
        self.revision == place.revision.next() && self.before == place.change && is_of_its_chain
    }

    /// Whether it is what stands there, as far as that is known.
    pub(super) fn is_at(&self, place: Place) -> bool {
        let last = self.sealed.last().filter(|_| self.is_sealed);
        let is_of_its_chain = match (last, place.head) {
            (Some(last), Some(head)) => last.head() == head,
            _ => true,
        };
        self.revision == place.revision && self.change.id == place.change && is_of_its_chain
    }

    /// Whether [`Self::follows`] and [`Self::is_at`] are proof: both have audit entries, all of which are known.
    pub(super) fn proves(&self, place: Place) -> bool {
        self.is_sealed && !self.sealed.is_empty() && place.head.is_some()
    }

    /// Where the store that stood there stands with it.
    pub(super) fn moves(&self, stand: Stand) -> Stand {
        Stand {
            incarnation: stand.incarnation,
            revision: self.revision,
            change: self.change.id,
            head: self.sealed.last().map_or(stand.head, Sealed::head),
        }
    }
}

/// An answer does not look like a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAFeed;

/// Asks where the store stands.
pub(super) fn ask_meta(names: &Names) -> Cmd {
    let mut command = redis::cmd("HMGET");
    command.arg(names.meta()).arg(&META_FIELDS);
    command
}

/// Reads what [`ask_meta`], or the script that begins a store, was answered.
pub(super) fn read_meta(fields: &[Option<Vec<u8>>]) -> Meta {
    let [format, min_reader, incarnation, revision, change, head] = fields else {
        return Meta::Unreadable;
    };
    if fields.iter().all(Option::is_none) {
        return Meta::Nothing;
    }
    match (number(format), number(min_reader)) {
        (Some(format), Some(oldest)) if oldest > FORMAT => return Meta::Newer { format },
        (Some(_), Some(_)) => {}
        _ => return Meta::Unreadable,
    }
    let stand = || {
        Some(Stand {
            incarnation: unhex(incarnation.as_deref()?)?,
            revision: Revision(number(revision)?),
            change: ChangeId(unhex(change.as_deref()?)?),
            head: read_head(std::str::from_utf8(head.as_deref().unwrap_or_default()).ok()?)?,
        })
    };
    stand().map_or(Meta::Unreadable, Meta::At)
}

/// Asks for the entries after `after`, up to `until` if given, at most `most`.
pub(super) fn ask_range(
    names: &Names,
    after: Revision,
    until: Option<Revision>,
    most: usize,
) -> Cmd {
    let mut command = redis::cmd("XRANGE");
    command.arg(names.feed()).arg(format!("{}-0", after.next()));
    match until {
        Some(until) => command.arg(format!("{until}-0")),
        None => command.arg("+"),
    };
    command.arg("COUNT").arg(most);
    command
}

/// Asks for the entries after `after`, and waits up to `wait_ms` milliseconds if there are none.
pub(super) fn ask_news(names: &Names, after: Revision, wait_ms: u64, most: usize) -> Cmd {
    let mut command = redis::cmd("XREAD");
    command.arg("BLOCK").arg(wait_ms).arg("COUNT").arg(most);
    command.arg("STREAMS").arg(names.feed());
    command.arg(format!("{after}-0"));
    command
}

/// Reads what [`ask_news`] was answered.
pub(super) fn read_news(answer: Value) -> Result<Vec<Entry>, NotAFeed> {
    let Value::Array(streams) = answer else {
        return match answer {
            Value::Nil => Ok(Vec::new()),
            _ => Err(NotAFeed),
        };
    };
    match streams.into_iter().next() {
        Some(Value::Array(stream)) => read_range(stream.into_iter().nth(1).ok_or(NotAFeed)?),
        _ => Err(NotAFeed),
    }
}

/// Reads what [`ask_range`] was answered.
pub(super) fn read_range(answer: Value) -> Result<Vec<Entry>, NotAFeed> {
    let Value::Array(entries) = answer else {
        return Err(NotAFeed);
    };
    entries
        .into_iter()
        .map(|entry| read_entry(entry).ok_or(NotAFeed))
        .collect()
}

fn read_entry(entry: Value) -> Option<Entry> {
    let Value::Array(entry) = entry else {
        return None;
    };
    let [id, Value::Array(fields)] = <[Value; 2]>::try_from(entry).ok()? else {
        return None;
    };
    let id = bytes(id)?;
    let revision: u64 = std::str::from_utf8(&id)
        .ok()?
        .strip_suffix("-0")?
        .parse()
        .ok()?;
    let (mut change, mut before, mut committed_us) = (None, None, None);
    let (mut writes, mut audit, mut all_sealed) = (Vec::new(), Vec::new(), Vec::new());
    let (mut unreadable, mut is_sealed) = (0, true);
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let (name, value) = (bytes(name)?, bytes(value)?);
        match name.as_slice() {
            b"c" => change = unhex(&value).map(ChangeId),
            // A gate that does not know of times takes the last `p` there is; so one that names none is the time.
            b"p" => match value.strip_prefix(b"at ") {
                Some(digits) => committed_us = std::str::from_utf8(digits).ok()?.parse().ok(),
                None => before = unhex(&value).map(ChangeId),
            },
            b"a" => match record::decode_sealed(&value) {
                Ok(sealed) => {
                    // One of a newer gate says nothing here, and stands in its place all the same.
                    audit.extend(sealed.entry());
                    all_sealed.push(sealed);
                }
                Err(_) => {
                    unreadable += 1;
                    is_sealed = false;
                }
            },
            name => match read_write(name, &value) {
                Some(write) => writes.push(write),
                None => unreadable += 1,
            },
        }
    }
    Some(Entry {
        revision: Revision(revision),
        before: before?,
        change: Change {
            id: change?,
            expect: Revision(revision.checked_sub(1)?),
            writes,
            audit,
        },
        sealed: all_sealed,
        unreadable,
        is_sealed,
        committed_us,
    })
}

fn read_write(name: &[u8], value: &[u8]) -> Option<Write> {
    let (letter, id) = std::str::from_utf8(name).ok()?.split_once(':')?;
    let kind = Kind::from_letter(letter)?;
    if kind == Kind::Erasure {
        let owner = OwnerId::from_chars(id.as_bytes()).ok()?;
        return Some(Write::Erasure(owner));
    }
    let (_revision, write) = frame::read(kind, value).ok()?;
    Some(write)
}

/// Where a chain ends, as `meta` has it.
pub(super) fn head_text(head: Head) -> String {
    match head.seq {
        0 => String::new(),
        seq => format!("{seq}:{}", form::hex(&head.hash)),
    }
}

/// Where a chain ends, read from what [`head_text`] wrote.
pub(super) fn read_head(text: &str) -> Option<Head> {
    if text.is_empty() {
        return Some(Head::default());
    }
    let (seq, hash) = text.split_once(':')?;
    Some(Head {
        seq: seq.parse().ok()?,
        hash: form::unhex(hash)?,
    })
}

/// How a change is named in Redis.
pub(super) fn change_text(id: ChangeId) -> String {
    hex(&id.0)
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn number(field: &Option<Vec<u8>>) -> Option<u64> {
    std::str::from_utf8(field.as_deref()?).ok()?.parse().ok()
}

/// The form of what this version writes.
pub(super) const FORMAT: u64 = 1;
/// What stands before the first change.
pub(super) const NO_CHANGE: ChangeId = ChangeId([0; 16]);
/// About how many changes are remembered.
pub(super) const FEED_ENTRIES: u64 = 16_384;
const META_FIELDS: [&str; 6] = ["fmt", "min_reader", "inc", "rev", "cid", "head"];

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(fields: [&str; 5]) -> Meta {
        let fields = fields.map(|field| Some(field.as_bytes().to_vec()).filter(|f| !f.is_empty()));
        let [format, min_reader, incarnation, revision, change] = fields;
        read_meta(&[format, min_reader, incarnation, revision, change, None])
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn entry(id: &str, fields: &[&str]) -> Value {
        let fields = fields.iter().map(|field| text(field)).collect();
        Value::Array(vec![text(id), Value::Array(fields)])
    }

    #[test]
    fn meta_is_a_store_or_says_what_it_is_instead() {
        let (inc, cid) = (hex(&[1; 16]), hex(&[2; 16]));
        let stand = Stand {
            incarnation: [1; 16],
            revision: Revision(7),
            change: ChangeId([2; 16]),
            head: Head::default(),
        };
        assert_eq!(meta(["1", "1", &inc, "7", &cid]), Meta::At(stand));
        assert_eq!(meta(["3", "1", &inc, "7", &cid]), Meta::At(stand));
        assert_eq!(meta(["3", "2", &inc, "7", &cid]), Meta::Newer { format: 3 });
        assert_eq!(meta(["", "", "", "", ""]), Meta::Nothing);
        for broken in [
            ["", "1", inc.as_str(), "7", cid.as_str()],
            ["1", "1", "", "7", &cid],
            ["1", "1", &inc, "seven", &cid],
            ["1", "1", &inc, "7", "ff"],
        ] {
            assert_eq!(meta(broken), Meta::Unreadable);
        }
    }

    #[test]
    fn an_entry_is_one_revision_and_names_the_change_before_it() {
        let (before, change) = (hex(&[1; 16]), hex(&[2; 16]));
        let fields = ["c", &change, "p", &before, "k:x", "damaged", "z:later", "1"];
        let read = read_range(Value::Array(vec![entry("8-0", &fields)])).unwrap();
        assert_eq!(read[0].revision, Revision(8));
        assert_eq!(read[0].before, ChangeId([1; 16]));
        assert_eq!(read[0].change.id, ChangeId([2; 16]));
        assert_eq!(read[0].change.expect, Revision(7));
        assert_eq!(read[0].unreadable, 2);
        assert_eq!(read[0].committed_us, None);

        let timed = ["p", "at 1700000000000001", "c", &change, "p", &before];
        let read = read_range(Value::Array(vec![entry("8-0", &timed)])).unwrap();
        assert_eq!(read[0].before, ChangeId([1; 16]));
        assert_eq!(read[0].committed_us, Some(1_700_000_000_000_001));
        assert_eq!(read[0].unreadable, 0);

        for broken in [
            entry("8-1", &fields),
            entry("0-0", &fields),
            entry("x", &fields),
            entry("8-0", &["c", &change]),
            entry("8-0", &["p", &before]),
            Value::Nil,
        ] {
            let read = read_range(Value::Array(vec![broken]));
            assert!(matches!(read, Err(NotAFeed)));
        }
    }

    #[test]
    fn what_cannot_be_read_of_an_entry_says_nothing_of_its_history() {
        let sealed = Sealed {
            seq: 3,
            hash: [3; 32],
            body: Vec::new(),
            veil: None,
        };
        let entry = |is_sealed: bool, sealed| Entry {
            revision: Revision(8),
            before: ChangeId([7; 16]),
            change: Change {
                id: ChangeId([8; 16]),
                expect: Revision(7),
                writes: Vec::new(),
                audit: Vec::new(),
            },
            sealed,
            unreadable: u64::from(!is_sealed),
            is_sealed,
            committed_us: None,
        };
        let place = |revision, change, seq| Place {
            revision: Revision(revision),
            change: ChangeId([change; 16]),
            head: Some(Head { seq, hash: [3; 32] }),
        };
        let (whole, torn) = (
            entry(true, vec![sealed.clone()]),
            entry(false, vec![sealed]),
        );
        assert!(whole.is_at(place(8, 8, 3)) && !whole.is_at(place(8, 8, 4)));
        assert!(torn.is_at(place(8, 8, 4)) && !torn.is_at(place(8, 9, 4)));
        // Its body names no entry before it.
        assert!(!whole.follows(place(7, 7, 2)) && torn.follows(place(7, 7, 2)));
        assert!(
            entry(true, Vec::new()).follows(place(7, 7, 2))
                && !entry(true, Vec::new()).follows(place(7, 8, 2))
        );
    }

    #[test]
    fn where_a_chain_ends_reads_back() {
        for head in [
            Head::default(),
            Head {
                seq: u64::MAX,
                hash: [0xab; 32],
            },
        ] {
            assert_eq!(read_head(&head_text(head)), Some(head));
        }
        assert_eq!(read_head("7"), None);
        assert_eq!(read_head("7:ab"), None);
    }

    #[test]
    fn no_news_is_an_empty_feed() {
        assert!(read_news(Value::Nil).unwrap().is_empty());
        assert!(matches!(read_news(Value::Okay), Err(NotAFeed)));
    }
}
