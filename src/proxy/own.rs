//! The gate's own paths, below `/.portcullis/`: nobody's route, and never forwarded.
//!
//! `ready` is for load balancers and needs no key. `me` and `rotate` are for the holder of a key, who
//! proves to be that by the key itself, shown where a route would read it by default. They are judged
//! like any request up to the key's permissions, of which only its addresses concern them: scopes,
//! methods, paths and environments speak of the API. They spend nothing of the key's limits (a client
//! that has run out may ask what is left) but have limits of their own, and count as use of the key.
//!
//! What they answer is made by the control plane, which alone may ask the store: the question is left at
//! the [desk](crate::state::desk), and its answer awaited for a few seconds, no longer.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::domain::limit::{Rate, RateLimit, Unit};
use crate::domain::permission::{Method, address_allowed};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::route::{KeySource, without_parameters};
use crate::proxy::body::{Outgoing, UploadError};
use crate::proxy::credential;
use crate::proxy::handle::{
    Stop, authenticate, describe, ensure_body_fits, ensure_directed, upload,
};
use crate::proxy::headers;
use crate::proxy::record::Record;
use crate::proxy::respond;
use crate::proxy::target::Target;
use crate::proxy::trace::Trace;
use crate::proxy::unread;
use crate::state::holders::{Question, Wish};
use crate::state::keys::{CachedVersion, KeyEntry};
use crate::state::limiter::{LimitBook, NamedLimit};

/// Whether a path, as it came or canonical, is the gate's own.
pub(crate) fn is_own(path: &str) -> bool {
    path.strip_prefix("/.portcullis").is_some_and(|rest| {
        let rest = without_parameters(rest);
        rest.is_empty() || rest.starts_with('/') || rest.starts_with("%2F")
    })
}

/// Answers a request for a path of the gate's own.
pub(crate) async fn answer(
    mut request: Request<()>,
    mut body: Option<Incoming>,
    mut record: Box<Record>,
) -> Response<Outgoing> {
    let outcome = serve(&mut request, &mut body, &mut record).await;
    if let Err(stop) = &outcome {
        record.refused(&stop.refusal);
    }
    let closes = unread::stays(body, &request, &record).await;
    let mut reply = match outcome {
        Ok(answer) => respond::own(answer, record),
        Err(stop) => respond::local_reply(&stop.halt(false), record),
    };
    if closes {
        unread::close(reply.headers_mut());
    }
    reply
}

async fn serve(
    request: &mut Request<()>,
    body: &mut Option<Incoming>,
    record: &mut Record,
) -> Result<Response<Bytes>, Stop> {
    let worker = Rc::clone(record.worker());
    record.trace = Trace::of(request.headers(), &worker);
    let bounds = &worker.plane.bounds;
    let target = Target::of(request, bounds.target_max, &record.peer().last_host)?;
    headers::inspect(request.headers(), record.peer().is_trusted)?;
    describe(request, &target, record);
    ensure_directed(&target, record)?;
    match &*target.path {
        "/.portcullis/ready" => {
            ensure_method(&target, &[Method::Get, Method::Head])?;
            ready(record)
        }
        "/.portcullis/me" => {
            ensure_method(&target, &[Method::Get, Method::Head])?;
            me(request, target, record).await
        }
        "/.portcullis/rotate" => {
            ensure_method(&target, &[Method::Post])?;
            rotate(request, body, target, record).await
        }
        _ => Err(RefusalCode::NoRoute.into()),
    }
}

fn ensure_method(target: &Target, served: &[Method]) -> Result<(), Stop> {
    if served.contains(&target.method) {
        return Ok(());
    }
    Err(Stop {
        refusal: RefusalCode::MethodNotAllowed.into(),
        allow: Some(served.iter().copied().collect()),
    })
}

/// `GET /.portcullis/ready`: whether a load balancer may send requests here.
fn ready(record: &Record) -> Result<Response<Bytes>, Stop> {
    let readiness = &record.worker().plane.readiness;
    if readiness.is_ready() {
        return Ok(respond::json(Bytes::from_static(b"{\"ready\":true}")));
    }
    Err(readiness.refusal().unwrap_or(RefusalCode::NotReady).into())
}

/// `GET /.portcullis/me`: what a holder may know of its key.
async fn me(
    request: &mut Request<()>,
    target: Target,
    record: &mut Record,
) -> Result<Response<Bytes>, Stop> {
    recognise(request, target, record)?;
    spend(record, |allowed| &allowed.calls)?;
    record.admit();
    ask(Wish::Tell, record).await
}

