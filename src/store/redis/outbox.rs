//! The outbox, as a stream: `<revision>-<index>` → one event in its frame.

use redis::{Cmd, Value};
use tracing::warn;

use crate::domain::change::{Revision, Write};
use crate::domain::event::{Event, EventPlace};

use super::frame::{self, Kind};
use super::names::Names;

/// An answer does not look like an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAnOutbox;

/// Asks for the events after `after`, at most `most`.
pub(super) fn ask(names: &Names, after: EventPlace, most: usize) -> Cmd {
    let mut command = redis::cmd("XRANGE");
    command
        .arg(names.events())
        .arg(format!("({}-{}", after.revision, after.index))
        .arg("+")
        .arg("COUNT")
        .arg(most);
    command
}

/// Reads what [`ask`] was answered; an event that cannot be read is left out.
pub(super) fn read(answer: Value) -> Result<Vec<(EventPlace, Event)>, NotAnOutbox> {
    let Value::Array(entries) = answer else {
        return Err(NotAnOutbox);
    };
    let mut events = Vec::with_capacity(entries.len());
    for entry in entries {
        let (place, framed) = place_and_record(entry).ok_or(NotAnOutbox)?;
        match frame::read(Kind::Event, &framed) {
            Ok((_, Write::Event(event))) => events.push((place, event)),
            Ok(_) => return Err(NotAnOutbox),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, revision = %place.revision, "an event cannot be read and is left out");
            }
        }
    }
    Ok(events)
}

fn place_and_record(entry: Value) -> Option<(EventPlace, Vec<u8>)> {
    let Value::Array(entry) = entry else {
        return None;
    };
    let [Value::BulkString(id), Value::Array(fields)] = <[Value; 2]>::try_from(entry).ok()? else {
        return None;
    };
    let (revision, index) = std::str::from_utf8(&id).ok()?.split_once('-')?;
    let place = EventPlace {
        revision: Revision(revision.parse().ok()?),
        index: index.parse().ok()?,
    };
    match fields.into_iter().nth(1)? {
        Value::BulkString(record) => Some((place, record)),
        _ => None,
    }
}
