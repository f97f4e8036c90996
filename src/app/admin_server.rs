//! The admin API on its socket: HTTP/1, so many connections, each held to deadlines.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
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

/// Serves until told to stop, and then until every call that was under way is answered, or a moment has
/// passed.
pub(crate) async fn serve(
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
        let mut request = request.map(|body| Body::new(TimeoutBody::new(limits.body_idle, body)));
        request.extensions_mut().insert(ConnectInfo(address));
        let answering = router.clone().oneshot(request);
        async move { Ok::<_, Infallible>(answering.await.unwrap_or_else(|never| match never {})) }
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

async fn told_to_stop(stopping: &mut Receiver<bool>) {
    // The sender is gone only with the gate itself.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// How many connections are served at once; the next waits to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// How much of a head is held.
const HEAD_MAX: usize = 64 * 1_024;
/// What is waited before accepting is tried again.
const A_MOMENT: Duration = Duration::from_millis(100);
/// How long calls under way may take when the gate stops.
const LAST_CALLS: Duration = Duration::from_secs(5);
