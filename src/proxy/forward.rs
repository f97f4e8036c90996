//! Sends a request to an endpoint and brings its answer back, trying again only what is safe to.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::{Frame, SizeHint};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::upstream::Endpoint;
use crate::proxy::body::Upload;
use crate::proxy::carrier::{AnswerBody, Carrier, Fault, Unsent};
use crate::proxy::deadlines::Elapsed;
use crate::proxy::headers::{self, Dropped};
use crate::proxy::record::Record;
use crate::proxy::stream::Stream;
use crate::proxy::worker::Worker;
use crate::state::routes::RouteState;
use crate::state::upstreams::{InFlight, UpstreamState};

/// What is sent, borrowed so that it can be sent again.
#[derive(Debug)]
pub(crate) struct Outbound<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: &'a str,
    pub(crate) host: &'a HeaderValue,
    /// As the client sent them, less its credential.
    pub(crate) headers: &'a HeaderMap,
    /// Which of them go no further.
    pub(crate) dropped: &'a Dropped,
}

/// An upstream's answer on its way to the client. Gives its connection back when it was read to its end.
#[derive(Debug)]
pub(crate) struct Download {
    /// `None` once the connection was given back.
    body: Option<AnswerBody<Stream, Upload>>,
    in_flight: InFlight,
    worker: Rc<Worker>,
    idle_max: usize,
    idle_timeout: Duration,
}

