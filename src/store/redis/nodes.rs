//! The gates that share the store: a row each in one hash, written once a second by a script that tells
//! every gate of all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::change::{ChangeId, Revision};
use crate::domain::fleet::{LIVE_WITHIN, Node, Roster};
use crate::domain::time::{Reading, Timestamp};
use crate::store::local::is_node_name;
use crate::store::{Beat, Beaten, StoreError, Struck};

use super::connect::{Cause, Fault};
use super::feed::{self, Stand};
use super::follow::Shared;
use super::names::{hex, unhex};
use super::scripts::Call;
use super::words::Ears;

/// What a gate knows of the others besides what is in the mirror.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    pub(super) ears: Ears,
    times: Mutex<Times>,
}

/// When changes were committed, and what the store's clock says.
#[derive(Debug, Default)]
struct Times {
    /// The store's clock at one moment of this gate's monotonic one.
    clock: Option<Moment>,
    /// Of the last changes of other gates, in order.
    committed: VecDeque<(Revision, u64)>,
    /// Where the store stood at the beat before.
    stood: Option<Revision>,
}

#[derive(Debug, Clone, Copy)]
struct Moment {
    store_us: u64,
    here_ns: u64,
}

impl Neighbours {
    /// A change came that was committed then, in microseconds of the store's clock.
    pub(super) fn note_commit(&self, revision: Revision, at_us: u64) {
        let mut times = self.times.lock();
        if times
            .committed
            .back()
            .is_none_or(|(last, _)| *last < revision)
        {
            times.committed.push_back((revision, at_us));
            if times.committed.len() > COMMITS_KEPT {
                times.committed.pop_front();
            }
        }
    }

    /// How long ago a change was committed, if that is known.
    pub(super) fn age(&self, revision: Revision, now_ns: u64) -> Option<Duration> {
        let times = self.times.lock();
        let Moment { store_us, here_ns } = times.clock?;
        let at = times
            .committed
            .binary_search_by_key(&revision, |(revision, _)| *revision)
            .ok()?;
        let (_, committed_us) = times.committed.get(at)?;
        let now_us = store_us + now_ns.saturating_sub(here_ns) / 1_000;
        Some(Duration::from_micros(now_us.saturating_sub(*committed_us)))
    }

    /// The store answered with its time in the middle of a call that began and ended then.
    fn learn(&self, store_us: u64, (sent_ns, landed_ns): (u64, u64)) {
        let here_ns = sent_ns + landed_ns.saturating_sub(sent_ns) / 2;
        self.times.lock().clock = Some(Moment { store_us, here_ns });
    }

    /// Whether the mirror, which is at `mine`, lacks what the store had a beat ago; the store is now at
    /// `theirs`.
    fn is_behind(&self, mine: Revision, theirs: Revision) -> bool {
        let stood = self.times.lock().stood.replace(theirs);
        stood.is_some_and(|stood| mine < stood)
    }
}

/// Says that a gate is there, and learns who else is.
///
/// # Errors
/// If nothing was written.
pub(super) async fn beat(shared: &Shared, beat: &Beat) -> Result<Beaten, StoreError> {
    let (answer, stand, (sent, answered_ns)) = send(shared, beat, UP).await?;
    let mut words = answer.into_iter();
    let word = words.next().unwrap_or_default();
    match word.as_slice() {
        b"OK" => {}
        b"FULL" => return Ok(Beaten::Full),
        b"TAKEN" => {
            let ms = words.nth(1).as_deref().and_then(number).unwrap_or_default();
            let since = Duration::from_millis(ms);
            return Ok(Beaten::Taken { since });
        }
        b"FOREIGN" => return Err(foreign(shared, stand, words.next()).into()),
        _ => return Err(damaged(shared).into()),
    }
    let theirs = (|| {
        let at_us = number(&words.next()?)?;
        let revision = Revision(number(&words.next()?)?);
        let change = ChangeId(unhex(&words.next()?)?);
        let head = feed::read_head(std::str::from_utf8(&words.next()?).ok()?)?;
        let theirs = Stand {
            incarnation: stand.incarnation,
            revision,
            change,
            head,
        };
        Some((at_us, theirs))
    })();
    let Some((at_us, theirs)) = theirs else {
        return Err(damaged(shared).into());
    };
    shared.heard(sent);
    let span = (sent.mono_ns, answered_ns);
    shared.neighbours.learn(at_us, span);
    let at = Timestamp::from_millis(at_us / 1_000);
    let nodes = read_rows(words);
    // What the follower missed, whatever keeps it from seeing it: a silent connection, a master that is none
    // any more and does not know.
    let is_forked = theirs.revision == stand.revision && theirs != stand;
    if shared
        .neighbours
        .is_behind(shared.revision(), theirs.revision)
        || is_forked
    {
        shared.follower_missed.notify_waiters();
    }
    Ok(Beaten::Known(Roster { at, nodes }))
}

