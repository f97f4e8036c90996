//! What is known of one request, from its first byte to its last: opened at the gate, closed by `Drop`.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::domain::permission::Method;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::summary::Passed;
use crate::domain::time::{Reading, Timestamp};
use crate::proxy::access_log;
use crate::proxy::admit::{Permit, Spending};
use crate::proxy::body::UploadMeter;
use crate::proxy::connection::Peer;
use crate::proxy::flow::Piece;
use crate::proxy::headers;
use crate::proxy::limit_fields::LimitFields;
use crate::proxy::trace::Trace;
use crate::proxy::warrant::Warrant;
use crate::proxy::watch::Underway;
use crate::proxy::worker::Worker;
use crate::state::keys::{CachedVersion, KeyEntry};
use crate::state::quotas::Nearest;
use crate::state::requests::Likeness;
use crate::state::routes::RouteState;
use crate::state::tap::Finished;
use crate::state::traces::Span;
use crate::state::upstreams::EndpointState;
use crate::state::usage::{OWN_PATHS, Spent, UsageKey};

/// What is known of one request.
#[derive(Debug)]
pub(crate) struct Record {
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    opened_at: Reading,
    /// When it could go on to the upstream, by the monotonic clock: as it came, unless the store was waited for.
    ready_at_ns: u64,
    /// What the request is called in logs, and at the upstream.
    pub(crate) request_id: HeaderValue,
    /// Which trace it belongs to.
    pub(crate) trace: Trace,
    /// Who asks, trusted proxies looked through.
    pub(crate) client: IpAddr,
    pub(crate) method: Option<Method>,
    /// The host it names, without its port.
    pub(crate) host: Option<Rc<str>>,
    /// The canonical path.
    pub(crate) path: Option<Rc<str>>,
    pub(crate) route: Option<Arc<RouteState>>,
    /// The key that was shown, also where it was refused.
    pub(crate) key: Option<(Arc<KeyEntry>, CachedVersion)>,
    /// What lets it go on once it is admitted; none where no key was shown.
    pub(crate) warrant: Option<Warrant>,
    /// Its place among the key's requests in flight.
    pub(crate) permit: Option<Permit>,
    /// Where its limits stand, as the client is told.
    limits: LimitFields,
    status: u16,
    code: Option<RefusalCode>,
    is_admitted: bool,
    is_cut: bool,
    endpoint: Option<Arc<EndpointState>>,
    attempts: u8,
    /// By the monotonic clock.
    sent_at_ns: Option<u64>,
    upstream_took: Option<Duration>,
    /// Bytes of the answer's body that hyper took for the client: on HTTP/2 those that its stream sent or
    /// will send, on HTTP/1 those that were written or stand in the connection's buffer.
    bytes_out: u64,
    upload: Option<Rc<UploadMeter>>,
    /// Counted by the connection as under way for as long as this lives.
    underway: Underway,
}

impl Record {
    /// Opens the record of a request that just came.
    pub(crate) fn open(worker: &Rc<Worker>, peer: &Rc<Peer>, underway: Underway) -> Box<Self> {
        let opened_at = worker.plane.clock.read();
        Box::new(Self {
            worker: Rc::clone(worker),
            peer: Rc::clone(peer),
            opened_at,
            ready_at_ns: opened_at.mono_ns,
            request_id: worker.next_request_id(),
            trace: Trace::Passes,
            client: peer.address(),
            method: None,
            host: None,
            path: None,
            route: None,
            key: None,
            warrant: None,
            permit: None,
            limits: LimitFields::default(),
            status: 0,
            code: None,
            is_admitted: false,
            is_cut: false,
            endpoint: None,
            attempts: 0,
            sent_at_ns: None,
            upstream_took: None,
            bytes_out: 0,
            upload: None,
            underway,
        })
    }

    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    pub(crate) fn peer(&self) -> &Rc<Peer> {
        &self.peer
    }

