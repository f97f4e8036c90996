//! Keeps events until they are too old.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::fault::{Fault, Quarantine};
use super::tables::{millis, signed, unsigned};
use crate::domain::change::Revision;
use crate::domain::event::{Event, EventPlace};
use crate::domain::id::EventId;
use crate::store::record;

/// Puts an event at its place.
pub(super) fn put(transaction: &Connection, place: EventPlace, event: &Event) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "INSERT INTO events (revision, at, id, timestamp, type, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            signed(place.revision.0),
            place.index,
            event.id.chars(),
            millis(event.timestamp),
            event.kind.as_str(),
            record::encode_event(event),
        ])?;
    Ok(())
}

/// Lets go of the events that are too many; to be called where some came in at `revision`.
pub(super) fn trim(transaction: &Connection, most: u64) -> Result<(), Fault> {
    // The newest that goes, found along the primary key, which is the order they came in.
    transaction
        .prepare_cached(
            "DELETE FROM events WHERE (revision, at) <= (
                 SELECT revision, at FROM events ORDER BY revision DESC, at DESC LIMIT 1 OFFSET ?1)",
        )?
        .execute([signed(most)])?;
    Ok(())
}

/// The events after `after`, oldest first, at most `most`.
pub(super) fn after(
    connection: &Connection,
    after: EventPlace,
    most: usize,
    quarantine: &Quarantine,
) -> Result<Vec<(EventPlace, Event)>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT revision, at, record FROM events WHERE (revision, at) > (?1, ?2)
         ORDER BY revision, at LIMIT ?3",
    )?;
    let mut rows = statement.query(params![
        signed(after.revision.0),
        after.index,
        signed(most as u64)
    ])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let place = EventPlace {
            revision: Revision(unsigned(row.get(0)?)),
            index: row.get(1)?,
        };
        let bytes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        match record::decode_event(bytes) {
            Ok(event) => events.push((place, event)),
            Err(why) => quarantine.take("events", &place.revision.to_string(), &why),
        }
    }
    Ok(events)
}

/// Those of `ids` whose events are here.
pub(super) fn told(connection: &Connection, ids: &[EventId]) -> Result<HashSet<EventId>, Fault> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM events WHERE id = ?1")?;
    let mut told = HashSet::new();
    for id in ids {
        if statement.exists([id.chars()])? {
            told.insert(*id);
        }
    }
    Ok(told)
}

/// How many events are kept.
pub(super) const EVENTS_MAX: u64 = 100_000;
