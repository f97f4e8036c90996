//! One connection from its first byte to its last, and the deadlines it is held to.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::HeaderValue;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

use crate::config::Deadlines;
use crate::domain::permission::contains;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::proxy::deadlines::{TICK, Tick};
use crate::proxy::handle::handle;
use crate::proxy::plane::Stage;
use crate::proxy::record::Record;
use crate::proxy::respond;
use crate::proxy::stream::{Outflow, Stream, Watched};
use crate::proxy::target::LastHost;
use crate::proxy::tls::CertificateNames;
use crate::proxy::wire::{Exchange, Fault, Gate, Limits, Phase, WireState};
use crate::proxy::worker::Worker;

/// Who is at the other end, as every request of the connection sees it.
#[derive(Debug)]
pub(crate) struct Peer {
    address: IpAddr,
    is_http2: bool,
    /// Whether it is a proxy whose forwarding fields are believed.
    pub(crate) is_trusted: bool,
    /// `https`, or `http`.
    pub(crate) scheme: &'static str,
    /// The name the client asked for, and what the certificates cover.
    pub(crate) sni: Option<(String, CertificateNames)>,
    /// Its address as `X-Forwarded-For` has it, made once.
    pub(crate) address_field: HeaderValue,
    /// The host that was named last.
    pub(crate) last_host: LastHost,
    /// The last `Forwarded` that was made, and for which host.
    pub(crate) forwarded: RefCell<Option<(Rc<str>, HeaderValue)>>,
}

impl Peer {
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) fn protocol(&self) -> &'static str {
        if self.is_http2 { "h2" } else { "http/1.1" }
    }
}

/// A connection as the sweep sees it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    wire: Option<Arc<WireState>>,
    outflow: Arc<Outflow>,
    /// Requests whose records are open.
    underway: Cell<u32>,
    /// Requests so far.
    served: Cell<u32>,
    seen: Cell<Seen>,
    /// Since when nothing changed in what was seen.
    since: Cell<Tick>,
    verdict: Cell<Option<Verdict>>,
    waker: RefCell<Option<Waker>>,
}

/// What a sweep goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    is_mid_head: bool,
    is_starved_body: bool,
    body_bytes: u64,
    requests: u64,
    is_blocked: bool,
    written: u64,
    is_busy: bool,
}

/// How a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// After what is under way.
    Gracefully,
    /// Now, because a head did not come whole in time.
    LateHead,
    /// Now, because it stood still.
    Stalled,
}

/// A request under way on a connection, until dropped.
#[derive(Debug)]
pub(crate) struct Underway {
    watch: Rc<Watch>,
    /// Keeps the byte gate from ending the stream under a response.
    _exchange: Option<Exchange>,
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.watch.underway.set(self.watch.underway.get() - 1);
    }
}

impl Watch {
    fn begin(self: &Rc<Self>) -> Underway {
        self.underway.set(self.underway.get() + 1);
        self.served.set(self.served.get().saturating_add(1));
        Underway {
            watch: Rc::clone(self),
            _exchange: self.wire.as_ref().map(WireState::exchange),
        }
    }

    fn look(&self) -> Seen {
        let mut seen = Seen {
            is_busy: self.underway.get() > 0,
            is_blocked: self.outflow.is_blocked(),
            written: self.outflow.written(),
            requests: u64::from(self.served.get()),
            ..Seen::default()
        };
        if let Some(wire) = &self.wire {
            seen.is_mid_head = wire.is_mid_head();
            seen.is_starved_body = wire.phase() == Phase::Body && wire.is_starved();
            seen.body_bytes = wire.body_bytes();
        }
        if !seen.is_blocked {
            seen.written = 0;
        }
        seen
    }

    /// Whether nothing was under way or on its way for a while: then nobody waits for a last word.
    fn was_quiet(&self, worker: &Worker) -> bool {
        let seen = self.seen.get();
        let is_idle = !seen.is_busy && !seen.is_mid_head && self.look() == seen;
        is_idle && worker.deadlines.now() >= self.since.get().after(QUIET)
    }