impl Download {
    fn new(
        body: AnswerBody<Stream, Upload>,
        in_flight: InFlight,
        worker: &Rc<Worker>,
        upstream: &UpstreamState,
    ) -> Self {
        Self {
            body: Some(body),
            in_flight,
            worker: Rc::clone(worker),
            idle_max: upstream.upstream.idle_max,
            idle_timeout: upstream.upstream.idle_timeout,
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match &mut self.body {
            None => Poll::Ready(None),
            Some(body) => body.poll_frame(cx),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(AnswerBody::is_end_stream)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or(SizeHint::with_exact(0), AnswerBody::size_hint)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(carrier) = self.body.take().and_then(AnswerBody::into_carrier) {
            let due = self.worker.deadlines.now().after(self.idle_timeout);
            let endpoint = self.in_flight.endpoint().index;
            self.worker.pool.put(endpoint, carrier, due, self.idle_max);
        }
    }
}

/// Sends a request over its route's upstream.
///
/// It is sent a second time, to another endpoint where there is one, if the first could not be reached;
/// or on a fresh connection, if a kept one turned out closed and either no byte of the request had left
/// or it has no body and may be repeated (RFC 9110 §9.2.2).
///
/// # Errors
/// What SPEC §3 has for upstreams, and `body_too_large` or `bad_request` where the client's body was at
/// fault.
pub(crate) async fn send(
    worker: &Rc<Worker>,
    route: &RouteState,
    outbound: &Outbound<'_>,
    mut upload: Upload,
    record: &mut Record,
) -> Result<(Response<()>, Download), Refusal> {
    let upstream = &route.upstream;
    let may_repeat = matches!(upload, Upload::Empty) && outbound.method.is_idempotent();
    let meter = record.upload().cloned();
    let mut unreachable = None;
    for attempt in 1.. {
        let now_ns = if attempt == 1 {
            record.opened_at().mono_ns
        } else {
            worker.plane.clock.mono_ns()
        };
        let in_flight = upstream
            .pick(worker.draw(), now_ns, unreachable)
            .or_else(|| upstream.pick(worker.draw(), now_ns, None))
            .ok_or(RefusalCode::NoHealthyUpstream)?;
        let endpoint = in_flight.endpoint();
        record.sent_to(endpoint);
        let kept = if attempt == 1 {
            worker.pool.take(endpoint.index)
        } else {
            None
        };
        let is_kept = kept.is_some();
        let carrier = match kept {
            Some(carrier) => carrier,
            // Boxed, because it is large and seldom: every request's future would have room for it.
            None => match Box::pin(connect(worker, &endpoint.endpoint, route)).await {
                Ok(stream) => {
                    endpoint.met();
                    Carrier::new(stream)
                }
                Err(refusal) => {
                    endpoint.missed(worker.plane.clock.mono_ns());
                    if attempt > 1 || upstream.endpoints.len() < 2 {
                        return Err(refusal);
                    }
                    unreachable = Some(endpoint.index);
                    worker.counters.retries.add(1);
                    continue;
                }
            },
        };
        let fields = headers::ForUpstream::new(outbound, record);
        let mut exchange = carrier.exchange(outbound.method, outbound.target, &fields, upload);
        let limit = route.route.timeouts.request;
        // The limit is the upstream's: it does not run while the client is waited for, and an upstream
        // that takes some of a body has moved.
        let began = worker.deadlines.now();
        let since = || match &meter {
            Some(meter) => began.max(meter.upstream_since(worker.deadlines.now())),
            None => began,
        };
        let deadlines = &worker.deadlines;
        let warranted = poll_fn(|cx| match Pin::new(&mut exchange).poll(cx) {
            _ if record.is_void() => Poll::Ready(None),
            polled => polled.map(Some),
        });
        match deadlines.within_since(limit, since, warranted).await {
            Err(Elapsed) => return Err(RefusalCode::UpstreamTimeout.into()),
            Ok(None) => return Err(RefusalCode::KeyRevoked.into()),
            Ok(Some(Ok((head, body)))) => {
                record.answered();
                return Ok((head, Download::new(body, in_flight, worker, upstream)));
            }
            Ok(Some(Err(broken))) => {
                let is_stale = is_kept && broken.fault.is_silent_end();
                upload = match broken.unsent {
                    Some(Unsent { first, body }) if is_stale => body.preceded_by(first),
                    _ if is_stale && may_repeat => Upload::Empty,
                    _ => return Err(refusal(broken.fault, record)),
                };
                worker.counters.retries.add(1);
            }
        }
    }
    Err(RefusalCode::Internal.into())
}

/// What a fault is to the client.
fn refusal(fault: Fault, record: &Record) -> Refusal {
    match (fault, record.upload()) {
        (_, Some(meter)) if meter.is_too_large() => RefusalCode::BodyTooLarge.into(),
        (_, Some(meter)) if meter.was_revoked() => RefusalCode::KeyRevoked.into(),
        (_, Some(meter)) if meter.has_stalled() => RefusalCode::RequestTimeout.into(),
        (_, Some(meter)) if meter.has_failed() => {
            Refusal::new(RefusalCode::BadRequest).because("the body broke off")
        }
        (Fault::Invalid(_), _) => RefusalCode::UpstreamInvalid.into(),
        (Fault::Unsendable(_), _) => RefusalCode::BadRequest.into(),
        (Fault::Closed | Fault::Reset(_) | Fault::Cut | Fault::Upload, _) => {
            RefusalCode::UpstreamReset.into()
        }
    }
}

async fn connect(
    worker: &Worker,
    endpoint: &Endpoint,
    route: &RouteState,
) -> Result<Stream, Refusal> {
    worker.counters.upstream_connects.add(1);
    let limit = route.route.timeouts.connect;
    match worker.deadlines.within(limit, open(worker, endpoint)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) => Err(RefusalCode::UpstreamRefused.into()),
        Err(_) => Err(RefusalCode::UpstreamTimeout.into()),
    }
}

/// Opens a connection: every address of the endpoint's name is tried in turn.
async fn open(worker: &Worker, endpoint: &Endpoint) -> std::io::Result<Stream> {
    let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    tcp.set_nodelay(true)?;
    if !endpoint.tls {
        return Ok(Stream::Plain(tcp));
    }
    let name = ServerName::try_from(endpoint.host.clone()).map_err(std::io::Error::other)?;
    let connector = TlsConnector::from(std::sync::Arc::clone(&worker.plane.upstream_tls));
    Ok(Stream::Connected(Box::new(
        connector.connect(name, tcp).await?,
    )))
}
