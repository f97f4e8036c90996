//! `POST /admin/keys/import?dry_run=`: takes over secrets there are already, so that clients need not
//! change.
//!
//! The body is NDJSON: on each line the fields of `POST /admin/keys` and either `secret` or `sha256` (64
//! hex digits). The answer is NDJSON too, a line for each: done, or why not. A secret belongs to one key,
//! so sending a file again makes nothing twice. With `dry_run=true` nothing is made.
//!
//! Lines are taken up as they arrive, some hundred to a change; a body has at most 64 MiB and 50,000 lines,
//! a line 64 KiB. What is told is kept until the end, so both are bounded. An import that cannot go on says
//! what was done of it and ends with a line `stopped` that says why and where; one of which nothing was
//! done is answered with the problem alone.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use crate::admin::about::About;
use crate::admin::ask::{Params, read_value};
use crate::admin::auth::By;
use crate::admin::keys::form;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::form::Flag;
use crate::api::keys::{CreateKey, ImportLine};
use crate::api::problem::Fault;
use crate::control::caller::Caller;
use crate::control::keys::{Import, Imported, Known, NewKey};
use crate::domain::lifecycle::FieldFault;
use crate::domain::secret::Secret;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "importKeys",
        "Take secrets over",
        "Existing secrets become keys, so that clients need not change. The body has an object a line: the fields of a new key and `secret`, or `sha256` as 64 hex digits. It has at most 64 MiB and 50,000 lines, a line 64 KiB. The answer has a line for each: done, or why not.",
    )
    .query::<Flag>("dry_run", "true", "`true`: nothing is made.")
    .text_body(NDJSON, "{\"name\": \"old\", \"owner\": {\"name\": \"Billing\", \"type\": \"team\"}, \"secret\": \"a-secret-of-the-system-before\"}\n")
    .text_answer(NDJSON, "An object a line, in the lines' order: `line`, `outcome` (`done`, `refused`, or last `stopped`), `key_id`, `fingerprint`, `code`, `detail`, `errors`.", "{\"line\":1,\"outcome\":\"done\",\"key_id\":\"key_3fXk29QmZa\",\"fingerprint\":\"60303ae22b99\",\"code\":null,\"detail\":null,\"errors\":[]}\n")
}

/// Takes secrets over.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    mut params: Params,
    request: Request,
) -> Result<Response, Problem> {
    let is_trial = params.read("dry_run", "`true` or `false`", |text| text.parse().ok());
    params.finish()?;
    let (parts, body) = request.into_parts();
    if !is_ndjson(&parts.headers) {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "the body is NDJSON, and says so by `Content-Type: application/x-ndjson`",
        ));
    }
    let mut work = Work {
        shared: &shared,
        caller: &caller,
        is_trial: is_trial.unwrap_or_default(),
        line: 0,
        waiting: Vec::new(),
        told: Vec::new(),
    };
    if let Err(problem) = work.all(body).await {
        if work.told.is_empty() {
            return Err(problem);
        }
        work.stopped(problem);
    }
    Ok(([(CONTENT_TYPE, NDJSON)], work.told).into_response())
}

/// An import under way.
struct Work<'a> {
    shared: &'a Shared,
    caller: &'a Caller,
    is_trial: bool,
    /// How many lines have come.
    line: u64,
    /// Lines that have come and are not done, each with its number.
    waiting: Vec<(u64, Import)>,
    told: Vec<u8>,
}

impl Work<'_> {
    /// Takes up all of a body. If that breaks off, what had come whole before is taken over.
    async fn all(&mut self, body: Body) -> Result<(), Problem> {
        match self.lines(body).await {
            Ok(()) => self.settle().await,
            Err(Stop::Body(problem)) => {
                self.settle().await?;
                Err(problem)
            }
            Err(Stop::Store(problem)) => Err(problem),
        }
    }

    async fn lines(&mut self, mut body: Body) -> Result<(), Stop> {
        // With room for the longest line, so that it is never moved and leaves no secret behind.
        let mut line = Zeroizing::new(Vec::with_capacity(LINE_MAX));
        let mut length = 0;
        while let Some(piece) = next(&mut body).await.map_err(Stop::Body)? {
            length += piece.len();
            if length > BODY_MAX {
                let detail = "an import has at most 64 MiB; send the rest as another";
                return Err(Stop::Body(Problem::new(Code::BodyTooLarge, detail)));
            }
            for part in piece.split_inclusive(|byte| *byte == b'\n') {
                if line.len() + part.len() > LINE_MAX {
                    let fault = FieldFault::new("", "too_long", "a line has at most 64 KiB");
                    return Err(Stop::Body(Problem::faults(Code::Invalid, vec![fault])));
                }
                line.extend_from_slice(part);
                if part.ends_with(b"\n") {
                    self.line(&line).await?;
                    line.zeroize();
                }
            }
            // Of what others hold too, they alone can.
            if let Ok(mut piece) = piece.try_into_mut() {
                piece.zeroize();
            }
        }
        self.line(&line).await
    }

    async fn line(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.line == LINES_MAX {
            let detail = "an import has at most 50,000 lines; send the rest as another";
            return Err(Stop::Body(Problem::new(Code::BodyTooLarge, detail)));
        }
        self.line += 1;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        self.waiting.push((self.line, read(bytes)));
        if self.waiting.len() >= LINES_AT_ONCE {
            self.settle().await.map_err(Stop::Store)?;
        }
        Ok(())
    }

    /// Takes over what waits, in one change.
    async fn settle(&mut self) -> Result<(), Problem> {
        let (lines, imports): (Vec<u64>, Vec<Import>) =
            std::mem::take(&mut self.waiting).into_iter().unzip();
        if imports.is_empty() {
            return Ok(());
        }
        let keys = &self.shared.keys;
        let outcomes = keys.import(self.caller, &imports, self.is_trial).await?;
        for (line, outcome) in lines.into_iter().zip(outcomes) {
            self.tell(&match outcome {
                Ok(imported) => done(line, &imported),
                Err(error) => refused(line, Problem::from(error)),
            });
        }
        Ok(())
    }

    /// Says that nothing after what was told is done.
    fn stopped(&mut self, problem: Problem) {
        self.tell(&ImportLine {
            outcome: "stopped".to_owned(),
            ..refused(self.line, problem)
        });
    }

    fn tell(&mut self, line: &ImportLine) {
        self.told
            .extend(serde_json::to_vec(line).unwrap_or_default());
        self.told.push(b'\n');
    }
}