    /// This gate's part of a limit that gates divide.
    pub(crate) fn part_of(&self, limit: u32) -> u32 {
        self.worker.plane.fleet.part_of(limit)
    }

    /// When it came; what it is judged by throughout.
    pub(crate) fn opened_at(&self) -> Reading {
        self.opened_at
    }

    /// The key passed and its limits were charged. A pending version that gets here is confirmed.
    pub(crate) fn admit(&mut self) {
        self.is_admitted = true;
        if let Some((entry, version)) = &self.key
            && version.is_pending
        {
            let desk = &self.worker.plane.desk;
            desk.first_uses.leave(entry.id, version.number);
        }
    }

    /// Takes down where the limits stand now.
    pub(crate) fn spent(&mut self, spending: &Spending<'_>) {
        self.shadowed(spending.shadowed);
        if let Some(tightest) = &spending.tightest {
            let keys = self
                .key
                .as_ref()
                .map(|(entry, _)| entry.grants.policy.as_ref());
            let route = self.route.as_ref().and_then(|route| route.policy.as_ref());
            self.limits = LimitFields::of(tightest, keys.flatten(), route);
        }
    }

    /// So many limits that only count would have refused it.
    pub(crate) fn shadowed(&self, count: u64) {
        self.worker.counters.shadowed.add(count);
    }

    /// Whether its key has quotas to draw on.
    pub(crate) fn has_quotas(&self) -> bool {
        self.key
            .as_ref()
            .is_some_and(|(entry, _)| !entry.grants.quotas.is_empty())
    }

    /// Takes down a quota, if it is nearer its end than the limits are, or if it is what refuses.
    pub(crate) fn drawn(&mut self, nearest: &Nearest<'_>, refuses: bool) {
        if refuses || self.limits.are_beyond(nearest) {
            let key = self.key.as_ref();
            let key = key.and_then(|(entry, _)| entry.grants.policy.as_ref());
            let route = self.route.as_ref().and_then(|route| route.policy.as_ref());
            self.limits = LimitFields::of_quota(nearest, self.opened_at.wall, key, route);
        }
    }

    /// The store was waited for: what the upstream takes begins now.
    pub(crate) fn waited(&mut self) {
        self.ready_at_ns = self.worker.plane.clock.mono_ns();
    }

    /// Sets what the client is told of its limits and its key.
    pub(crate) fn limit_fields(&self, headers: &mut HeaderMap) {
        self.limits.set(headers, self.worker.plane.legacy_headers);
        if let Some((_, version)) = &self.key
            && self.is_admitted
            && version.retires_at != Timestamp::NEVER
            && let Ok(time) = HeaderValue::from_str(&version.retires_at.to_string())
        {
            headers.insert(headers::KEY_RETIRES, time);
        }
    }

    /// Meters the request's body.
    pub(crate) fn meter(&mut self, meter: &Rc<UploadMeter>) {
        self.upload = Some(Rc::clone(meter));
    }

    /// The request's body, if it has one.
    pub(crate) fn upload(&self) -> Option<&Rc<UploadMeter>> {
        self.upload.as_ref()
    }

    /// It is on its way to an endpoint.
    pub(crate) fn sent_to(&mut self, endpoint: &Arc<EndpointState>) {
        self.endpoint = Some(Arc::clone(endpoint));
        self.attempts = self.attempts.saturating_add(1);
        self.sent_at_ns.get_or_insert(self.ready_at_ns);
    }

    /// The head of the answer is here.
    pub(crate) fn answered(&mut self) {
        if let Some(meter) = &self.upload {
            meter.answered();
        }
        let now_ns = self.worker.plane.clock.mono_ns();
        let took = |sent_at_ns| Duration::from_nanos(now_ns.saturating_sub(sent_at_ns));
        self.upstream_took = self.sent_at_ns.map(took);
    }

