//! `tail`: requests as they finish, at all gates, through the admin API of one.

use std::fmt::Write as _;

use clap::Args;
use clap::builder::styling::{AnsiColor, Style};
use futures_util::StreamExt;

use super::client::Client;
use super::command::Conversation;
use super::failure::Failure;
use super::live::{Event, Feed, Turn, Which};
use super::output::Output;
use super::render::visible;
use crate::api::live::{Dropped, EVENT_DROPPED, EVENT_GATES, EVENT_REQUEST, Finished, Gates};

/// Which requests to watch.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    which: Which,
    /// Only requests answered so: 429, or 5xx
    #[arg(long)]
    status: Option<String>,
    /// Only requests by this method
    #[arg(long)]
    method: Option<String>,
}

impl Conversation for Tail {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let mut query = self.which.query(client).await?;
        query.extend(self.status.map(|status| ("status", status)));
        query.extend(self.method.map(|method| ("method", method)));
        let mut turns = Feed::open(client, query).await?.turns();
        let mut screen = Screen {
            json,
            output,
            gates: Gates::default(),
            is_away: false,
        };
        while let Some(turn) = turns.next().await {
            match turn {
                Turn::Event(event) => screen.show(&event)?,
                Turn::Lost(failure) => screen.lost(&failure)?,
                Turn::Back => screen.back()?,
                Turn::Over(failure) => return Err(failure),
            }
        }
        Err(Failure::StreamEnded)
    }
}

/// What is printed, and what was said last of the gates.
struct Screen<'o> {
    json: bool,
    output: &'o mut Output,
    gates: Gates,
    is_away: bool,
}

impl Screen<'_> {
    /// Prints what an event says; events of names unknown here are of a newer gate, and passed over.
    fn show(&mut self, event: &Event) -> Result<(), Failure> {
        let data = &event.data;
        match event.name.as_str() {
            EVENT_REQUEST if self.json => {
                let line: serde_json::Value =
                    serde_json::from_str(data).map_err(Failure::Unreadable)?;
                self.output.line(&line.to_string())
            }
            EVENT_REQUEST => {
                let request = serde_json::from_str(data).map_err(Failure::Unreadable)?;
                let is_one_of_many = self.gates.gates.len() + self.gates.missing.len() > 1;
                self.output.line(&line(&request, is_one_of_many))
            }
            EVENT_DROPPED => {
                let dropped: Dropped = serde_json::from_str(data).map_err(Failure::Unreadable)?;
                let at = dropped.node.map(|node| format!(" at {}", visible(&node)));
                self.output.note(&format!(
                    "{} requests{} are not shown: they finished faster than they could be told",
                    dropped.count,
                    at.unwrap_or_default()
                ))
            }
            EVENT_GATES => {
                let gates = serde_json::from_str(data).map_err(Failure::Unreadable)?;
                self.tell_of(gates)
            }
            _ => Ok(()),
        }
    }

    /// Says what is not to be seen, and when it is again.
    fn tell_of(&mut self, gates: Gates) -> Result<(), Failure> {
        let before = std::mem::replace(&mut self.gates, gates);
        let gates = &self.gates;
        if gates.store != before.store {
            match gates.store.as_str() {
                "away" => self.output.note(
                    "the gate's store is away: requests at other gates are not shown until it is back",
                )?,
                "full" => self.output.note(
                    "too many watch already: requests at other gates are not shown",
                )?,
                _ => {}
            }
        }
        let new = |gate: &&String| !before.missing.contains(gate);
        for gate in gates.missing.iter().filter(new) {
            self.output.note(&format!(
                "{} does not answer: its requests are not shown",
                visible(gate)
            ))?;
        }
        let back = |gate: &&String| gates.gates.contains(gate);
        for gate in before.missing.iter().filter(back) {
            self.output
                .note(&format!("{} answers again", visible(gate)))?;
        }
        Ok(())
    }

    fn lost(&mut self, failure: &Failure) -> Result<(), Failure> {
        if std::mem::replace(&mut self.is_away, true) {
            return Ok(());
        }
        let text = failure.render();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let first = text.lines().next().unwrap_or_default();
        self.output.note(&format!(
            "{first}; connecting again, and what finishes meanwhile is not shown"
        ))
    }

    fn back(&mut self) -> Result<(), Failure> {
        self.is_away = false;
        // What it says of the gates is new.
        self.gates = Gates::default();
        self.output.note("connected again")
    }
}