/// Why an import does not go on.
enum Stop {
    /// Of what comes, no more can be taken up.
    Body(Problem),
    /// Nothing can be taken over.
    Store(Problem),
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(NDJSON))
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = tokio::time::timeout(PIECE_WITHIN, body.frame()).await;
        let frame = frame.map_err(|_| {
            Problem::new(
                Code::RequestTimeout,
                "nothing of the body arrived for 10 seconds",
            )
        })?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(Problem::new(Code::BadRequest, "the body broke off")),
            // Trailers say nothing here.
            Some(Ok(frame)) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
        }
    }
}

/// What a line asks for; what cannot be understood of it is among its faults.
fn read(line: &[u8]) -> Import {
    match fields(line) {
        Ok((secret, asked)) => {
            let mut key = form::create(asked);
            let secret = match secret {
                Ok(known) => Some(known),
                Err(fault) => {
                    key.faults.insert(0, fault);
                    None
                }
            };
            // Whoever mends these sees the next; a line of nothing but faults must not be kept as long as
            // it is.
            key.faults.truncate(FAULTS_MAX);
            Import { secret, key }
        }
        Err(fault) => Import {
            secret: None,
            key: NewKey {
                faults: vec![fault],
                ..NewKey::nothing()
            },
        },
    }
}

type Secrets = Result<Known, FieldFault>;

fn fields(line: &[u8]) -> Result<(Secrets, CreateKey), FieldFault> {
    let mut fields: Map<String, Value> = serde_json::from_slice(line)
        .map_err(|_| FieldFault::new("", "syntax", "not a JSON object"))?;
    let secret = match (fields.remove("secret"), fields.remove("sha256")) {
        (Some(Value::String(text)), None) => Ok(Known::Text(Secret::new(text))),
        (None, Some(Value::String(text))) => digest(&text).map(Known::Sha256).ok_or_else(|| {
            FieldFault::new(
                "/sha256",
                "form",
                "the SHA-256 of a secret is 64 hex digits",
            )
        }),
        (Some(_), None) => Err(FieldFault::new("/secret", "type", "a secret is a text")),
        (None, Some(_)) => Err(FieldFault::new("/sha256", "type", "a hash is a text")),
        (None, None) => Err(FieldFault::new(
            "/secret",
            "missing",
            "`secret` or `sha256` says what is taken over",
        )),
        (Some(_), Some(_)) => Err(FieldFault::new(
            "/sha256",
            "ambiguous",
            "`secret` or `sha256`, not both",
        )),
    };
    Ok((secret, read_value(Value::Object(fields))?))
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(digest)
}

fn done(line: u64, imported: &Imported) -> ImportLine {
    ImportLine {
        line,
        outcome: "done".to_owned(),
        key_id: imported.key.map(Into::into),
        fingerprint: Some(imported.fingerprint.to_string()),
        code: None,
        detail: None,
        errors: Vec::new(),
    }
}

fn refused(line: u64, problem: Problem) -> ImportLine {
    let (code, detail, errors) = problem.into_parts();
    let errors = errors.into_iter().take(FAULTS_MAX).map(|fault| Fault {
        pointer: fault.pointer,
        code: fault.code.to_owned(),
        detail: fault.detail,
    });
    ImportLine {
        line,
        outcome: "refused".to_owned(),
        key_id: None,
        fingerprint: None,
        code: Some(code.to_owned()),
        detail: Some(detail),
        errors: errors.collect(),
    }
}

const NDJSON: &str = "application/x-ndjson";
const BODY_MAX: usize = 64 * 1024 * 1024;
const LINE_MAX: usize = 64 * 1024;
/// A line that is refused is told of in a kilobyte or so.
const LINES_MAX: u64 = 50_000;
/// How many faults of a line are told.
const FAULTS_MAX: usize = 10;
/// How many lines go into one change: they share what making it durable costs.
const LINES_AT_ONCE: usize = 200;
/// How long the body may be silent.
const PIECE_WITHIN: Duration = Duration::from_secs(10);