    fn end(&self, verdict: Verdict) {
        self.verdict.set(Some(verdict));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The verdict, if there is one; else the task of `cx` is woken by the next.
    fn poll_verdict(&self, cx: &Context<'_>) -> Option<Verdict> {
        let verdict = self.verdict.take();
        if verdict.is_none() {
            let mut waker = self.waker.borrow_mut();
            match &mut *waker {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                slot => *slot = Some(cx.waker().clone()),
            }
        }
        verdict
    }
}

/// Looks at all of a core's connections: ends those that are past a deadline, or all gracefully while
/// the gate drains.
pub(crate) fn sweep(worker: &Worker, stage: Stage) {
    let now = worker.deadlines.now();
    let limits = &worker.plane.deadlines;
    let most = worker.plane.bounds.requests_per_connection_max;
    for (_, watch) in worker.connections.borrow().iter() {
        let seen = watch.look();
        if seen != watch.seen.replace(seen) {
            watch.since.set(now);
        }
        let is_over = |limit: Duration| now >= watch.since.get().after(limit);
        if let Some(verdict) = judge(&seen, limits, is_over) {
            watch.end(verdict);
        } else if stage != Stage::Running || watch.served.get() >= most {
            watch.end(Verdict::Gracefully);
        }
    }
}

fn judge(seen: &Seen, limits: &Deadlines, is_over: impl Fn(Duration) -> bool) -> Option<Verdict> {
    let is_stalled = seen.is_blocked && is_over(limits.write_stall)
        // By then the body's own deadline has passed, and whoever wanted more of it has answered for that:
        // this is for a body nobody asks for any more.
        || seen.is_starved_body && seen.is_busy && is_over(limits.body_idle + 3 * TICK);
    if is_stalled {
        Some(Verdict::Stalled)
    } else if seen.is_busy {
        None
    } else if seen.is_mid_head {
        is_over(limits.head).then_some(Verdict::LateHead)
    } else {
        is_over(limits.idle).then_some(Verdict::Gracefully)
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    tcp: TcpStream,
    address: SocketAddr,
    tls: Option<Rc<(Arc<ServerConfig>, CertificateNames)>>,
    h2c: bool,
) {
    // A socket that cannot be told this works all the same, only slower.
    let _ = tcp.set_nodelay(true);
    let handshake = worker.plane.deadlines.handshake;
    let opened = match &tls {
        None => {
            let is_http2 = h2c
                && worker
                    .deadlines
                    .within(handshake, is_preface(&tcp))
                    .await
                    .unwrap_or(false);
            Some((Stream::Plain(tcp), is_http2, None))
        }
        Some(tls) => {
            let accepting = TlsAcceptor::from(Arc::clone(&tls.0)).accept(tcp);
            match worker.deadlines.within(handshake, accepting).await {
                Ok(Ok(stream)) => {
                    let connection = stream.get_ref().1;
                    let is_http2 = connection.alpn_protocol() == Some(b"h2");
                    let sni = connection.server_name().map(str::to_owned);
                    let sni = sni.map(|name| (name, tls.1.clone()));
                    Some((Stream::Accepted(Box::new(stream)), is_http2, sni))
                }
                Ok(Err(_)) | Err(_) => None,
            }
        }
    };
    let Some((stream, is_http2, sni)) = opened else {
        worker.counters.handshakes_failed.add(1);
        return;
    };
    let ip = address.ip().to_canonical();
    let peer = Rc::new(Peer {
        address: ip,
        is_http2,
        is_trusted: contains(&worker.plane.trusted, ip),
        scheme: if tls.is_some() { "https" } else { "http" },
        sni,
        address_field: HeaderValue::from_str(&ip.to_string())
            .unwrap_or(HeaderValue::from_static("unknown")),
        last_host: LastHost::default(),
        forwarded: RefCell::new(None),
    });
    if is_http2 {
        serve_http2(worker, stream, peer).await;
    } else {
        serve_http1(worker, stream, peer).await;
    }
}

/// Whether the first bytes are HTTP/2's (RFC 9113 §3.4): three are enough, no method begins like that.
async fn is_preface(tcp: &TcpStream) -> bool {
    let mut first = [0; 3];
    loop {
        match tcp.peek(&mut first).await {
            Ok(3) => return first == *b"PRI",
            Ok(count)
                if count > 0 && b"PRI".starts_with(first.get(..count).unwrap_or_default()) =>
            {
                // Two of three bytes are here, and that there is a third cannot be waited for without
                // taking them. So a look now and then: a client that stops here must not keep a core busy.
                tokio::time::sleep(PEEK).await;
            }
            _ => return false,
        }
    }
}

async fn serve_http1(worker: Rc<Worker>, stream: Stream, peer: Rc<Peer>) {
    let bounds = &worker.plane.bounds;
    let limits = Limits {
        target_max: bounds.target_max,
        head_max: bounds.head_max,
        fields_max: bounds.fields_max,
        ..Limits::default()
    };
    let (stream, outflow) = Watched::new(stream);
    let (gate, wire) = Gate::new(stream, &[], limits);
    let entry = Entry::new(&worker, Some(Arc::clone(&wire)), outflow);
    let service = {
        let (worker, peer, watch) = (Rc::clone(&worker), Rc::clone(&peer), entry.watch());
        service_fn(move |request| {
            let record = Record::open(&worker, &peer, watch.begin());
            async move { Ok::<_, Infallible>(handle(request, record).await) }
        })
    };
    let mut builder = http1::Builder::new();
    builder
        .half_close(false)
        .max_buf_size(bounds.head_max.max(8_192));
    if bounds.fields_max != HYPERS_FIELDS_MAX {
        // For a bound that it is told hyper makes room anew with every head.
        builder.max_headers(bounds.fields_max);
    }
    let mut connection = builder.serve_connection(gate, service);
    let mut is_late = false;
    let outcome = poll_fn(|cx| {
        if let Poll::Ready(outcome) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(outcome.is_ok());
        }
        match entry.watch.poll_verdict(cx) {
            None => Poll::Pending,
            Some(Verdict::Stalled) => Poll::Ready(false),
            Some(Verdict::LateHead) => {
                is_late = true;
                Poll::Ready(true)
            }
            Some(Verdict::Gracefully) => {
                Pin::new(&mut connection).graceful_shutdown();
                Pin::new(&mut connection)
                    .poll(cx)
                    .map(|outcome| outcome.is_ok())
            }
        }
    });
    let ended_well = outcome.await;
    let code = match wire.unanswered() {
        Some(fault) => Some(refusal(fault)),
        None if is_late => Some(RefusalCode::RequestTimeout.into()),
        None => None,
    };
    if !ended_well || code.is_none() && entry.watch.was_quiet(&worker) {
        return;
    }
    let (stream, _unread) = connection.into_parts().io.into_inner();
    let reply = code.map(|refusal| {
        let watch = Rc::new(Watch::default());
        respond::bytes(&refusal, Record::open(&worker, &peer, watch.begin()))
    });
    // Whoever does not take the last answer in this time does not get it.
    let _ = worker.deadlines.within(LINGER, part(stream, reply)).await;
}

/// Parts from a client: a last reply, if there is one, then the end; and reads on a little. Closing on
/// unread bytes would reset the connection, and take answers with it that the client has yet to read.
async fn part(mut stream: Watched, reply: Option<Vec<u8>>) -> std::io::Result<()> {
    if let Some(reply) = reply {
        stream.write_all(&reply).await?;
    }
    stream.shutdown().await?;
    let mut left = LINGER_BYTES;
    let mut sink = [0; 4_096];
    while left > 0 {
        match stream.read(&mut sink).await? {
            0 => break,
            count => left = left.saturating_sub(count),
        }
    }
    Ok(())
}

fn refusal(fault: Fault) -> Refusal {
    match fault {
        Fault::BadRequest(detail) => Refusal::new(RefusalCode::BadRequest).because(detail),
        Fault::MethodNotAllowed => RefusalCode::MethodNotAllowed.into(),
        Fault::TargetTooLong => RefusalCode::TargetTooLong.into(),
        Fault::ExpectationFailed => RefusalCode::ExpectationFailed.into(),
        Fault::HeadTooLarge => RefusalCode::HeadTooLarge.into(),
        Fault::MethodUnknown => RefusalCode::MethodUnknown.into(),
        Fault::VersionNotSupported => RefusalCode::VersionNotSupported.into(),
    }
}

async fn serve_http2(worker: Rc<Worker>, stream: Stream, peer: Rc<Peer>) {
    let bounds = &worker.plane.bounds;
    let (stream, outflow) = Watched::new(stream);
    let entry = Entry::new(&worker, None, outflow);
    let service = {
        let (worker, peer, watch) = (Rc::clone(&worker), Rc::clone(&peer), entry.watch());
        service_fn(move |request| {
            let record = Record::open(&worker, &peer, watch.begin());
            async move { Ok::<_, Infallible>(handle(request, record).await) }
        })
    };
    let header_list_max = u32::try_from(bounds.head_max).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(LocalExec)
        .max_concurrent_streams(bounds.streams_max)
        .max_header_list_size(header_list_max)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .max_send_buf_size(64 * 1_024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match entry.watch.poll_verdict(cx) {
            None => Poll::Pending,
            Some(Verdict::Gracefully) => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().poll(cx).map(|_| ())
            }
            Some(Verdict::LateHead | Verdict::Stalled) => Poll::Ready(()),
        }
    })
    .await;
}