    /// Why it goes no further, whatever its client still hears of that.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.reply(refusal.code.status(), Some(refusal.code));
    }

    /// What the client is answered.
    pub(crate) fn reply(&mut self, status: u16, code: Option<RefusalCode>) {
        self.status = status;
        self.code = code;
    }

    /// Bytes of the answer's body that go out.
    pub(crate) fn add_bytes_out(&mut self, count: usize) {
        self.bytes_out += count as u64;
    }

    /// A piece of the answer's body, for hyper.
    pub(crate) fn piece(&mut self, bytes: Bytes) -> Piece {
        self.add_bytes_out(bytes.len());
        Piece::new(bytes, self.underway.flow.as_ref())
    }

    /// The answer could not be finished.
    pub(crate) fn cut(&mut self) {
        self.is_cut = true;
    }

    /// It goes on while this holds.
    pub(crate) fn goes_on_by(&mut self, warrant: Warrant) {
        self.underway.goes_on_by(warrant.clone());
        self.warrant = Some(warrant);
    }

    /// Whether the secret it was admitted with has been revoked meanwhile.
    pub(crate) fn is_void(&self) -> bool {
        let warrant = self.warrant.as_ref();
        warrant.is_some_and(|it| it.is_void(&self.worker))
    }

    /// The client did not take all of the answer.
    pub(crate) fn abandon(&mut self) {
        self.is_cut = true;
    }

    fn bytes_in(&self) -> u64 {
        self.upload.as_ref().map_or(0, |meter| meter.bytes())
    }

    /// Counts for the key; nothing for a request that showed none that is known.
    fn count_usage(&self, status: u16) {
        let Some((entry, version)) = &self.key else {
            return;
        };
        let (route, cost) = match &self.route {
            Some(route) => (route.index, route.route.cost),
            None => (OWN_PATHS, 0),
        };
        let minutes = self.opened_at.wall.as_millis() / 60_000;
        let what = UsageKey {
            key: entry.id,
            version: version.number,
            route,
            minute: u32::try_from(minutes).unwrap_or(u32::MAX),
        };
        let usage = &self.worker.plane.usage;
        if self.is_admitted {
            let spent = Spent {
                status,
                cost,
                bytes_in: self.bytes_in(),
                bytes_out: self.bytes_out,
            };
            usage.admitted(self.worker.index, what, self.opened_at.wall, &spent);
        } else if let Some(code) = self.code {
            usage.refused(self.worker.index, what, code);
        }
    }

    fn count(&self, status: u16, took: Duration) {
        let counters = &self.worker.counters;
        if let Some(code) = self.code {
            counters.refuse(code);
        }
        let route = self
            .route
            .as_ref()
            .and_then(|it| counters.routes.get(usize::from(it.index)));
        if let Some(route) = route {
            if let Some(class) = route
                .status
                .get(usize::from(status / 100).saturating_sub(1))
            {
                class.add(1);
            }
            route.latency.observe(took);
            route.bytes_in.add(self.bytes_in());
            route.bytes_out.add(self.bytes_out);
        }
    }

    /// Writes the line of it into the access log, and shows it to whoever watches.
    fn tell_of(&self, status: u16, took: Duration) {
        let is_watched = self.worker.plane.tap.is_watched();
        if !is_watched && !self.worker.log.is_wanted() {
            return;
        }
        let seen_through;
        let client = if self.client == self.peer.address() {
            self.peer.address_field.as_bytes()
        } else {
            seen_through = self.client.to_string();
            seen_through.as_bytes()
        };
        let line = access_log::Line {
            time: self.opened_at.wall,
            request_id: &self.request_id,
            node: &self.worker.plane.node,
            client,
            protocol: self.peer.protocol(),
            method: self.method,
            host: self.host.as_deref().unwrap_or_default(),
            path: self.path.as_deref().unwrap_or_default(),
            route: self.route.as_ref().map(|route| &*route.name),
            status,
            code: self.code,
            key: self.key.as_ref(),
            upstream: self
                .endpoint
                .as_ref()
                .and(self.route.as_ref())
                .map(|route| route.upstream.upstream.name.as_str()),
            endpoint: self.endpoint.as_ref().map(|endpoint| &*endpoint.name),
            attempts: self.attempts,
            took,
            upstream_took: self.upstream_took,
            bytes_in: self.bytes_in(),
            bytes_out: self.bytes_out,
            is_cut: self.is_cut,
        };
        if is_watched {
            let mut text = Vec::with_capacity(512);
            line.write(&mut text);
            self.worker.plane.tap.show(Finished {
                line: String::from_utf8(text).unwrap_or_default(),
                key: self.key.as_ref().map(|(entry, _)| entry.id),
                owner: self.key.as_ref().map(|(entry, _)| entry.owner),
                status,
                route: self.route.as_ref().map(|route| Arc::clone(&route.name)),
                method: self.method,
            });
        }
        self.worker
            .log
            .write(&self.worker.counters, |buffer| line.write(buffer));
    }

    /// Leaves its span, if it has one.
    fn trace(&self, status: u16, took: Duration) {
        let context = self.trace.context().filter(|it| it.is_sampled);
        let Some((context, traces)) = context.zip(self.worker.plane.traces.as_ref()) else {
            return;
        };
        let key = self.key.as_ref();
        let endpoint = self.endpoint.as_ref();
        let upstream = endpoint.and(self.route.as_ref()).map(|it| &it.upstream);
        traces.leave(Span {
            context: *context,
            started_at: self.opened_at.wall,
            took,
            method: self.method,
            status,
            code: self.code,
            key: key.map(|(entry, version)| (entry.id, version.number, entry.owner)),
            request_id: String::from_utf8_lossy(self.request_id.as_bytes()).into_owned(),
            route: self.route.as_ref().map(|route| Arc::clone(&route.name)),
            upstream: upstream.map(|it| it.upstream.name.clone()),
            endpoint: endpoint.map(|it| Arc::clone(&it.name)),
            attempts: self.attempts,
        });
    }

    /// Counts it for whoever watches counts.
    fn tally(&self, status: u16, took: Duration) {
        let passed = Passed {
            status,
            is_refused: self.code.is_some() && status < 500,
            bytes_in: self.bytes_in(),
            bytes_out: self.bytes_out,
            took,
        };
        let key = self.key.as_ref().map(|(entry, _)| (entry.id, entry.owner));
        let route = self.route.as_ref().map(|route| route.index);
        let tap = &self.worker.plane.tap;
        tap.count(self.worker.index, key, route, &passed);
    }

    /// Writes it down for the audit log.
    fn note(&mut self, status: u16) {
        let key = self.key.as_ref();
        let likeness = Likeness {
            key: key.map(|(entry, version)| (entry.id, version.number, entry.owner)),
            route: self.route.as_ref().map(|route| route.index),
            method: self.method,
            status,
            code: self.code,
            client: Some(self.client),
        };
        self.worker.notes.note(
            &self.worker.counters,
            self.opened_at.wall,
            likeness,
            &self.request_id,
            self.path.as_deref().unwrap_or_default(),
        );
    }
}

impl Drop for Record {
    /// The only exit: a request that was opened is counted and logged, exactly once.
    fn drop(&mut self) {
        // A client that left before there was an answer is written down as nginx does it.
        let status = if self.status == 0 {
            CLIENT_LEFT
        } else {
            self.status
        };
        let now_ns = self.worker.plane.clock.mono_ns();
        let took = Duration::from_nanos(now_ns.saturating_sub(self.opened_at.mono_ns));
        // What a stream's client did not take did not go out.
        let lost = self.underway.flow.as_ref().map_or(0, |flow| flow.lost());
        self.bytes_out = self.bytes_out.saturating_sub(lost);
        self.is_cut |= lost > 0;
        self.count_usage(status);
        self.count(status, took);

        self.tell_of(status, took);
        if self.worker.plane.tap.is_counting() {
            self.tally(status, took);
        }
        self.note(status);
        self.trace(status, took);
    }
}

/// The status written down for a client that left before it was answered; never sent.
const CLIENT_LEFT: u16 = 499;
