//! Reading what a call asks for: its body, its query, the id in its path.
//!
//! Nothing is ignored. A field or parameter that is not known, or given twice, is refused by its name: a
//! misspelt filter that lists everything, or a misspelt `expires_at`, is worse than an error.

use std::str::FromStr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::admin::cursor::{self, QueryTag};
use crate::admin::misread;
use crate::admin::objects::Objects;
use crate::admin::problem::{Code, Problem};
use crate::api::page::{LIMIT_DEFAULT, LIMIT_MAX, Page};
use crate::domain;
use crate::domain::lifecycle::FieldFault;
use crate::domain::query::Position;
use crate::domain::time::{Moment, NotAMoment};

/// A JSON body.
pub(crate) struct Ask<T> {
    /// What it says.
    pub(crate) body: T,
    /// SHA-256 of the method, path and body, which tells a repetition from another call.
    pub(crate) digest: [u8; 32],
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Ask<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body).await?;
        if !is_json(&parts.headers) {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "the body is JSON, and says so by `Content-Type: application/json`",
            ));
        }
        Ok(Self {
            body: parse(&bytes)?,
            digest: digest(&parts, &bytes),
        })
    }
}

/// A JSON body that may be left out; what stands for nothing then is the default.
pub(crate) struct AskIfAny<T>(pub(crate) Ask<T>);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for AskIfAny<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_typed = request.headers().contains_key(CONTENT_TYPE);
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body).await?;
        if bytes.is_empty() && !is_typed {
            return Ok(Self(Ask {
                body: T::default(),
                digest: digest(&parts, &bytes),
            }));
        }
        let request = Request::from_parts(parts, Body::from(bytes));
        Ok(Self(Ask::from_request(request, state).await?))
    }
}

fn digest(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [parts.method.as_str(), "\n", parts.uri.path(), "\n"] {
        hash.update(part);
    }
    hash.update(body);
    hash.finalize().into()
}

async fn read(headers: &HeaderMap, body: Body) -> Result<bytes::Bytes, Problem> {
    let too_large = || {
        Problem::new(
            Code::BodyTooLarge,
            "a body of the admin API has at most 1 MiB",
        )
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_MAX) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_WITHIN, to_bytes(body, BODY_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let is_length = std::error::Error::source(&error)
                .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
            Err(if is_length {
                too_large()
            } else {
                Problem::new(Code::BadRequest, "the body broke off")
            })
        }
        Err(_) => Err(Problem::new(
            Code::RequestTimeout,
            "the body did not arrive within 10 seconds",
        )),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|field| field.to_str().ok())
        .and_then(|field| field.split(';').next())
        .map(|media_type| media_type.trim().to_ascii_lowercase());
    media_type.is_some_and(|media_type| {
        media_type == "application/json"
            || media_type.starts_with("application/") && media_type.ends_with("+json")
    })
}

/// Reads JSON into `T`: 400 for what is no JSON, 422 with a pointer for what is not what was expected.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader);
    let fault = match read {
        Ok(value) => match reader.end() {
            Ok(()) => return of_objects(value, bytes),
            Err(error) => FieldFault::new("", "syntax", error.to_string()),
        },
        Err(error) if error.inner().is_data() => {
            let first = misread::one(error.path(), error.inner());
            let faults = match serde_json::from_slice(bytes) {
                Ok(value) => misread::all::<T>(first, value),
                // It is no JSON either, further on.
                Err(_) => vec![first],
            };
            return Err(Problem::faults(Code::Invalid, faults));
        }
        Err(error) => {
            let pointer = misread::pointer(error.path());
            FieldFault::new(pointer, "syntax", error.inner().to_string())
        }
    };
    Err(Problem::faults(Code::BadRequest, vec![fault]))
}

/// What was read, if whatever has fields was an object.
fn of_objects<T: DeserializeOwned>(value: T, bytes: &[u8]) -> Result<T, Problem> {
    let whole: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    match read_value::<T>(whole.clone()) {
        Ok(_) => Ok(value),
        Err(first) => Err(Problem::faults(
            Code::Invalid,
            misread::all::<T>(first, whole),
        )),
    }
}

