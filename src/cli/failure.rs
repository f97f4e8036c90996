//! Why a command did not do what it was asked to, and the exit code that says so.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use super::render::visible;
use crate::api::problem::Problem;

/// Why a command ended otherwise than asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The admin API said no, and why.
    #[error("{}", .0.title)]
    Refused(Box<Problem>),
    /// The admin API, or what stands in its place, answered something else than an answer of it.
    #[error("{url} answered {status}, which is no answer of the admin API")]
    Strange {
        /// Who was asked.
        url: String,
        /// The status it gave.
        status: u16,
    },
    /// An answer has not the shape it should have.
    #[error("the answer cannot be read; is the gate of another version than this command?")]
    Unreadable(#[source] serde_json::Error),
    /// No answer came.
    #[error("no answer from the admin API at {url}")]
    NoAnswer {
        /// Who was asked.
        url: String,
        /// What went wrong underneath.
        #[source]
        source: reqwest::Error,
    },
    /// The admin API took the call, and then said nothing for too long.
    #[error("no answer from the admin API at {url} within {} s", within.as_secs_f64())]
    Silent {
        /// Who was asked.
        url: String,
        /// For how long it was waited for.
        within: Duration,
    },
    /// The stream of live requests ended.
    #[error("the gate ended the stream")]
    StreamEnded,
    /// The command line or the environment asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// Gates that were to be waited for may still admit what was revoked.
    #[error(
        "it is revoked, but not in force everywhere yet: {} may still admit it; revoke it there too, or stop that gate",
        pending.join(", ")
    )]
    NotEverywhere {
        /// Their names.
        pending: Vec<String>,
    },
    /// The audit log is not as it was written.
    #[error("entry {seq} of the audit log was {kind}")]
    Altered {
        /// The first entry that is not as it was written.
        seq: u64,
        /// What was done to it.
        kind: String,
    },
    /// The store that was carried has changed since.
    #[error(
        "the store changed meanwhile: what was carried is revision {carried}, and it is at {revision} now; stop all gates and begin again"
    )]
    MovedOn {
        /// What was carried.
        carried: u64,
        /// Where it is now.
        revision: u64,
    },
    /// No key that was named signed the file.
    #[error("nothing of it is signed with a key that was named, so they prove nothing")]
    Unsigned,
    /// Some of several things were not done; the report says which and why.
    #[error("{refused} of {of} were not done")]
    SomeRefused {
        /// How many were not.
        refused: usize,
        /// Of how many.
        of: usize,
    },
    /// The gate took up no more of several things; the report says what it did before.
    #[error("the gate stopped there ({}): {}", visible(.code), visible(.detail))]
    Stopped {
        /// Why, for programs.
        code: String,
        /// Why, for people.
        detail: String,
    },
    /// The same of a trial.
    #[error("{refused} of {of} would be refused")]
    SomeWouldBe {
        /// How many would be.
        refused: usize,
        /// Of how many.
        of: usize,
    },
    /// The person asked said no.
    #[error("nothing was done")]
    Declined,
    /// A secret that only its making shows was shown before.
    #[error(
        "an earlier call with the same idempotency key did this; its secret was shown then, and cannot be read again: a lost one is replaced by `keys rotate`"
    )]
    ShownBefore,
    /// A secret was made, and could not be printed.
    #[error("the new secret of {id} could not be printed and is lost; rotate or revoke it")]
    Unprinted {
        /// What the secret is of.
        id: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The gate would refuse what was thought through.
    #[error("the gate would refuse this request with {code}")]
    WouldRefuse {
        /// The code it would give.
        code: String,
    },
    /// A configuration is wrong; the text names every fault.
    #[error("{0}")]
    Faults(String),
    /// A stream of this process cannot be written or read.
    #[error("standard streams: {0}")]
    Streams(#[from] io::Error),
    /// Anything that running the gate may meet.
    #[error("{0}")]
    Gate(anyhow::Error),
}

impl Failure {
    /// 1: refused or failed. 2: wrong usage. A reader that had enough is no failure.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            failure if failure.is_broken_pipe() => ExitCode::SUCCESS,
            _ => ExitCode::from(1),
        }
    }

    /// Whether whoever read our output has gone away.
    #[must_use]
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Streams(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The report for standard error: one line, and one more per fault the admin API pointed at.
    #[must_use]
    pub(crate) fn render(&self) -> String {
        match self {
            Self::Refused(problem) => render_problem(problem),
            Self::Faults(text) => format!("{}\n", text.trim_end()),
            Self::Gate(error) => format!("error: {error:#}\n"),
            other => {
                let mut text = format!("error: {other}");
                if let Some(cause) = deepest_cause(other) {
                    let _ = write!(text, ": {cause}");
                }
                text.push('\n');
                if let Self::NoAnswer { .. } | Self::Silent { .. } = other {
                    text.push_str(
                        "  Is the gate running? PORTCULLIS_ADMIN_URL or --admin-url says where.\n",
                    );
                }
                if let Self::NoAnswer { url, source } = other
                    && source.is_connect()
                    && url.starts_with("https://")
                {
                    text.push_str(
                        "  The admin API itself speaks no TLS: https:// reaches a proxy in front of it, http:// the gate.\n",
                    );
                }
                if let Self::Strange { .. } = other {
                    text.push_str(
                        "  Is that the port of the gate, or another server? The admin API has its own, \
                         by default 127.0.0.1:9900;\n  PORTCULLIS_ADMIN_URL or --admin-url says where.\n",
                    );
                }
                text
            }
        }
    }
}

