//! Requests on their way into the audit log, from where they were served to where they are written.
//!
//! Each core has a [`Notebook`] of its own: a finished request is one push there, and nobody waits. What is
//! above its share of 1,000 a second is folded on the spot: like ones become one note that counts. Full
//! pages go to one thread; where that is behind, a page is given up, and counted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use http::HeaderValue;

use super::counters::CoreCounters;
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::permission::Method;
use crate::domain::refusal::RefusalCode;
use crate::domain::time::Timestamp;

/// A finished request, or several that were alike.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    /// When it came, or the first of them.
    pub(crate) at: Timestamp,
    /// What they have in common.
    pub(crate) likeness: Likeness,
    /// What it is called; `None` where several were folded.
    pub(crate) request_id: Option<HeaderValue>,
    /// Its path; `None` where several were folded.
    pub(crate) path: Option<String>,
    /// How many they were.
    pub(crate) count: u64,
    /// When the last of several came.
    pub(crate) until: Option<Timestamp>,
}

/// What makes two requests alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Likeness {
    /// The key that was shown, its version and its owner.
    pub(crate) key: Option<(KeyId, u16, OwnerId)>,
    /// The route, by its place in the table: its name is everyone's, and counting who holds it would have
    /// the cores wait for each other.
    pub(crate) route: Option<u16>,
    /// The method.
    pub(crate) method: Option<Method>,
    /// What the client got.
    pub(crate) status: u16,
    /// Why it was refused.
    pub(crate) code: Option<RefusalCode>,
    /// Who asked.
    pub(crate) client: Option<IpAddr>,
}

/// Where a core writes its requests down.
#[derive(Debug)]
pub(crate) struct Notebook {
    writer: NoteWriter,
    pages: RefCell<Pages>,
}

/// The way to the thread that keeps them.
#[derive(Debug, Clone)]
pub(crate) struct NoteWriter {
    queue: Option<SyncSender<Vec<Note>>>,
    /// How many a core may write down each by itself in a second.
    share: u32,
    /// How many kinds it tells apart beyond that.
    kinds: usize,
}

/// Where they arrive.
pub(crate) type NoteSink = Receiver<Vec<Note>>;

#[derive(Debug, Default)]
struct Pages {
    notes: Vec<Note>,
    folds: HashMap<Likeness, Note, foldhash::fast::RandomState>,
    second: u64,
    in_second: u32,
}

impl NoteWriter {
    /// Keeps none.
    #[cfg(test)]
    pub(crate) const fn none() -> Self {
        Self {
            queue: None,
            share: 0,
            kinds: 0,
        }
    }

    /// What so many cores write down goes to whoever holds the [`NoteSink`].
    pub(crate) fn new(cores: usize) -> (Self, NoteSink) {
        let (queue, sink) = sync_channel(PAGES_MAX);
        let kinds = (FOLDS_MAX / cores.max(1)).max(FOLDS_MIN);
        let cores = u32::try_from(cores.max(1)).unwrap_or(u32::MAX);
        let share = (SINGLE_MAX / cores).max(1);
        (
            Self {
                queue: Some(queue),
                share,
                kinds,
            },
            sink,
        )
    }
}

impl Notebook {
    /// An empty one.
    pub(crate) fn new(writer: NoteWriter) -> Self {
        Self {
            writer,
            pages: RefCell::default(),
        }
    }

    /// Writes a finished request down.
    pub(crate) fn note(
        &self,
        counters: &CoreCounters,
        at: Timestamp,
        likeness: Likeness,
        request_id: &HeaderValue,
        path: &str,
    ) {
        if self.writer.queue.is_none() {
            return;
        }
        let mut pages = self.pages.borrow_mut();
        pages.turn_to(at.as_millis() / 1_000);
        pages.in_second = pages.in_second.saturating_add(1);
        if pages.in_second <= self.writer.share {
            pages.notes.push(Note {
                at,
                likeness,
                request_id: Some(request_id.clone()),
                path: Some(path.to_owned()),
                count: 1,
                until: None,
            });
        } else {
            pages.fold(at, likeness, self.writer.kinds);
        }
        if pages.notes.len() >= PAGE {
            self.hand_over(&mut pages.notes, counters);
        }
    }

    /// Hands over whatever there is.
    pub(crate) fn flush(&self, counters: &CoreCounters, now: Timestamp) {
        let mut pages = self.pages.borrow_mut();
        pages.turn_to(now.as_millis() / 1_000);
        if !pages.notes.is_empty() {
            self.hand_over(&mut pages.notes, counters);
        }
    }

    /// Hands over everything, as the last thing that is done.
    pub(crate) fn close(&self, counters: &CoreCounters) {
        let mut pages = self.pages.borrow_mut();
        pages.turn_to(u64::MAX);
        if !pages.notes.is_empty() {
            self.hand_over(&mut pages.notes, counters);
        }
    }

    fn hand_over(&self, notes: &mut Vec<Note>, counters: &CoreCounters) {
        let Some(queue) = &self.writer.queue else {
            return notes.clear();
        };
        let page = std::mem::replace(notes, Vec::with_capacity(PAGE));
        if let Err(TrySendError::Full(page) | TrySendError::Disconnected(page)) =
            queue.try_send(page)
        {
            counters
                .notes_dropped
                .add(page.iter().map(|note| note.count).sum());
        }
    }
}