/// A connection's entry among those its core sweeps, until dropped.
struct Entry {
    worker: Rc<Worker>,
    watch: Rc<Watch>,
    at: usize,
}

impl Entry {
    fn new(worker: &Rc<Worker>, wire: Option<Arc<WireState>>, outflow: Arc<Outflow>) -> Self {
        let watch = Rc::new(Watch {
            wire,
            outflow,
            since: Cell::new(worker.deadlines.now()),
            ..Watch::default()
        });
        let at = worker.connections.borrow_mut().insert(Rc::clone(&watch));
        Self {
            worker: Rc::clone(worker),
            watch,
            at,
        }
    }

    fn watch(&self) -> Rc<Watch> {
        Rc::clone(&self.watch)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().try_remove(self.at);
    }
}

/// Runs hyper's HTTP/2 streams on this core.
#[derive(Debug, Clone, Copy)]
struct LocalExec;

impl<F> hyper::rt::Executor<F> for LocalExec
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// How many fields hyper takes unless it is told otherwise.
const HYPERS_FIELDS_MAX: usize = 100;
/// How long until the rest of a preface is looked for again.
const PEEK: Duration = Duration::from_millis(10);
/// For how long a connection must have been idle to be closed without lingering.
const QUIET: Duration = Duration::from_millis(300);
/// How long a client may take over a last refusal.
const LINGER: Duration = Duration::from_secs(2);
/// How much is read and thrown away meanwhile.
const LINGER_BYTES: usize = 256 * 1_024;
