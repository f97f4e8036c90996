//! `keys rotate`: another secret for the same key, after the questions that belong to it.

use std::time::Duration;

use clap::Args;

use super::{KeyArgument, show};
use crate::api::keys::{Key, KeyCreated, RotateKey};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::values;
use crate::domain::lifecycle::Grace;
use crate::domain::span::Span;
use crate::domain::time::Timestamp;

/// A key to be rotated.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// The key, by name or id
    #[arg(value_name = "NAME|ID")]
    key: KeyArgument,
    /// How long the old secret still works: 0s to 72h [default: 24h]
    #[arg(long, value_name = "SPAN", value_parser = grace)]
    grace: Option<Grace>,
    /// Why, for the audit log: regular, suspected_compromise, expiry_near, incident, or any text
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// End all earlier secrets now, whatever they were promised: they have leaked
    #[arg(long, conflicts_with = "grace")]
    revoke_earlier: bool,
    /// Another end for the key; one that has expired needs it
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires_at: Option<Timestamp>,
    /// The same, from now on: 90d
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<values::Span>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Makes a repetition of this command within 24 hours harmless: it rotates no second time
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
}

impl Rotate {
    pub(super) async fn run(
        mut self,
        client: &Client,
        json: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        if !self.yes && !output.may_ask() {
            return Err(Failure::Usage(
                "rotating cannot be undone and there is no terminal to ask on; say --yes"
                    .to_owned(),
            ));
        }
        let id = self.key.resolve(client).await?.to_string();
        if !self.yes {
            let key: Key = client.get(&["admin", "keys", &id], &[]).await?.read()?;
            self.ask(&key, output)?;
        }
        let end = self
            .expires_at
            .or_else(|| self.expires_in.map(values::Span::ahead_of_now));
        let body = RotateKey {
            grace: self.grace.map(|grace| Span(grace.length()).to_string()),
            reason: self.reason,
            revoke_earlier: self.revoke_earlier,
            expires_at: end.map(|end| Some(end.to_string())),
        };
        let path = ["admin", "keys", &id, "rotate"];
        let answer = client
            .post(&path, &body, self.idempotency_key.as_deref())
            .await?;
        let rotated: KeyCreated = answer.read()?;
        if json {
            return output.secret(&answer.as_json().to_string(), id);
        }
        match &rotated.secret {
            Some(secret) => show::rotated(&rotated, secret, output),
            None => Err(Failure::ShownBefore),
        }
    }

    /// Asks for what was not said, shows what will happen, and has that acknowledged.
    fn ask(&mut self, key: &Key, output: &mut Output) -> Result<(), Failure> {
        output.note(&show::before_rotation(key))?;
        if self.grace.is_none() && !self.revoke_earlier {
            self.grace = Some(ask_grace(output)?);
        }
        if self.reason.is_none() {
            self.reason = Some(ask_reason(output)?);
        }
        output.note("")?;
        output.note_sheet(&show::rotation_review(
            key,
            self.grace,
            self.reason.as_deref(),
        ))?;
        output.note(
            "\nThis cannot be undone: the old secret gets no longer life afterwards, and never comes back.",
        )?;
        output.confirm("Type yes to acknowledge that and rotate the key:")
    }
}

fn grace(text: &str) -> Result<Grace, String> {
    let Span(length) = text.parse().map_err(|fault: _| format!("{fault}"))?;
    Grace::new(length).ok_or_else(|| "a grace is at most 72h".to_owned())
}

/// The delays there are to choose from, in hours; the fourth unless another is named.
const DELAYS: [(u64, &str); 6] = [
    (
        0,
        "not at all: it stops at once. Caution: no time for a seamless change",
    ),
    (1, "1 hour"),
    (3, "3 hours"),
    (24, "24 hours"),
    (48, "48 hours"),
    (72, "72 hours"),
];
const USUAL_DELAY: &str = "4";

fn ask_grace(output: &mut Output) -> Result<Grace, Failure> {
    output.note("How long shall the old secret still work?")?;
    for (number, (_, words)) in (1..).zip(DELAYS) {
        output.note(&format!("  {number}  {words}"))?;
    }
    loop {
        let answer = output.ask(&format!("1 to 6 [{USUAL_DELAY}]:"))?;
        let answer = if answer.is_empty() {
            USUAL_DELAY
        } else {
            &answer
        };
        let chosen = answer.parse::<usize>().ok();
        let delay = chosen.and_then(|number| DELAYS.get(number.checked_sub(1)?));
        if let Some((hours, _)) = delay
            && let Some(grace) = Grace::new(Duration::from_secs(hours * 3_600))
        {
            return Ok(grace);
        }
    }
}

/// The usual reasons; anything else is one too.
const REASONS: [&str; 4] = ["regular", "suspected_compromise", "expiry_near", "incident"];

