//! The admin API on its socket: HTTP/1, so many connections, each held to deadlines.
//!
//! It has threads of its own. However long a call computes, what follows the feed, counts and draws on
//! quotas does not wait for it, so a key that was revoked elsewhere is refused here all the same.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;
use tower_http::timeout::TimeoutBody;

use crate::config::Deadlines;

/// Starts serving on threads of its own, until told to stop.
///
/// # Errors
/// If the system gives no thread, or nothing can be told of the socket.
pub(crate) fn start(
    socket: StdListener,
    router: Router,
    limits: Deadlines,
    stopping: Receiver<bool>,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("admin-call")
        .enable_all()
        .build()?;
    let socket = {
        let _here = runtime.enter();
        TcpListener::from_std(socket)?
    };
    let thread = thread::Builder::new().name("admin".to_owned());
    thread.spawn(move || {
        runtime.block_on(serve(socket, router, limits, stopping));
        // A call that still computes is not waited for.
        runtime.shutdown_background();
    })
}

/// Serves until told to stop, and then until every call that was under way is answered, or a moment has
/// passed.
async fn serve(
    socket: TcpListener,
    router: Router,
    limits: Deadlines,
    mut stopping: Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let told = stopping.clone();
    loop {
        let has_room = connections.len() < CONNECTIONS_MAX;
        tokio::select! {
            accepted = socket.accept(), if has_room => match accepted {
                Ok((stream, address)) => {
                    let (router, limits) = (router.clone(), limits.clone());
                    connections.spawn(connection(stream, address, router, limits, told.clone()));
                }
                Err(error) => {
                    // No descriptors are left, say: waiting lets some come back, spinning would not.
                    tracing::warn!(%error, "cannot accept connections to the admin API, waiting a moment");
                    sleep(A_MOMENT).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = told_to_stop(&mut stopping) => break,
        }
    }
    drop(socket);
    let last = async { while connections.join_next().await.is_some() {} };
    if timeout(LAST_CALLS, last).await.is_err() {
        tracing::warn!("calls of the admin API were still under way, cutting them");
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    limits: Deadlines,
    mut stopping: Receiver<bool>,
) {
    // A socket that cannot be told this works all the same, only slower.
    let _ = stream.set_nodelay(true);
    // A client that takes nothing is left by the kernel, answers in its own buffers included.
    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(limits.write_stall));
    let service = service_fn(move |request: Request<Incoming>| {
        let is_read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let mut request = request.map(|body| {
            let is_read = Arc::clone(&is_read);
            let body = Watched { body, is_read };
            Body::new(TimeoutBody::new(limits.body_idle, body))
        });
        request.extensions_mut().insert(ConnectInfo(address));
        let answering = router.clone().oneshot(request);
        async move {
            let mut answer = answering.await.unwrap_or_else(|never| match never {});
            // What is left of the body is not waited for, so nothing can follow it (RFC 9112 §9.3).
            if !is_read.load(Ordering::Relaxed) {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // However a client ends its connection, there is nobody left to tell.
        _ = connection.as_mut() => return,
        () = told_to_stop(&mut stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// A body that says when all of it was read.
struct Watched {
    body: Incoming,
    is_read: Arc<AtomicBool>,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.is_read.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn told_to_stop(stopping: &mut Receiver<bool>) {
    // The sender is gone only with the gate itself.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// How many calls are worked on at the same time.
const THREADS: usize = 2;
/// How many connections are served at once; the next waits to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// How much of a head is held.
const HEAD_MAX: usize = 64 * 1_024;
/// What is waited before accepting is tried again.
const A_MOMENT: Duration = Duration::from_millis(100);
/// How long calls under way may take when the gate stops.
const LAST_CALLS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use axum::routing::get;
    use parking_lot::Mutex;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Calls that compute hold up each other and nothing of what else the gate does: this test has one
    /// thread, on which a call would hold up the test.
    ///
    /// How many calls begin is not asked. A worker that takes a call as it comes off the socket leaves the
    /// sockets to nobody until another worker wakes, so one call may hold up all the others.
    #[tokio::test]
    async fn calls_that_compute_hold_up_nothing_but_calls() {
        let (done, wait) = mpsc::sync_channel::<()>(1);
        let (begun, mut begins) = tokio::sync::mpsc::channel(16);
        let wait = std::sync::Arc::new(Mutex::new(wait));
        let compute = move || {
            let _ = begun.try_send(());
            // Until the test lets go of it.
            let _ = wait.lock().recv();
            async {}
        };
        let router = Router::new().route("/", get(compute));
        let socket = StdListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let deadlines = Deadlines {
            handshake: LAST_CALLS,
            preface: LAST_CALLS,
            head: LAST_CALLS,
            body_idle: LAST_CALLS,
            idle: LAST_CALLS,
            write_stall: LAST_CALLS,
        };
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let calls = start(socket, router, deadlines, stopping).unwrap();

        let mut clients = Vec::new();
        for _ in 0..THREADS + 2 {
            let mut client = TcpStream::connect(address).await.unwrap();
            let asked = client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            asked.await.unwrap();
            clients.push(client);
        }
        begins.recv().await.unwrap();

        drop(done);
        stop.send_replace(true);
        drop(clients);
        tokio::task::spawn_blocking(move || calls.join().unwrap())
            .await
            .unwrap();
    }
}
