//! THE straight line: one request, from its head to its answer's.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use hyper::body::{Body, Incoming};

use crate::domain::refusal::{Refusal, RefusalCode};
use crate::proxy::admit::{self, Asked, Permit};
use crate::proxy::allowance;
use crate::proxy::body::{Outgoing, Upload, UploadMeter};
use crate::proxy::credential::{self, Credential};
use crate::proxy::forward::{self, Download, Outbound};
use crate::proxy::headers;
use crate::proxy::own;
use crate::proxy::pace::Pace;
use crate::proxy::record::Record;
use crate::proxy::respond::{self, Halt};
use crate::proxy::target::Target;
use crate::proxy::tls::may_serve;
use crate::proxy::trace::Trace;
use crate::proxy::unread;
use crate::proxy::waiting;
use crate::proxy::warrant::Warrant;
use crate::state::routes::{Miss, RouteState};

/// Answers one request. Every path out of here closes the record, and only there.
///
/// What comes is taken apart before the future begins, which would else have room for the whole too.
pub(crate) fn handle(
    request: Request<Incoming>,
    record: Box<Record>,
) -> impl Future<Output = Response<Outgoing>> {
    let (head, body) = request.into_parts();
    answer(Request::from_parts(head, ()), Some(body), record)
}

async fn answer(
    mut request: Request<()>,
    mut body: Option<Incoming>,
    mut record: Box<Record>,
) -> Response<Outgoing> {
    if own::is_own(request.uri().path()) {
        // Boxed, because it is seldom: every request's future would have room for it.
        return Box::pin(own::answer(request, body, record)).await;
    }
    let halt = match pass(&mut request, &mut body, &mut record).await {
        Ok((head, download)) => return hand_on(head, download, record),
        Err(stop) => stop.halt(is_grpc(&request)),
    };
    // Boxed, as above.
    Box::pin(refuse(halt, body, &request, record)).await
}

/// Hands the upstream's answer on.
fn hand_on(head: Response<()>, download: Download, mut record: Box<Record>) -> Response<Outgoing> {
    let closes = unread::is_cut_short(&record);
    record.reply(head.status().as_u16(), None);
    let idle = record.route.as_ref().map(|route| route.route.timeouts.idle);
    let (mut head, ()) = head.into_parts();
    headers::for_client(&mut head.headers);
    record.limit_fields(&mut head.headers);
    head.headers
        .insert(headers::X_REQUEST_ID, record.request_id.clone());
    if closes {
        unread::close(&mut head.headers);
    }
    let body = Outgoing::download(download, idle.unwrap_or_default(), record);
    Response::from_parts(head, body)
}

/// Answers a request that goes no further.
async fn refuse(
    halt: Halt,
    body: Option<Incoming>,
    request: &Request<()>,
    mut record: Box<Record>,
) -> Response<Outgoing> {
    // Before anything is waited for: its client may be gone then.
    record.refused(&halt.refusal);
    let closes = unread::stays(body, request, &record).await;
    let mut reply = respond::local_reply(&halt, record);
    if closes {
        unread::close(reply.headers_mut());
    }
    reply
}

/// Takes a request through the gate, or says why not.
async fn pass(
    request: &mut Request<()>,
    body: &mut Option<Incoming>,
    record: &mut Record,
) -> Result<(Response<()>, Download), Stop> {
    let worker = Rc::clone(record.worker());
    record.trace = Trace::of(request.headers(), &worker);
    let mut target = Target::of(
        request,
        worker.plane.bounds.target_max,
        &record.peer().last_host,
    )?;
    let dropped = headers::inspect(request.headers(), record.peer().is_trusted)?;
    describe(request, &target, record);
    ensure_directed(&target, record)?;

    let route = find(&target, record)?;
    let source = &route.route.key;
    let credential = credential::take(
        request.headers_mut(),
        &mut target,
        source,
        &worker.plane.prefix,
    )?;
    if let Some(credential) = credential {
        authenticate(&credential, record)?;
        authorise(&target, &route, record)?;
    }
    ensure_body_fits(body.as_ref(), route.route.body_max)?;
    let short = spend(&route, record)?;
    if let Some(short) = short {
        waiting::boxed(&route, record, short).await?;
    }
    if record.has_quotas() {
        allowance::spend(&route, record).await?;
    }
    // It may have been waited for, and its key been revoked meanwhile.
    if record.is_void() {
        return Err(RefusalCode::KeyRevoked.into());
    }
    record.admit();

    let upload = upload(body.take(), route.route.body_max, record);
    let outbound = Outbound {
        method: request.method(),
        target: &target.path_and_query(),
        host: &target.host.field,
        headers: request.headers(),
        dropped: &dropped,
    };
    Ok(forward::send(&worker, &route, &outbound, upload, record).await?)
}

/// Why a request stops here.
pub(crate) struct Stop {
    pub(crate) refusal: Refusal,
    pub(crate) allow: Option<crate::domain::permission::Methods>,
}

impl Stop {
    /// The same, as the client is told.
    pub(crate) fn halt(self, is_grpc: bool) -> Halt {
        Halt {
            refusal: self.refusal,
            allow: self.allow,
            is_grpc,
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            allow: None,
        }
    }
}

impl From<RefusalCode> for Stop {
    fn from(code: RefusalCode) -> Self {
        Refusal::new(code).into()
    }
}