/// Says that a gate is there no more.
///
/// # Errors
/// If that is not known to have been written.
pub(super) async fn sign_off(shared: &Shared, beat: &Beat) -> Result<(), StoreError> {
    send(shared, beat, OFF).await?;
    Ok(())
}

/// Who is there.
///
/// # Errors
/// If the store does not say.
pub(super) async fn roster(shared: &Shared) -> Result<Roster, StoreError> {
    let mut ask = redis::pipe();
    ask.cmd("TIME");
    ask.hgetall(shared.names.nodes());
    let (time, rows): (Time, Vec<Pair>) = shared.link.ask_all(&ask).await?;
    Ok(roster_at(time, rows))
}

/// Who is there, and what they have applied of the history in which a change landed at a revision.
///
/// # Errors
/// If the store does not say.
pub(super) async fn roster_of(
    shared: &Shared,
    (revision, change): (Revision, ChangeId),
) -> Result<Roster, StoreError> {
    let mut ask = redis::pipe();
    ask.cmd("TIME");
    ask.hgetall(shared.names.nodes());
    // After the rows: what is there now was there when they were written, or they are of no history that is.
    ask.hget(shared.names.meta(), "rev");
    let before = Revision(revision.0.saturating_sub(1));
    ask.add_command(feed::ask_range(&shared.names, before, Some(revision), 1));
    let (time, rows, last, there): (Time, Vec<Pair>, Option<u64>, redis::Value) =
        shared.link.ask_all(&ask).await?;
    let there = shared.entries(feed::read_range(there))?;
    // The feed forgets; a store that has not come so far has lost it.
    let is_lost = match there.first() {
        Some(entry) => entry.change.id != change,
        None => last.is_none_or(|last| last < revision.0),
    };
    let roster = roster_at(time, rows);
    Ok(if is_lost {
        roster.applying_nothing()
    } else {
        roster
    })
}

fn roster_at((seconds, micros): Time, rows: Vec<Pair>) -> Roster {
    Roster {
        at: Timestamp::from_millis(seconds * 1_000 + micros / 1_000),
        nodes: read_rows(rows.into_iter().flat_map(|(name, row)| [name, row])),
    }
}

/// Takes a gate out of the roster.
///
/// # Errors
/// If it is not known to be out.
pub(super) async fn strike_off(shared: &Shared, node: &str) -> Result<Struck, StoreError> {
    let mut call = Call::default();
    call.key(shared.names.nodes());
    call.bytes(node).number(millis(LIVE_WITHIN));
    let route = shared.ours().await?;
    let answer: String = shared.scripts.strike.run(route, &call).await?;
    match answer.as_str() {
        "DONE" => Ok(Struck::Off),
        "NONE" => Ok(Struck::Unknown),
        "LIVE" => Ok(Struck::Live),
        _ => Err(damaged(shared).into()),
    }
}