impl Pages {
    /// Begins a later second: what was folded in the one before is written down. A request that came
    /// earlier and took long belongs to the second it ends in.
    fn turn_to(&mut self, second: u64) {
        if second <= self.second {
            return;
        }
        self.notes.extend(self.folds.drain().map(|(_, note)| note));
        self.second = second;
        self.in_second = 0;
    }

    fn fold(&mut self, at: Timestamp, mut likeness: Likeness, kinds: usize) {
        // A table keyed by what a client chooses has a bound: beyond it, likeness is seen more coarsely.
        if self.folds.len() >= kinds && !self.folds.contains_key(&likeness) {
            likeness.client = None;
            if self.folds.len() >= 2 * kinds && !self.folds.contains_key(&likeness) {
                likeness = Likeness {
                    key: None,
                    route: None,
                    method: None,
                    client: None,
                    status: likeness.status,
                    code: likeness.code,
                };
            }
        }
        let note = self
            .folds
            .entry(likeness)
            .or_insert_with_key(|likeness| Note {
                at,
                likeness: likeness.clone(),
                request_id: None,
                path: None,
                count: 0,
                until: None,
            });
        note.count += 1;
        note.until = Some(note.until.map_or(at, |until| until.max(at)));
    }
}

/// How many a second are written down each by itself, on all cores together.
const SINGLE_MAX: u32 = 1_000;
/// How many kinds of requests are told apart in a second beyond that, on all cores together.
const FOLDS_MAX: usize = 512;
/// The same of one core, however many there are.
const FOLDS_MIN: usize = 16;
/// How many notes go together.
const PAGE: usize = 256;
/// How many pages may wait: a few megabytes.
const PAGES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::counters::Counters;

    fn likeness(status: u16, client: u32) -> Likeness {
        Likeness {
            key: None,
            route: Some(0),
            method: Some(Method::Get),
            status,
            code: None,
            client: Some(IpAddr::from(client.to_be_bytes())),
        }
    }

    fn write(book: &Notebook, counters: &CoreCounters, at_ms: u64, likeness: Likeness) {
        let id = HeaderValue::from_static("req_1");
        book.note(
            counters,
            Timestamp::from_millis(at_ms),
            likeness,
            &id,
            "/v1",
        );
    }

    fn all(sink: &NoteSink) -> Vec<Note> {
        sink.try_iter().flatten().collect()
    }

    #[test]
    fn up_to_its_share_each_request_is_a_note_and_beyond_it_like_ones_are_one() {
        let counters = Counters::new(1, 0);
        let counters = counters.core(0).unwrap();
        let (writer, sink) = NoteWriter::new(1);
        let book = Notebook::new(writer);
        for at in 0..1_000 {
            write(&book, &counters, at % 500, likeness(200, 1));
        }
        for at in 500..900 {
            write(&book, &counters, at, likeness(200, 1));
            write(&book, &counters, at, likeness(401, 1));
        }
        // The next second begins anew.
        write(&book, &counters, 1_000, likeness(200, 1));
        book.close(&counters);

        let notes = all(&sink);
        assert_eq!(notes.iter().map(|note| note.count).sum::<u64>(), 1_801);
        let folded: Vec<&Note> = notes.iter().filter(|note| note.count > 1).collect();
        assert_eq!(folded.len(), 2);
        for note in folded {
            assert_eq!(note.count, 400);
            assert_eq!(note.at, Timestamp::from_millis(500));
            assert_eq!(note.until, Some(Timestamp::from_millis(899)));
            assert_eq!((&note.path, &note.request_id), (&None, &None));
        }
        assert_eq!(counters.notes_dropped.get(), 0);
    }

    /// Streams and slow answers end among the requests of later seconds.
    #[test]
    fn requests_of_many_seconds_that_end_in_one_share_its_bound() {
        let counters = Counters::new(1, 0);
        let counters = counters.core(0).unwrap();
        let (writer, sink) = NoteWriter::new(1);
        let book = Notebook::new(writer);
        for number in 0..4_000 {
            let at = if number % 2 == 0 { 100_000 } else { number };
            write(&book, &counters, at, likeness(200, 1));
        }
        book.close(&counters);
        let notes = all(&sink);
        assert_eq!(notes.len(), 1_000 + 1);
        assert_eq!(notes.iter().map(|note| note.count).sum::<u64>(), 4_000);
    }

    #[test]
    fn however_many_addresses_there_are_the_table_is_bounded_and_all_are_counted() {
        let counters = Counters::new(1, 0);
        let counters = counters.core(0).unwrap();
        let (writer, sink) = NoteWriter::new(32);
        let share = writer.share as usize;
        let book = Notebook::new(writer);
        for client in 0..5_000 {
            write(&book, &counters, 1, likeness(401, client));
        }
        book.close(&counters);
        let notes = all(&sink);
        assert!(notes.len() <= share + FOLDS_MAX / 32 + 1, "{}", notes.len());
        assert_eq!(notes.iter().map(|note| note.count).sum::<u64>(), 5_000);
    }

    #[test]
    fn what_nobody_takes_is_counted() {
        let counters = Counters::new(1, 0);
        let counters = counters.core(0).unwrap();
        let (writer, sink) = NoteWriter::new(1);
        drop(sink);
        let book = Notebook::new(writer);
        write(&book, &counters, 1, likeness(200, 1));
        book.flush(&counters, Timestamp::from_millis(2));
        assert_eq!(counters.notes_dropped.get(), 1);
        assert_eq!(NoteWriter::none().share, 0);
    }
}