/// Reads JSON that is in memory into `T`, or names the field that is not what was expected.
pub(crate) fn read_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, FieldFault> {
    serde_path_to_error::deserialize(Objects(value))
        .map_err(|error| misread::one(error.path(), error.inner()))
}

/// An id in the path, and the number of something below it. What is neither names nothing.
pub(crate) struct IdAndNumber<T>(pub(crate) T, pub(crate) u16);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for IdAndNumber<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Ok(Path((id, number))) = path else {
            return Err(Problem::not_found());
        };
        match (id.parse(), number.parse()) {
            (Ok(id), Ok(number)) => Ok(Self(id, number)),
            _ => Err(Problem::not_found()),
        }
    }
}

/// An id in the path. What is no id names nothing.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Path(text)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(Problem::not_found());
        };
        text.parse().map(Self).map_err(|_| Problem::not_found())
    }
}

/// The query of a call that takes none.
pub(crate) struct NoQuery;

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = Params::from_request_parts(parts, state).await?;
        params.finish().map(|()| Self)
    }
}

/// The parameters of a query. Each is taken once, and none may be left when all are.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    tag: QueryTag,
    faults: Vec<FieldFault>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Ok(Query(mut pairs)) = read else {
            return Err(Problem::new(Code::BadRequest, "the query cannot be read"));
        };
        // `status=` asks for no status in particular.
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self {
            tag: QueryTag::of(parts.uri.path(), &pairs),
            pairs,
            faults: Vec::new(),
        })
    }
}

impl Params {
    /// The text of a parameter, if it is given.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(known, _)| known == name)?;
        let (_, value) = self.pairs.swap_remove(at);
        if self.pairs.iter().any(|(known, _)| known == name) {
            self.fault(name, "repeated", "this parameter is given once");
            self.pairs.retain(|(known, _)| known != name);
        }
        Some(value)
    }

    /// What a parameter says, if it is given; `expected` is told to who gives something else.
    pub(crate) fn read<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = read(&text);
        if value.is_none() {
            self.fault(name, "form", expected);
        }
        value
    }

    /// Notes something wrong with a parameter.
    pub(crate) fn fault(&mut self, name: &str, code: &'static str, detail: &str) {
        self.faults.push(FieldFault::new(name, code, detail));
    }

    /// Which page is asked for.
    ///
    /// # Errors
    /// 400 `bad_cursor`.
    pub(crate) fn page(&mut self) -> Result<PageAsk, Problem> {
        let limit = self.read("limit", "a limit is a number from 1 to 1000", |text| {
            text.parse()
                .ok()
                .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        });
        let after = match self.text("cursor") {
            Some(text) => Some(cursor::decode(self.tag, &text).ok_or_else(Problem::bad_cursor)?),
            None => None,
        };
        Ok(PageAsk {
            limit: limit.unwrap_or(LIMIT_DEFAULT),
            after,
            tag: self.tag,
        })
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// 400 with everything that was wrong, and every parameter that nobody asked for.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in &self.pairs {
            let unknown = FieldFault::new(
                name.clone(),
                "unknown_parameter",
                "this call has no such parameter",
            );
            self.faults.push(unknown);
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(Problem::faults(Code::BadRequest, self.faults))
    }
}

/// The day or the time that a parameter names.
pub(crate) fn moment(params: &mut Params, name: &str) -> Option<Moment> {
    params.read(name, &NotAMoment.to_string(), |text| text.parse().ok())
}

/// Which page of a list is asked for.
#[derive(Debug)]
pub(crate) struct PageAsk {
    pub(crate) limit: usize,
    pub(crate) after: Option<Position>,
    pub(crate) tag: QueryTag,
}

impl PageAsk {
    /// A page as it is answered: each item in its wire form, and the cursor of the next.
    pub(crate) fn answer<T, W>(
        tag: QueryTag,
        page: domain::query::Page<T>,
        wire: impl FnMut(T) -> W,
    ) -> Page<W> {
        let next = page.next;
        Page {
            items: page.items.into_iter().map(wire).collect(),
            next_cursor: next.map(|position| cursor::encode(tag, &position)),
        }
    }
}

/// The most bytes of a body.
const BODY_MAX: usize = 1024 * 1024;
/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
