//! `tail`: requests as they finish, through the admin API.

use std::fmt::Write as _;

use clap::Args;
use clap::builder::styling::{AnsiColor, Style};

use super::client::Client;
use super::command::Conversation;
use super::failure::Failure;
use super::keys::KeyArgument;
use super::names::resolved;
use super::output::Output;
use super::owners::OwnerArgument;
use super::render::visible;
use crate::api::live::{Dropped, EVENT_DROPPED, EVENT_REQUEST, Finished};

/// Which requests to watch.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Only requests of this key
    #[arg(long, value_name = "NAME|ID")]
    key: Option<KeyArgument>,
    /// Only requests of keys of this owner
    #[arg(long, value_name = "NAME|ID")]
    owner: Option<OwnerArgument>,
    /// Only requests answered so: 429, or 5xx
    #[arg(long)]
    status: Option<String>,
}

impl Conversation for Tail {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let owner = resolved(self.owner.as_ref(), client).await?;
        let key = resolved(self.key.as_ref(), client).await?;
        let query: Vec<(&str, String)> =
            [("key_id", key), ("owner", owner), ("status", self.status)]
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name, value)))
                .collect();
        let mut response = client.stream(&["admin", "live"], &query).await?;
        let mut events = Events::default();
        while let Some(bytes) = response
            .chunk()
            .await
            .map_err(|error| client.no_answer(error))?
        {
            for event in events.feed(&bytes)? {
                show(&event, json, output)?;
            }
        }
        Err(Failure::StreamEnded)
    }
}

/// Prints what an event says; events of names unknown here are of a newer gate, and passed over.
fn show(event: &Event, json: bool, output: &mut Output) -> Result<(), Failure> {
    match event.name.as_str() {
        EVENT_REQUEST if json => {
            let line: serde_json::Value =
                serde_json::from_str(&event.data).map_err(Failure::Unreadable)?;
            output.line(&line.to_string())
        }
        EVENT_REQUEST => {
            let request = serde_json::from_str(&event.data).map_err(Failure::Unreadable)?;
            output.line(&line(&request))
        }
        EVENT_DROPPED => {
            let dropped: Dropped =
                serde_json::from_str(&event.data).map_err(Failure::Unreadable)?;
            output.note(&format!(
                "{} requests are not shown: they finished faster than they could be told",
                dropped.count
            ))
        }
        _ => Ok(()),
    }
}

/// One request on one line: when, what it got, what it asked for, whose it was, how long it took.
fn line(request: &Finished) -> String {
    let color = match request.status {
        200..=299 => AnsiColor::Green,
        300..=399 => AnsiColor::Cyan,
        400..=499 => AnsiColor::Yellow,
        500..=599 => AnsiColor::Red,
        _ => AnsiColor::White,
    };
    let tone = color.on_default().bold();
    let faint = Style::new().dimmed();
    let host = request.host.as_deref().unwrap_or_default();
    let mut text = format!(
        "{faint}{}{faint:#} {tone}{}{tone:#} {:<7} {}{}",
        request.time,
        request.status,
        visible(&request.method),
        visible(host),
        visible(&request.path),
    );
    if let Some(code) = &request.code {
        let _ = write!(text, " {tone}{}{tone:#}", visible(code));
    }
    if let Some(key) = &request.key_id {
        let _ = write!(text, " {key}");
        if let Some(version) = request.key_version {
            let _ = write!(text, " v{version}");
        }
    }
    let _ = write!(
        text,
        " {faint}{:.1} ms, from {}",
        request.duration_ms,
        visible(&request.client)
    );
    if let Some(endpoint) = &request.endpoint {
        let _ = write!(text, ", by {}", visible(endpoint));
    }
    let _ = write!(text, "{faint:#}");
    text
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Event {
    name: String,
    data: String,
}

/// Makes events of the bytes of a stream, however these are cut (WHATWG HTML §9.2.6, as far as the
/// admin API uses it: `event` and `data`; comments keep the connection warm).
#[derive(Debug, Default)]
struct Events {
    /// Bytes of a line whose end has not come.
    rest: Vec<u8>,
    /// The event whose end has not come.
    event: Event,
}

impl Events {
    /// Takes the next bytes and gives the events they complete.
    fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Failure> {
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
    use crate::cli::output::Form;
    use crate::cli::output::capture::output;

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

    #[test]
    fn a_request_is_one_line_and_its_path_cannot_color_the_screen() {
        let request: Finished = serde_json::from_str(
            r#"{"time":"2026-01-31T12:00:00.120Z","request_id":"req_1","node":"gate-1","client":"203.0.113.7",
            "protocol":"h2","method":"GET","host":"api.example.com","path":"/v1/\u001b[31m","route":"orders",
            "status":429,"code":"rate_limited","key_id":"key_3fXk29QmZa","key_version":2,
            "fingerprint":"60303ae22b99","owner_id":"usr_0000000000","upstream":null,"endpoint":null,
            "attempts":0,"duration_ms":0.04,"upstream_ms":null,"bytes_in":0,"bytes_out":310}"#,
        )
        .unwrap();
        let text = anstream::adapter::strip_str(&line(&request)).to_string();
        assert_eq!(
            text,
            "2026-01-31T12:00:00.120Z 429 GET     api.example.com/v1/\\u{1b}[31m rate_limited \
             key_3fXk29QmZa v2 0.0 ms, from 203.0.113.7"
        );
    }

    #[test]
    fn what_was_dropped_is_said_beside_the_stream_not_in_it() {
        let (mut output, out, err) = output(Form::Plain);
        for event in all() {
            show(&event, true, &mut output).unwrap();
        }
        assert_eq!(out.text(), "{\"a\":1}\n");
        assert!(
            err.text().starts_with("3 requests are not shown"),
            "{}",
            err.text()
        );
    }

    #[test]
    fn an_event_of_a_newer_gate_is_passed_over() {
        let (mut output, out, err) = output(Form::Plain);
        let event = Event {
            name: "weather".to_owned(),
            data: "not json".to_owned(),
        };
        show(&event, false, &mut output).unwrap();
        assert_eq!((out.text(), err.text()), (String::new(), String::new()));
    }
}
