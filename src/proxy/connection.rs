//! One connection from its first byte to its last: what is spoken on it, and HTTP/1.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::domain::permission::contains;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::proxy::deadlines::Tick;
use crate::proxy::handle::handle;
use crate::proxy::http2;
use crate::proxy::record::Record;
use crate::proxy::respond;
use crate::proxy::stream::{Stream, Watched};
use crate::proxy::target::LastHost;
use crate::proxy::tls::CertificateNames;
use crate::proxy::watch::{Entry, Verdict, Watch};
use crate::proxy::wire::{Fault, Gate, Limits};
use crate::proxy::worker::Worker;

/// Who is at the other end, as every request of the connection sees it.
#[derive(Debug)]
pub(crate) struct Peer {
    address: IpAddr,
    pub(crate) is_http2: bool,
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

/// How a connection began, as far as it was looked at to tell what is spoken.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// What was read of it.
    pub(crate) first: Vec<u8>,
    /// When the first of that came.
    pub(crate) began: Option<Tick>,
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
    let mut opening = Opening::default();
    let opened = match &tls {
        None => {
            let mut tcp = tcp;
            if h2c {
                opening = open(&worker, &mut tcp).await;
            }
            let is_http2 = opening.first == PRI;
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
        http2::serve(worker, stream, peer, opening).await;
    } else {
        serve_http1(worker, stream, peer, opening).await;
    }
}

/// Reads so much that HTTP/2 can be told from HTTP/1 (RFC 9113 §3.4): three bytes are enough, no method
/// begins like that. What does not come in time is left to the deadlines that follow, which run from the
/// first byte.
async fn open(worker: &Worker, tcp: &mut TcpStream) -> Opening {
    let limits = &worker.plane.deadlines;
    let mut opening = Opening::default();
    while opening.first.len() < PRI.len() && PRI.starts_with(&opening.first) {
        let mut bytes = [0; PRI.len()];
        let room = bytes.get_mut(opening.first.len()..).unwrap_or_default();
        let since = opening.began.unwrap_or_else(|| worker.deadlines.now());
        let limit = match opening.began {
            None => limits.idle,
            Some(_) => limits.preface.min(limits.head),
        };
        let read = worker
            .deadlines
            .within_since(limit, || since, tcp.read(room));
        let Ok(Ok(count @ 1..)) = read.await else {
            break;
        };
        opening.began.get_or_insert(worker.deadlines.now());
        opening.first.extend(room.get(..count).unwrap_or_default());
    }
    opening
}

async fn serve_http1(worker: Rc<Worker>, stream: Stream, peer: Rc<Peer>, opening: Opening) {
    let bounds = &worker.plane.bounds;
    let limits = Limits {
        target_max: bounds.target_max,
        head_max: bounds.head_max,
        fields_max: bounds.fields_max,
        ..Limits::default()
    };
    let (stream, outflow) = Watched::new(stream);
    let (gate, wire) = Gate::new(stream, &opening.first, limits);
    let entry = Entry::http1(&worker, Arc::clone(&wire), outflow, opening.began);
    let watch = entry.watch();
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
        loop {
            if let Poll::Ready(outcome) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(outcome.is_ok());
            }
            match watch.poll_verdict(cx) {
                None => return Poll::Pending,
                Some(Verdict::Gracefully) => Pin::new(&mut connection).graceful_shutdown(),
                Some(Verdict::Stalled) => return Poll::Ready(false),
                Some(Verdict::LateHead) => {
                    is_late = true;
                    return Poll::Ready(true);
                }
            }
        }
    });
    let ended_well = outcome.await;
    let code = match wire.unanswered() {
        Some(fault) => {
            if fault == Fault::VersionNotSupported && opening.first.is_empty() {
                tracing::debug!(
                    client = %peer.address(),
                    "a client speaks another version than HTTP/1.1; HTTP/2 by prior knowledge is served where the listener has `h2c: true`"
                );
            }
            Some(refusal(fault))
        }
        None if is_late => Some(RefusalCode::RequestTimeout.into()),
        None => None,
    };
    if !ended_well || code.is_none() && watch.was_quiet(&worker) {
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

/// How many fields hyper takes unless it is told otherwise.
const HYPERS_FIELDS_MAX: usize = 100;
/// What HTTP/2's preface begins with.
const PRI: &[u8; 3] = b"PRI";
/// How long a client may take over a last refusal.
const LINGER: Duration = Duration::from_secs(2);
/// How much is read and thrown away meanwhile.
const LINGER_BYTES: usize = 256 * 1_024;
