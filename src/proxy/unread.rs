//! What is left of a request's body when its answer is ready.
//!
//! A connection cannot go on to the next request before the body of this one was read. Where it was not,
//! the answer says that the connection closes (RFC 9112 §9.6): a client that keeps it would send its next
//! request to nobody.

use std::time::Duration;

use http::header::{CONNECTION, EXPECT};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::proxy::record::Record;

/// Whether the upstream answered, or failed, before all of the body had gone to it.
pub(crate) fn is_cut_short(record: &Record) -> bool {
    !record.peer().is_http2 && record.upload().is_some_and(|meter| !meter.has_ended())
}

/// Whether some of the body stays unread when the gate itself answers. A rest that is small and comes at
/// once is read, so that a client that is refused keeps its connection.
pub(crate) async fn stays(body: Option<Incoming>, request: &Request<()>, record: &Record) -> bool {
    if record.peer().is_http2 {
        // A stream ends by itself (RFC 9113 §8.1).
        return false;
    }
    match body.filter(|body| !body.is_end_stream()) {
        None => is_cut_short(record),
        // Reading would ask for what this client waits to be asked for (RFC 9110 §10.1.1).
        Some(_) if request.headers().contains_key(EXPECT) => true,
        Some(rest) if rest.size_hint().lower() > MOST => true,
        Some(rest) => {
            let deadlines = &record.worker().deadlines;
            let ended = deadlines.within(WITHIN, read(rest)).await;
            !ended.unwrap_or(false)
        }
    }
}

/// Reads a body that nobody wants; whether it ended within what is read of such.
async fn read(mut body: Incoming) -> bool {
    let mut left = MOST;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    true
}

/// Has an answer say that its connection closes.
pub(crate) fn close(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

/// The most that is read of a body that nobody wants, in bytes.
const MOST: u64 = 64 * 1_024;
/// How long a refusal waits for the rest of a body that its client is sending.
const WITHIN: Duration = Duration::from_millis(250);