fn ask_reason(output: &mut Output) -> Result<String, Failure> {
    output.note("\nWhy? A number, or your own words.")?;
    for (number, reason) in (1..).zip(REASONS) {
        output.note(&format!("  {number}  {}", reason.replace('_', " ")))?;
    }
    let answer = output.ask("[1]:")?;
    let answer = if answer.is_empty() { "1" } else { &answer };
    let chosen = answer.parse::<usize>().ok();
    let reason = chosen.and_then(|number| REASONS.get(number.checked_sub(1)?));
    Ok(reason.map_or_else(|| answer.to_owned(), |reason| (*reason).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Form;
    use crate::cli::output::capture;

    fn rotate(line: &[&str]) -> Rotate {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            rotate: Rotate,
        }
        let words = ["rotate", "key_3fXk29QmZa"].into_iter();
        let line = words.chain(line.iter().copied());
        <Line as clap::Parser>::try_parse_from(line).unwrap().rotate
    }

    fn key() -> Key {
        serde_json::from_value(serde_json::json!({
            "id": "key_3fXk29QmZa", "name": "billing-worker", "description": null,
            "owner": {"id": "usr_0000000abc", "name": "Billing", "type": "team"},
            "env": "live", "products": [], "scopes": [], "allowed_methods": [],
            "allowed_paths": [], "allowed_ips": [], "rate_limits": [], "concurrency": null,
            "quotas": [], "risk": "standard", "expires_at": null, "metadata": {}, "labels": {},
            "protected": false, "self_rotation": false, "rotation": null, "status": "active",
            "badges": [], "created_at": "2026-01-31T12:00:00.123Z", "created_by": "tok_0000000xyz",
            "last_rotated_at": null, "last_used_at": null, "version": 1,
            "fingerprint": "60303ae22b99", "versions": [],
        }))
        .unwrap()
    }

    /// What is asked with these flags and answered so, and what comes of it.
    fn dialog(flags: &[&str], answers: &str) -> (Result<(), Failure>, Rotate, String) {
        let (mut output, _, err) = capture::asked(Form::Terminal, answers);
        let mut rotate = rotate(flags);
        let done = rotate.ask(&key(), &mut output);
        (done, rotate, err.text())
    }

    fn hours(rotate: &Rotate) -> Option<u64> {
        rotate.grace.map(|grace| grace.length().as_secs() / 3_600)
    }

    // S2-03 S2-11 S2-13
    #[test]
    fn a_day_and_a_regular_reason_unless_something_else_is_chosen() {
        let (done, rotate, said) = dialog(&[], "\n\nyes\n");
        assert!(done.is_ok());
        assert_eq!(hours(&rotate), Some(24));
        assert_eq!(rotate.reason.as_deref(), Some("regular"));
        for words in [
            "24 hours",
            "72 hours",
            "Caution",
            "cannot be undone",
            "60303ae22b99",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }

    // S2-03 S2-12 S1-09
    #[test]
    fn each_delay_and_each_reason_can_be_chosen() {
        for (answer, chosen) in [
            ("1", 0),
            ("2", 1),
            ("3", 3),
            ("4", 24),
            ("5", 48),
            ("6", 72),
        ] {
            let (_, rotate, _) = dialog(&[], &format!("{answer}\n2\nyes\n"));
            assert_eq!(hours(&rotate), Some(chosen));
            assert_eq!(rotate.reason.as_deref(), Some("suspected_compromise"));
        }
        let (_, rotate, _) = dialog(&[], "0\n7\nsoon\n5\nthe laptop is gone\nyes\n");
        assert_eq!(hours(&rotate), Some(48), "asked until it is one of them");
        assert_eq!(rotate.reason.as_deref(), Some("the laptop is gone"));
    }

    // S2-04 S2-10
    #[test]
    fn without_an_acknowledgement_nothing_is_done() {
        for answers in ["\n\nno\n", "\n\n\n", "\n\ny\n", "\n\ny\nyep\nn\n"] {
            let (done, _, _) = dialog(&[], answers);
            assert!(matches!(done, Err(Failure::Declined)), "{answers:?}");
        }
    }

    #[test]
    fn an_answer_that_is_neither_yes_nor_no_is_asked_again() {
        let (done, _, said) = dialog(&[], "\n\ny\nYes\n");
        assert!(done.is_ok());
        assert_eq!(said.matches("Type yes").count(), 2, "{said}");
    }

    #[test]
    fn what_was_said_is_not_asked_but_still_acknowledged() {
        let (done, rotate, said) = dialog(&["--grace", "1h", "--reason", "incident"], "yes\n");
        assert!(done.is_ok());
        assert_eq!(hours(&rotate), Some(1));
        assert!(
            !said.contains("How long") && !said.contains("Why?"),
            "{said}"
        );
        let (done, rotate, said) = dialog(&["--revoke-earlier"], "2\nyes\n");
        assert!(done.is_ok() && rotate.grace.is_none());
        assert!(said.contains("at once"), "{said}");
    }

    // S2-03
    #[test]
    fn another_end_is_a_time_or_how_far_ahead() {
        assert!(rotate(&["--expires-in", "90d"]).expires_in.is_some());
        assert!(
            rotate(&["--expires-at", "2030-01-01T00:00:00Z"])
                .expires_at
                .is_some()
        );
    }

    // S2-12
    #[test]
    fn a_grace_is_at_most_72_hours() {
        assert!(grace("72h").is_ok() && grace("0s").is_ok());
        assert!(grace("259200001ms").is_err() && grace("soon").is_err());
    }
}
