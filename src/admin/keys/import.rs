//! `POST /admin/keys/import?dry_run=`: takes over secrets there are already, so that clients need not
//! change.
//!
//! The body is NDJSON: on each line the fields of `POST /admin/keys` and either `secret` or `sha256` (64
//! hex digits). The answer is NDJSON too, a line for each: done, or why not. A secret belongs to one key,
//! so sending a file again makes nothing twice. With `dry_run=true` nothing is made.
//!
//! Lines are taken up as they arrive, some hundred to a change; a body has at most 64 MiB, a line 64 KiB.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::admin::ask::{Params, read_value};
use crate::admin::auth::By;
use crate::admin::keys::form;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::keys::{CreateKey, ImportLine};
use crate::api::problem::Fault;
use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::keys::{Import, Imported, Known, NewKey};
use crate::domain::lifecycle::FieldFault;
use crate::domain::secret::Secret;

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
    let kind = parts.headers.get(CONTENT_TYPE);
    if kind.is_none_or(|kind| kind.as_bytes() != NDJSON.as_bytes()) {
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
    work.all(body).await?;
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
    async fn all(&mut self, mut body: Body) -> Result<(), Problem> {
        let mut rest = BytesMut::new();
        let mut length = 0;
        while let Some(piece) = next(&mut body).await? {
            length += piece.len();
            if length > BODY_MAX {
                return Err(Problem::new(
                    Code::BodyTooLarge,
                    "an import has at most 64 MiB; what was read before is taken over",
                ));
            }
            rest.extend_from_slice(&piece);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = Zeroizing::new(rest.split_to(end + 1).to_vec());
                self.line(&line).await?;
            }
            if rest.len() > LINE_MAX {
                let fault = FieldFault::new("", "too_long", "a line has at most 64 KiB");
                return Err(Problem::faults(Code::Invalid, vec![fault]));
            }
        }
        let line = Zeroizing::new(rest.to_vec());
        self.line(&line).await?;
        self.settle().await
    }

    async fn line(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.line += 1;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        self.waiting.push((self.line, read(bytes)));
        if self.waiting.len() >= LINES_AT_ONCE {
            self.settle().await?;
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
            let told = tell(line, outcome);
            self.told
                .extend(serde_json::to_vec(&told).unwrap_or_default());
            self.told.push(b'\n');
        }
        Ok(())
    }
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

fn tell(line: u64, outcome: Result<Imported, ControlError>) -> ImportLine {
    match outcome {
        Ok(imported) => ImportLine {
            line,
            outcome: "done".to_owned(),
            key_id: imported.key.map(Into::into),
            fingerprint: Some(imported.fingerprint.to_string()),
            code: None,
            detail: None,
            errors: Vec::new(),
        },
        Err(error) => {
            let (code, detail, errors) = Problem::from(error).into_parts();
            let errors = errors.into_iter().map(|fault| Fault {
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
    }
}

const NDJSON: &str = "application/x-ndjson";
const BODY_MAX: usize = 64 * 1024 * 1024;
const LINE_MAX: usize = 64 * 1024;
/// How many lines go into one change: they share what making it durable costs.
const LINES_AT_ONCE: usize = 200;
/// How long the body may be silent.
const PIECE_WITHIN: Duration = Duration::from_secs(10);