/// `POST /.portcullis/rotate`: another secret for the key, if its holder may have one.
async fn rotate(
    request: &mut Request<()>,
    body: &mut Option<Incoming>,
    target: Target,
    record: &mut Record,
) -> Result<Response<Bytes>, Stop> {
    recognise(request, target, record)?;
    ensure_body_fits(body.as_ref(), BODY_MAX)?;
    spend(record, |allowed| &allowed.rotations)?;
    let content_type = request.headers_mut().remove(CONTENT_TYPE);
    let body = upload(body.take(), BODY_MAX, record);
    let body = body.collect().await.map_err(|error| match error {
        UploadError::Silent => RefusalCode::RequestTimeout,
        UploadError::TooLarge => RefusalCode::BodyTooLarge,
        UploadError::Revoked => RefusalCode::KeyRevoked,
        UploadError::Broken(_) => RefusalCode::BadRequest,
    })?;
    record.admit();
    let wish = Wish::Rotate {
        body: body.to_bytes(),
        content_type,
    };
    ask(wish, record).await
}

/// Whose key is shown, and that it may be, from here.
fn recognise(
    request: &mut Request<()>,
    mut target: Target,
    record: &mut Record,
) -> Result<(), Refusal> {
    let plane = std::sync::Arc::clone(&record.worker().plane);
    let source = KeySource::Default;
    let shown = credential::take(request.headers_mut(), &mut target, &source, &plane.prefix)?;
    authenticate(&shown.ok_or(RefusalCode::MissingKey)?, record)?;
    let (entry, _) = record.key.as_ref().ok_or(RefusalCode::UnknownKey)?;
    if address_allowed(&entry.grants.ips, record.client) {
        Ok(())
    } else {
        Err(RefusalCode::IpNotAllowed.into())
    }
}

/// How often a key may be asked about and rotated at one gate, apart from its own limits.
///
/// What was replaced and is in its grace is counted apart: whoever has a lost secret cannot keep the holder
/// of the current one from rotating the key away from them.
#[derive(Debug)]
pub(crate) struct OwnLimits {
    of_current: Allowed,
    of_replaced: Allowed,
}

#[derive(Debug)]
struct Allowed {
    calls: Option<NamedLimit>,
    rotations: Option<NamedLimit>,
}

impl OwnLimits {
    pub(crate) fn new(book: &LimitBook) -> Self {
        let allowed = |calls, rotations| Allowed {
            calls: limit(book, calls, CALLS_PER_SECOND, Unit::Second),
            rotations: limit(book, rotations, ROTATIONS_PER_HOUR, Unit::Hour),
        };
        Self {
            of_current: allowed("own-call", "own-rotation"),
            of_replaced: allowed("own-call-replaced", "own-rotation-replaced"),
        }
    }

    /// What a version of a key may do.
    fn of(&self, entry: &KeyEntry, version: &CachedVersion) -> &Allowed {
        if entry.is_replaced(version) {
            &self.of_replaced
        } else {
            &self.of_current
        }
    }
}

fn limit(book: &LimitBook, name: &str, count: u32, unit: Unit) -> Option<NamedLimit> {
    let count = NonZeroU32::new(count)?;
    book.named(name, &[RateLimit::local(Rate { count, unit })])
        .pop()
}

fn spend(record: &Record, of: impl FnOnce(&Allowed) -> &Option<NamedLimit>) -> Result<(), Refusal> {
    let Some((entry, version)) = &record.key else {
        return Ok(());
    };
    let Some(limit) = of(record.worker().plane.own_limits.of(entry, version)) else {
        return Ok(());
    };
    let now_ns = record.opened_at().mono_ns;
    let taken = limit.limiter.take(entry.slot(), limit.id, 1, now_ns);
    taken
        .map(|_| ())
        .map_err(|spent| Refusal::new(RefusalCode::RateLimited).after(spent.retry_after))
}

/// Asks the control plane, and waits for what it says.
async fn ask(wish: Wish, record: &Record) -> Result<Response<Bytes>, Stop> {
    let (entry, version) = record.key.clone().ok_or(RefusalCode::Internal)?;
    let worker = record.worker();
    let question = Question {
        wish,
        entry,
        version,
        address: record.client,
        request_id: record.request_id.clone(),
    };
    let busy = || {
        Refusal::new(RefusalCode::Overloaded)
            .after(Duration::from_secs(1))
            .because("the control plane has more to do than it can")
    };
    let answering = worker
        .plane
        .desk
        .holders
        .ask(question)
        .map_err(|_| busy())?;
    match worker.deadlines.within(ANSWERED_WITHIN, answering).await {
        Ok(Ok(answer)) => Ok(answer?),
        Ok(Err(_)) => Err(RefusalCode::Internal.into()),
        Err(_) => Err(busy().into()),
    }
}

/// How long an answer may take. A change waits for the store to take it and for this gate to act on it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// How often a holder may ask, each second and at once.
const CALLS_PER_SECOND: u32 = 10;
/// How often a holder may rotate, each hour and at once: each time is a change of the store.
const ROTATIONS_PER_HOUR: u32 = 10;
/// The most a body may have; it says two short things.
const BODY_MAX: u64 = 8 * 1_024;