/// `error: title (code): detail`, then a line per pointer, then what to quote when asking for help.
fn render_problem(problem: &Problem) -> String {
    let mut text = format!(
        "error: {} ({} {})",
        visible(&problem.title),
        problem.status,
        visible(&problem.code)
    );
    // What is told of each place needs not be told before.
    let is_repeated = problem
        .errors
        .iter()
        .flatten()
        .any(|fault| !fault.detail.is_empty() && problem.detail.contains(&fault.detail));
    if is_repeated {
        text.push('\n');
    } else {
        let _ = writeln!(text, ": {}", visible(&problem.detail));
    }
    for fault in problem.errors.iter().flatten() {
        let place = if fault.pointer.is_empty() {
            "(whole body)"
        } else {
            &fault.pointer
        };
        let _ = writeln!(text, "  {}: {}", visible(place), visible(&fault.detail));
    }
    let _ = writeln!(text, "  request {}", visible(&problem.request_id));
    if OF_THE_GATE.contains(&problem.code.as_str()) {
        text.push_str(
            "  That is an answer of the gate, not of the admin API, which has a port of its own: by default \
             127.0.0.1:9900;\n  PORTCULLIS_ADMIN_URL or --admin-url says where.\n",
        );
    }
    text
}

/// What only the data plane says, to whoever takes it for the admin API.
const OF_THE_GATE: [&str; 4] = [
    "no_route",
    "missing_key",
    "unknown_key",
    "ambiguous_credential",
];

/// What lies at the bottom of a chain of causes: the words of the operating system, most often.
fn deepest_cause(error: &Failure) -> Option<String> {
    let mut cause: &dyn Error = error.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Fault;

    fn problem() -> Problem {
        Problem {
            kind: "urn:portcullis:problem:invalid".to_owned(),
            title: "Invalid request".to_owned(),
            status: 422,
            code: "invalid".to_owned(),
            detail: "two fields are wrong".to_owned(),
            request_id: "req_1".to_owned(),
            errors: Some(vec![
                Fault {
                    pointer: "/scopes/0".to_owned(),
                    code: "format".to_owned(),
                    detail: "no scope: \u{1b}[31m".to_owned(),
                },
                Fault {
                    pointer: String::new(),
                    code: "missing".to_owned(),
                    detail: "an owner is mandatory".to_owned(),
                },
            ]),
        }
    }

    #[test]
    fn a_problem_is_told_with_each_place_it_points_at() {
        assert_eq!(
            Failure::Refused(Box::new(problem())).render(),
            "error: Invalid request (422 invalid): two fields are wrong\n  \
             /scopes/0: no scope: \\u{1b}[31m\n  (whole body): an owner is mandatory\n  request req_1\n"
        );
    }

    #[test]
    fn what_is_told_of_a_place_is_not_told_twice() {
        let mut problem = problem();
        problem.detail = "/scopes/0: no scope: \u{1b}[31m (and 1 more)".to_owned();
        let text = Failure::Refused(Box::new(problem)).render();
        assert!(
            text.starts_with("error: Invalid request (422 invalid)\n  /scopes/0: "),
            "{text}"
        );
    }

    #[test]
    fn who_asks_the_gate_for_the_admin_api_is_told_so() {
        let problem = Problem {
            code: "missing_key".to_owned(),
            errors: None,
            ..problem()
        };
        let text = Failure::Refused(Box::new(problem)).render();
        assert!(
            text.contains("an answer of the gate, not of the admin API"),
            "{text}"
        );
    }

    #[test]
    fn only_wrong_usage_is_2_and_a_reader_that_left_is_no_failure() {
        let code = |failure: Failure| format!("{:?}", failure.exit_code());
        let broken = Failure::Streams(io::ErrorKind::BrokenPipe.into());
        let full = Failure::Streams(io::ErrorKind::StorageFull.into());
        assert_eq!(code(broken), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(code(full), format!("{:?}", ExitCode::from(1)));
        assert_eq!(code(Failure::Declined), format!("{:?}", ExitCode::from(1)));
        assert_eq!(
            code(Failure::Usage(String::new())),
            format!("{:?}", ExitCode::from(2))
        );
    }
}