/// One request on one line: when, what it got, what it asked for, whose it was, how long it took.
fn line(request: &Finished, names_gate: bool) -> String {
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
        visible(request.method.as_deref().unwrap_or("-")),
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
    if names_gate {
        let _ = write!(text, ", at {}", visible(&request.node));
    }
    let _ = write!(text, "{faint:#}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Form;
    use crate::cli::output::capture::output;

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    fn screen(output: &mut Output, json: bool) -> Screen<'_> {
        Screen {
            json,
            output,
            gates: Gates::default(),
            is_away: false,
        }
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
        let bare = |text: String| anstream::adapter::strip_str(&text).to_string();
        let expected = "2026-01-31T12:00:00.120Z 429 GET     api.example.com/v1/\\u{1b}[31m rate_limited \
             key_3fXk29QmZa v2 0.0 ms, from 203.0.113.7";
        assert_eq!(bare(line(&request, false)), expected);
        assert_eq!(bare(line(&request, true)), format!("{expected}, at gate-1"));
        let odd = Finished {
            method: None,
            ..request
        };
        assert!(bare(line(&odd, false)).contains(" 429 -       api."));
    }

    #[test]
    fn what_was_dropped_is_said_beside_the_stream_not_in_it() {
        let (mut output, out, err) = output(Form::Plain);
        let mut screen = screen(&mut output, true);
        screen.show(&event("request", "{\"a\":1}")).unwrap();
        let dropped = event("dropped", "{\"count\":3,\"node\":\"gate-2\"}");
        screen.show(&dropped).unwrap();
        assert_eq!(out.text(), "{\"a\":1}\n");
        assert!(
            err.text().starts_with("3 requests at gate-2 are not shown"),
            "{}",
            err.text()
        );
    }

    #[test]
    fn an_event_of_a_newer_gate_is_passed_over() {
        let (mut output, out, err) = output(Form::Plain);
        let newer = event("weather", "not json");
        screen(&mut output, false).show(&newer).unwrap();
        assert_eq!((out.text(), err.text()), (String::new(), String::new()));
    }

    #[test]
    fn what_is_not_to_be_seen_is_said_once_and_when_it_is_again() {
        let (mut output, _, err) = output(Form::Plain);
        let mut screen = screen(&mut output, false);
        let gates = |gates: &str, missing: &str, store: &str| {
            let data = format!(r#"{{"gates":[{gates}],"missing":[{missing}],"store":"{store}"}}"#);
            event("gates", &data)
        };
        let (one, two) = (r#""gate-1""#, r#""gate-2""#);
        screen.show(&gates(one, "", "up")).unwrap();
        screen.show(&gates(one, two, "up")).unwrap();
        screen.show(&gates(one, two, "away")).unwrap();
        let both = format!("{one},{two}");
        screen.show(&gates(&both, "", "up")).unwrap();
        screen.lost(&Failure::StreamEnded).unwrap();
        screen.lost(&Failure::StreamEnded).unwrap();
        screen.back().unwrap();
        assert_eq!(
            err.text(),
            "gate-2 does not answer: its requests are not shown\n\
             the gate's store is away: requests at other gates are not shown until it is back\n\
             gate-2 answers again\n\
             the gate ended the stream; connecting again, and what finishes meanwhile is not shown\n\
             connected again\n"
        );
    }
}
