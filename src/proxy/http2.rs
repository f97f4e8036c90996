//! One HTTP/2 connection (RFC 9113).

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::proxy::connection::{Opening, Peer};
use crate::proxy::flow::Streams;
use crate::proxy::frames::Followed;
use crate::proxy::handle::handle;
use crate::proxy::record::Record;
use crate::proxy::stream::{Stream, Watched};
use crate::proxy::watch::{Entry, Verdict};
use crate::proxy::worker::Worker;

/// Serves one HTTP/2 connection until it ends.
pub(crate) async fn serve(worker: Rc<Worker>, stream: Stream, peer: Rc<Peer>, opening: Opening) {
    let bounds = &worker.plane.bounds;
    let (stream, outflow) = Watched::new(stream);
    let (stream, inflow) = Followed::new(stream, opening.first, &outflow, &worker);
    let began = opening.began.unwrap_or_else(|| worker.deadlines.now());
    let entry = Entry::http2(&worker, inflow, outflow, began);
    let service = {
        let (worker, peer, watch) = (Rc::clone(&worker), Rc::clone(&peer), entry.watch());
        service_fn(move |request| {
            let record = Record::open(&worker, &peer, watch.begin_stream(&worker));
            async move { Ok::<_, Infallible>(handle(request, record).await) }
        })
    };
    let header_list_max = u32::try_from(bounds.head_max).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(Streams::new(&worker, &entry.watch()))
        .max_concurrent_streams(bounds.streams_max)
        .max_header_list_size(header_list_max)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(FAULTS_MAX)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .max_frame_size(FRAME_MAX)
        .max_send_buf_size(SEND_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let watch = entry.watch();
    poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match watch.poll_verdict(cx) {
                None => return Poll::Pending,
                Some(Verdict::Gracefully) => connection.as_mut().graceful_shutdown(),
                Some(Verdict::LateHead | Verdict::Stalled) => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// How many streams a client may reset before we have looked at them (CVE-2023-44487).
const RESETS_MAX: usize = 20;
/// How many streams may end by a fault of the client before the connection does (CVE-2025-8671).
const FAULTS_MAX: usize = 100;
/// What a client may send ahead of what is forwarded, on a stream and in all.
const WINDOW: u32 = 1_024 * 1_024;
/// The longest frame a client may send; the least there is.
const FRAME_MAX: u32 = 16 * 1_024;
/// What is held of a stream's answer at most.
const SEND_MAX: usize = 64 * 1_024;