/// Sends a beat; the answer, what the mirror was at, and when it was sent and answered.
async fn send(
    shared: &Shared,
    beat: &Beat,
    state: &str,
) -> Result<(Vec<Vec<u8>>, Stand, (Reading, u64)), Fault> {
    let Some(stand) = shared.mirror.stand() else {
        return Err(shared.link.blame(Cause::NotConnected));
    };
    // What is acted upon beyond the mirror, or by who has not taken that in anew, is of a history that the mirror has
    // left. Where the mirror stands was asked first: what it is taken anew by after that is not in the beat.
    let renewals = *shared.mirror.renewals().borrow();
    let applied = if beat.applied > stand.revision || beat.renewals != renewals {
        Revision(0)
    } else {
        beat.applied
    };
    let mut call = Call::default();
    call.key(shared.names.nodes());
    call.key(shared.names.meta());
    call.key(shared.names.feed());
    call.bytes(hex(&stand.incarnation))
        .bytes(beat.node.as_bytes())
        .bytes(format!("{:x}", beat.boot))
        .number(applied.0)
        .bytes(state)
        .number(beat.max_staleness.as_secs())
        .bytes(env!("CARGO_PKG_VERSION"))
        .number(millis(LIVE_WITHIN))
        .number(ROW_KEPT_S)
        .number(ROWS_MAX)
        .number(stand.revision.0)
        .bytes(feed::change_text(stand.change))
        .bytes(feed::head_text(stand.head))
        .bytes(if stand.head.seq > 0 {
            &stand.head.hash[..]
        } else {
            &[]
        });
    shared.link.may_write().await?;
    let sent = shared.clock.read();
    let answer = shared.scripts.beat.run(shared.link.any(), &call).await?;
    Ok((answer, stand, (sent, shared.clock.mono_ns())))
}

/// The rows that can be read, as many as there may be: those of a version to come are its own business, and
/// what no gate would have written is told to nobody.
fn read_rows(words: impl Iterator<Item = Vec<u8>>) -> Vec<Node> {
    let mut words = words;
    let mut nodes = Vec::new();
    while let (Some(name), Some(row)) = (words.next(), words.next()) {
        nodes.extend(read_row(&name, &row));
        if nodes.len() >= ROWS_TAKEN {
            break;
        }
    }
    nodes.sort_by(|one: &Node, other| one.name.cmp(&other.name));
    nodes
}

fn read_row(name: &[u8], row: &[u8]) -> Option<Node> {
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|it| is_node_name(it))?;
    let mut words = std::str::from_utf8(row).ok()?.split(' ');
    Some(Node {
        name: Arc::from(name),
        boot: u64::from_str_radix(words.next()?, 16).ok()?,
        index: words.next()?.parse().ok()?,
        applied: Revision(words.next()?.parse().ok()?),
        beat_at: Timestamp::from_millis(words.next()?.parse().ok()?),
        is_off: words.next()? != UP,
        max_staleness: Duration::from_secs(words.next()?.parse().ok()?),
        version: Arc::from(words.next().filter(|version| is_version(version))?),
    })
}