/// Writes down what the request is, for the log.
pub(crate) fn describe<B>(request: &Request<B>, target: &Target, record: &mut Record) {
    record.method = Some(target.method);
    record.host = Some(Rc::clone(&target.host.name));
    record.path = Some(Rc::clone(&target.path));
    record.client = headers::client(request.headers(), record);
    if record.peer().is_trusted
        && let Some(id) = request.headers().get(headers::X_REQUEST_ID)
        && (1..=128).contains(&id.len())
        && id
            .as_bytes()
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    {
        record.request_id = id.clone();
    }
}

/// A connection that was made for one name does not carry requests for another (RFC 9110 §15.5.20).
pub(crate) fn ensure_directed(target: &Target, record: &Record) -> Result<(), Refusal> {
    match &record.peer().sni {
        Some((sni, names)) if !may_serve(names, sni, &target.host.name) => {
            Err(RefusalCode::Misdirected.into())
        }
        _ => Ok(()),
    }
}

fn find(target: &Target, record: &mut Record) -> Result<Arc<RouteState>, Stop> {
    // The gate's own paths are nobody's route, however they are spelt.
    if own::is_own(&target.path) {
        return Err(RefusalCode::NoRoute.into());
    }
    let routes = &record.worker().plane.routes;
    match routes.find(&target.host.name, &target.path, target.method) {
        Ok(route) => {
            let route = Arc::clone(route);
            record.route = Some(Arc::clone(&route));
            target.ensure_slashes_fit(&route.route, &record.worker().plane.routes)?;
            Ok(route)
        }
        Err(Miss::Path) => Err(RefusalCode::NoRoute.into()),
        Err(Miss::Method(methods)) => Err(Stop {
            refusal: RefusalCode::MethodNotAllowed.into(),
            allow: Some(methods),
        }),
    }
}

/// Whose credential it is, and whether that key may pass now.
///
/// Wrong credentials are counted by address; a right one never is, whatever its neighbours did.
pub(crate) fn authenticate(credential: &Credential, record: &mut Record) -> Result<(), Refusal> {
    let plane = Arc::clone(&record.worker().plane);
    if let Some(code) = plane.readiness.refusal() {
        return Err(code.into());
    }
    let now = record.opened_at();
    let known = admit::authenticate(
        &plane.keys,
        &plane.hasher,
        &plane.prefix,
        credential.as_bytes(),
    );
    match known {
        Ok(known) => {
            let (entry, version) = (known.entry, known.version);
            let verdict = entry
                .admits(&version, now.wall)
                .and_then(|()| plane.readiness.ensure_fresh(&entry.grants, now.mono_ns));
            record.key = Some((entry, version));
            record.goes_on_by(Warrant::of(known.hash, record.worker()));
            verdict.map_err(Refusal::from)
        }
        Err(code) => match plane.failures.count(record.client, now.mono_ns) {
            Ok(()) => Err(code.into()),
            Err(wait) => Err(Refusal::new(RefusalCode::TooManyFailures).after(wait)),
        },
    }
}

fn authorise(target: &Target, route: &RouteState, record: &Record) -> Result<(), Refusal> {
    let Some((entry, _)) = &record.key else {
        return Ok(());
    };
    let asked = Asked {
        method: target.method,
        path: &target.path,
        address: record.client,
    };
    Ok(admit::authorise(entry, &route.route, &asked)?)
}

/// A body that says how long it is can be refused before anything is spent or sent.
pub(crate) fn ensure_body_fits(body: Option<&Incoming>, most: u64) -> Result<(), Refusal> {
    match body.and_then(|body| body.size_hint().exact()) {
        Some(length) if length > most => Err(RefusalCode::BodyTooLarge.into()),
        _ => Ok(()),
    }
}

/// Takes a place among the key's requests, then what the request costs of each limit; the place of the limit
/// that must be waited for.
fn spend(route: &Arc<RouteState>, record: &mut Record) -> Result<Option<usize>, Refusal> {
    let key = record.key.as_ref().map(|(entry, _)| Arc::clone(entry));
    let slot = key.as_ref().map_or(&route.slot, |entry| entry.slot());
    let own = key.as_ref().map_or(&[][..], |entry| &entry.grants.limits);
    if let Some(entry) = &key {
        let most = entry.grants.concurrency;
        let most = most.map(|most| record.part_of(most));
        record.permit = Some(Permit::take(slot, most)?);
    }
    let now_ns = record.opened_at().mono_ns;
    let limits = own.iter().chain(&route.limits);
    let spending = admit::spend(slot, limits, route.route.cost, now_ns);
    record.spent(&spending);
    if !spending.low.is_empty() {
        waiting::ask_ahead(&spending.low, route, record);
    }
    spending.refusal.map_or(Ok(spending.short), Err)
}

/// A request's body on its way, counted, of which there may be so much.
pub(crate) fn upload(body: Option<Incoming>, most: u64, record: &mut Record) -> Upload {
    let Some(body) = body.filter(|body| !body.is_end_stream()) else {
        return Upload::Empty;
    };
    let meter = Rc::new(UploadMeter::new(
        record.worker().deadlines.now(),
        record.warrant.clone(),
    ));
    record.meter(&meter);
    Upload::Stream {
        incoming: body,
        meter,
        most,
        pace: Pace::new(record.worker()),
        first: Bytes::new(),
    }
}

fn is_grpc(request: &Request<()>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// hyper moves it to its place on the heap with every request, all of it.
    #[test]
    fn the_future_of_a_request_is_small() {
        fn size<F>(_: impl Fn(Request<Incoming>, Box<Record>) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size(handle) <= 2_048, "{} bytes", size(handle));
    }
}
