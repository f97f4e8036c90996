//! Server-sent events out of bytes.

use crate::cli::failure::Failure;

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// What kind it is.
    pub(crate) name: String,
    /// What it says.
    pub(crate) data: String,
}

/// Makes events of the bytes of a stream, however these are cut (WHATWG HTML §9.2.6, as far as the
/// admin API uses it: `event` and `data`; comments keep the connection warm).
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Bytes of a line whose end has not come.
    rest: Vec<u8>,
    /// The event whose end has not come.
    event: Event,
}

impl Events {
    /// Takes the next bytes and gives the events they complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Failure> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if self.rest.len() + self.event.data.len() > EVENT_MAX {
                return Err(std::io::Error::other("an event of the stream is too long").into());
            }
            if !part.ends_with(b"\n") {
                break;
            }
            let line = String::from_utf8_lossy(&self.rest).into_owned();
            self.rest.clear();
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                complete.extend((!event.data.is_empty()).then_some(event));
            } else {
                self.event.add(line);
            }
        }
        Ok(complete)
    }
}

impl Event {
    /// Adds one field of an event.
    fn add(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            _ => {}
        }
    }
}

/// Many times the longest line an access log has.
const EVENT_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": warm\n\nevent: request\ndata: {\"a\":1}\n\nretry: 5\nevent:dropped\r\ndata: {\"count\":\ndata: 3}\r\n\r\n\n";

    fn all() -> Vec<Event> {
        vec![
            Event {
                name: "request".to_owned(),
                data: "{\"a\":1}".to_owned(),
            },
            Event {
                name: "dropped".to_owned(),
                data: "{\"count\":\n3}".to_owned(),
            },
        ]
    }

    #[test]
    fn events_are_the_same_however_their_bytes_are_cut() {
        for size in 1..=STREAM.len() {
            let mut events = Events::default();
            let seen: Vec<Event> = STREAM
                .as_bytes()
                .chunks(size)
                .flat_map(|bytes| events.feed(bytes).unwrap())
                .collect();
            assert_eq!(seen, all(), "in pieces of {size}");
        }
    }

    #[test]
    fn an_endless_event_is_not_gathered_for_ever() {
        let mut events = Events::default();
        let fits = vec![b'x'; EVENT_MAX];
        assert!(events.feed(&fits).is_ok());
        assert!(events.feed(b"x").is_err());
    }
}