fn is_version(text: &str) -> bool {
    text.len() <= VERSION_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn foreign(shared: &Shared, mine: Stand, found: Option<Vec<u8>>) -> Fault {
    let mine = hex(&mine.incarnation);
    let found = String::from_utf8_lossy(&found.unwrap_or_default()).into_owned();
    shared.link.blame(if found.is_empty() {
        Cause::Emptied { mine }
    } else {
        Cause::Foreign { found, mine }
    })
}

fn damaged(shared: &Shared) -> Fault {
    shared.link.blame(Cause::Damaged {
        what: "it does not answer as the scripts of the roster do".to_owned(),
    })
}

fn number(text: &(impl AsRef<[u8]> + ?Sized)) -> Option<u64> {
    std::str::from_utf8(text.as_ref()).ok()?.parse().ok()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds and microseconds of the store's clock.
type Time = (u64, u64);
/// A name and its row.
type Pair = (Vec<u8>, Vec<u8>);

const UP: &str = "up";
const OFF: &str = "off";
/// How long a row is kept that nobody beats for, at least.
const ROW_KEPT_S: u64 = 24 * 3_600;
const ROWS_MAX: u64 = 512;
/// The same, of what is read.
const ROWS_TAKEN: usize = 512;
/// How long a version is at most.
const VERSION_MAX: usize = 64;
/// Of how many changes it is remembered when they were committed.
const COMMITS_KEPT: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_whatever_a_newer_gate_adds_and_what_is_none_is_left_alone() {
        let node = read_row(b"gate-1", b"ff 3 1812 5000 up 86400 0.1.0").unwrap();
        assert_eq!(
            (node.boot, node.index, node.applied),
            (255, 3, Revision(1_812))
        );
        assert_eq!(node.beat_at, Timestamp::from_millis(5_000));
        assert_eq!(node.max_staleness, Duration::from_secs(86_400));
        assert!(!node.is_off && &*node.version == "0.1.0");
        assert!(read_row(b"g", b"ff 3 1 5 off 1 0.1.0 more").unwrap().is_off);
        for broken in ["", "ff 3 1 5 up", "x 3 1 5 up 1 v", "ff 3 -1 5 up 1 v"] {
            assert_eq!(read_row(b"g", broken.as_bytes()), None, "{broken}");
        }
    }

    /// Names and versions are shown to people and stand in answers; whoever can write to the store writes them.
    #[test]
    fn a_row_that_no_gate_would_write_is_told_to_nobody() {
        let row = b"ff 3 1 5 up 1 0.1.0";
        let longest = "g".repeat(64);
        let of = |name: &str| read_row(name.as_bytes(), row);
        for name in ["g", "Gate-1.a_b", &longest] {
            assert_eq!(&*of(name).unwrap().name, name);
        }
        for name in [
            "",
            "a b",
            "a/b",
            "a\n",
            "\u{1b}[2J",
            "gäte",
            "<b>",
            &"g".repeat(65),
        ] {
            assert_eq!(of(name), None, "{name:?}");
        }
        assert_eq!(read_row(b"\xff", row), None);
        for version in ["\u{1b}[2J", "a\tb", &"1".repeat(65)] {
            let row = format!("ff 3 1 5 up 1 {version}");
            assert_eq!(read_row(b"g", row.as_bytes()), None, "{version:?}");
        }
    }

    #[test]
    fn no_more_rows_are_taken_than_a_roster_has() {
        let rows = |count: u32| {
            let pair = |number| [format!("g{number}"), "ff 3 1 5 up 1 0.1.0".to_owned()];
            read_rows((0..count).flat_map(pair).map(String::into_bytes)).len()
        };
        assert_eq!(rows(512), 512);
        assert_eq!(rows(100_000), 512);
    }

    #[test]
    fn the_age_of_a_change_is_by_the_stores_clock_and_never_negative() {
        let known = Neighbours::default();
        known.note_commit(Revision(5), 1_000_000);
        known.note_commit(Revision(6), 9_000_000);
        assert_eq!(known.age(Revision(5), 0), None);
        // The store said 2 s half way between the first and the third second here.
        known.learn(2_000_000, (1_000_000_000, 3_000_000_000));
        let age = |revision, now_s: u64| known.age(Revision(revision), now_s * 1_000_000_000);
        assert_eq!(age(5, 2), Some(Duration::from_secs(1)));
        assert_eq!(age(5, 5), Some(Duration::from_secs(4)));
        assert_eq!(age(6, 2), Some(Duration::ZERO));
        assert_eq!(age(4, 2), None);
        assert_eq!(age(7, 2), None);
    }

    #[test]
    fn only_the_last_changes_are_remembered() {
        let known = Neighbours::default();
        known.learn(0, (0, 0));
        for revision in 1..=5_000 {
            known.note_commit(Revision(revision), 1);
        }
        assert_eq!(known.age(Revision(904), 0), None);
        assert_eq!(known.age(Revision(905), 0), Some(Duration::ZERO));
        // What is read anew is known already.
        known.note_commit(Revision(4_999), 7);
        assert_eq!(known.times.lock().committed.len(), 4_096);
    }

    #[test]
    fn a_mirror_is_behind_that_lacks_what_the_store_had_a_beat_ago() {
        let known = Neighbours::default();
        assert!(!known.is_behind(Revision(1), Revision(5)));
        assert!(known.is_behind(Revision(4), Revision(5)));
        assert!(!known.is_behind(Revision(5), Revision(9)));
        assert!(known.is_behind(Revision(8), Revision(9)));
    }
}
