//! How the gate describes itself: to operators, to load balancers, to Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::admin::gate::{
    Alarm, ConfigStatus, Gate, KeyTested, LimitsStatus, NodeStatus, Status, StoreStatus,
    TestRequest, UsageStatus,
};
use crate::app::rehearsal::rehearse;
use crate::app::tasks::Restarts;
use crate::control::audit::{AuditFault, RequestsLost};
use crate::control::fleet::{Beats, FleetService};
use crate::control::flush::Flush;
use crate::control::jobs::{Jobs, Lease};
use crate::control::keys::QuotaStanding;
use crate::control::leases::Leases;
use crate::control::quotas::Quotas;
use crate::control::sinks::Sinks;
use crate::control::sync::AppliedRevision;
use crate::control::writer::Writer;
use crate::domain::fleet::Presence;
use crate::domain::key::Key;
use crate::domain::refusal::RefusalCode;
use crate::domain::time::{Clock, Timestamp};
use crate::proxy::Plane;
use crate::state::counters::{CoreCounters, Histogram, RouteCounters};
use crate::store::{Concern, Contact, ContactState, Store};
use crate::telemetry::metrics::{self, Exposition};

/// When something was first seen that is still so. Kept up by every look at it, be it of an operator or of
/// Prometheus.
#[derive(Debug, Default)]
pub(crate) struct Since(Mutex<Option<Timestamp>>);

impl Since {
    /// Since when it has been so; now, if this is the first look that finds it.
    fn seen(&self, is_so: bool, now: Timestamp) -> Option<Timestamp> {
        let mut since = self.0.lock();
        if !is_so {
            *since = None;
            return None;
        }
        Some(*since.get_or_insert(now))
    }
}

/// When each alarm was first raised that still is.
#[derive(Debug, Default)]
pub(crate) struct Firsts(Mutex<BTreeMap<&'static str, Timestamp>>);

impl Firsts {
    /// Since when each of these is so.
    fn seen(&self, concerns: Vec<Concern>, now: Timestamp) -> Vec<(Concern, Timestamp)> {
        let mut firsts = self.0.lock();
        firsts.retain(|code, _| concerns.iter().any(|it| it.code == *code));
        let seen = concerns.into_iter().map(|concern| {
            let since = *firsts.entry(concern.code).or_insert(now);
            (concern, since)
        });
        seen.collect()
    }
}

/// The gate as it describes itself.
pub(crate) struct Description {
    pub(crate) plane: Arc<Plane>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) applied: AppliedRevision,
    pub(crate) flush: Arc<Flush>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) fleet: Arc<FleetService>,
    pub(crate) beats: Arc<Beats>,
    pub(crate) propagation: Arc<Histogram>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) lease: Arc<dyn Lease>,
    pub(crate) requests_lost: Arc<RequestsLost>,
    pub(crate) restarts: Restarts,
    /// When records were first found to be unreadable.
    pub(crate) quarantined: Since,
    pub(crate) concerns: Firsts,
    /// When sinks were first found to be with no gate.
    pub(crate) orphaned: Since,
    /// When counts were first found to be lost.
    pub(crate) usage_lost: Since,
    /// When the audit log was first found to be other than what was signed.
    pub(crate) audit_broken: Since,
    pub(crate) audit_fault: Arc<AuditFault>,
    pub(crate) sinks: Sinks,
    /// When the certificates of listeners end, by their files.
    pub(crate) certificates: Vec<(String, Timestamp)>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long the store may be silent before all keys are refused.
    pub(crate) max_staleness: Duration,
    pub(crate) loaded_at: Timestamp,
    pub(crate) digest: String,
}

impl Gate for Description {
    fn node(&self) -> &str {
        &self.plane.node
    }

    fn status(&self) -> Status {
        let contact = self.store.contact();
        let now = self.clock.now();
        let silent_for = contact.last_at.map(|last| now.since(last));
        let usage = self.flush.standing();
        Status {
            node: self.plane.node.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.plane.readiness.is_ready(),
            keys: self.plane.keys.len() as u64,
            store: StoreStatus {
                kind: self.store.kind().to_owned(),
                state: if contact.is_up { "up" } else { "away" }.to_owned(),
                revision: self.applied.revision().0,
                last_contact_at: contact.last_at.map(Into::into),
                staleness_ms: silent_for
                    .map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
            },
            usage: UsageStatus {
                queued: usage.queued,
                spooled: usage.spooled,
                lost: usage.lost,
            },
            limits: LimitsStatus {
                leases: self.quotas.leases() + self.leases.leases(),
                away: self.quotas.is_away() || self.leases.is_away(),
            },
            nodes: self.others(),
            quarantined: contact.quarantined,
            config: ConfigStatus {
                loaded_at: self.loaded_at.into(),
                digest: self.digest.clone(),
            },
            alarms: self.alarms(&contact, now),
        }
    }

    fn ready(&self) -> Result<(), String> {
        if self.plane.readiness.is_ready() {
            return Ok(());
        }
        Err(match self.plane.readiness.refusal() {
            Some(RefusalCode::Stale) => "the store was last met too long ago",
            Some(_) => "the keys are not known yet",
            None => "the gate is stopping",
        }
        .to_owned())
    }

    fn metrics(&self) -> String {
        let mut out = Exposition::default();
        self.requests(&mut out);
        self.connections(&mut out);
        self.endpoints(&mut out);
        self.stored(&mut out);
        self.roster(&mut out);
        self.raised(&mut out);
        out.into_text()
    }

    fn test(&self, key: &Key, request: &TestRequest, quotas: &[QuotaStanding]) -> KeyTested {
        rehearse(&self.plane, key, request, quotas, self.clock.read())
    }
}

impl Description {
    fn alarms(&self, contact: &Contact, now: Timestamp) -> Vec<Alarm> {
        let alarm = |code: &str, detail: String, since: Timestamp| Alarm {
            code: code.to_owned(),
            detail,
            since: since.into(),
        };
        let mut alarms = Vec::new();
        if contact.state == ContactState::Away {
            let detail = "the store does not answer; what is known is served".to_owned();
            alarms.push(alarm("store_away", detail, contact.last_at.unwrap_or(now)));
        }
        if contact.is_mirror_refused {
            let detail = "the mirror was not as this gate had left it; it was set aside and read anew from the store".to_owned();
            alarms.push(alarm("mirror_refused", detail, self.loaded_at));
        }
        if let Some(since) = self.quarantined.seen(contact.quarantined > 0, now) {
            let count = contact.quarantined;
            let detail = format!("{count} records cannot be read and were set aside");
            alarms.push(alarm("records_quarantined", detail, since));
        }
        for (concern, since) in self.concerns.seen(self.store.concerns(), now) {
            alarms.push(alarm(concern.code, concern.detail, since));
        }
        if let Some(since) = self.fleet.taken_since() {
            let name = &self.plane.node;
            let detail = format!(
                "another process goes by the name of this gate, `{name}`: `node` must differ"
            );
            alarms.push(alarm("node_name_taken", detail, since));
        }
        let nodes = self.fleet.nodes();
        let silent = nodes.iter().filter(|it| it.presence == Presence::Silent);
        for node in silent {
            let name = &node.name;
            let detail = format!("gate `{name}` is silent and did not sign off; it may be serving");
            alarms.push(alarm("node_silent", detail, node.last_contact_at));
        }
        let orphans = self.lease.orphans();
        if let Some(since) = self.orphaned.seen(!orphans.is_empty(), now) {
            let told = orphans
                .iter()
                .map(|it| format!("`{}` (gate `{}`)", it.sink, it.node));
            let told: Vec<_> = told.collect();
            let detail = format!(
                "no gate that has the place of these sinks is running, so their keys are not rotated: {}",
                told.join(", ")
            );
            alarms.push(alarm("sink_elsewhere", detail, since));
        }
        let lost = self.flush.standing().lost;
        if let Some(since) = self.usage_lost.seen(lost > 0, now) {
            let detail = format!("{lost} requests will never be counted; the log says why");
            alarms.push(alarm("usage_lost", detail, since));
        }
        if let Some(since) = self.audit_broken.seen(self.audit_fault.is_seen(), now) {
            let detail = "the audit log is not what was signed, nothing more is signed; see `portcullis audit verify`";
            alarms.push(alarm("audit_broken", detail.to_owned(), since));
        }
        alarms
    }

    /// What someone should look at, and by what clock.
    fn raised(&self, out: &mut Exposition) {
        let now = self.clock.now();
        let alarms = self.alarms(&self.store.contact(), now);
        let codes: BTreeSet<&str> = alarms.iter().map(|alarm| &*alarm.code).collect();
        let raised = codes.into_iter().map(|code| (vec![("alarm", code)], 1.0));
        out.add(metrics::ALARMS, raised.collect::<Vec<_>>());
        out.one(metrics::CLOCK, now.as_millis() as f64 / 1e3);
        let ends = self.certificates.iter().map(|(file, end)| {
            let end = end.as_millis() as f64 / 1e3;
            (vec![("certificate", file.as_str())], end)
        });
        out.add(metrics::CERTIFICATE_END, ends.collect::<Vec<_>>());
        let spans = self.plane.traces.as_ref().map(|traces| traces.counts());
        let (sent, dropped) = spans.unwrap_or_default();
        out.one(metrics::SPANS_SENT, sent as f64);
        out.one(metrics::SPANS_DROPPED, dropped as f64);
        let sinks: Vec<_> = self.sinks.failures().collect();
        let failures = sinks
            .iter()
            .map(|(sink, count)| (vec![("sink", &***sink)], *count as f64));
        out.add(metrics::SINK_FAILURES, failures.collect::<Vec<_>>());
    }

    /// The gates of the roster but this one.
    fn others(&self) -> Vec<NodeStatus> {
        let nodes = self.fleet.nodes().into_iter().filter(|node| !node.is_this);
        nodes
            .map(|node| NodeStatus {
                node: node.name.to_string(),
                state: node.presence.as_str().to_owned(),
                revision: node.applied.0,
                last_contact_at: Some(node.last_contact_at.into()),
            })
            .collect()
    }

    fn roster(&self, out: &mut Exposition) {
        let (live, lost) = self.fleet.live_and_lost();
        out.one(metrics::NODES_LIVE, f64::from(live));
        out.one(metrics::NODES_LOST, f64::from(lost));
        out.one(metrics::BEATS_FAILED, self.beats.failures() as f64);
        let counts = self.propagation.counts().to_vec();
        let row = (Vec::new(), counts, self.propagation.sum_us());
        out.histogram(metrics::PROPAGATION, [row]);
    }

    fn requests(&self, out: &mut Exposition) {
        let counters = &self.plane.counters;
        let routes = self.plane.routes.routes();
        let by_route = |count: &dyn Fn(&RouteCounters) -> u64| {
            let sums = routes.iter().map(|route| {
                let index = usize::from(route.index);
                let sum = counters.sum(|core| core.routes.get(index).map_or(0, count));
                (&*route.name, sum)
            });
            sums.collect::<Vec<_>>()
        };
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let by_class = classes.iter().enumerate().flat_map(|(at, class)| {
            by_route(&|route| route.status.get(at).map_or(0, |count| count.get()))
                .into_iter()
                .map(|(name, sum)| (vec![("route", name), ("status", *class)], sum as f64))
        });
        out.add(metrics::REQUESTS, by_class.collect::<Vec<_>>());
        let refused = RefusalCode::ALL.iter().map(|code| {
            (
                vec![("code", code.as_str())],
                counters.sum(|core| core.refused(*code)) as f64,
            )
        });
        out.add(metrics::REFUSED, refused.collect::<Vec<_>>());
        out.one(
            metrics::SHADOWED,
            counters.sum(|core| core.shadowed.get()) as f64,
        );
        let durations = routes.iter().map(|route| {
            let mut counts = vec![0; crate::state::counters::BUCKETS];
            let mut sum_us = 0;
            for core in counters.iter() {
                let Some(of) = core.routes.get(usize::from(route.index)) else {
                    continue;
                };
                sum_us += of.latency.sum_us();
                for (sum, count) in counts.iter_mut().zip(of.latency.counts()) {
                    *sum += count;
                }
            }
            (vec![("route", &*route.name)], counts, sum_us)
        });
        out.histogram(metrics::DURATION, durations.collect::<Vec<_>>());
        for (metric, sums) in [
            (metrics::BYTES_IN, by_route(&|route| route.bytes_in.get())),
            (metrics::BYTES_OUT, by_route(&|route| route.bytes_out.get())),
        ] {
            let samples = sums
                .into_iter()
                .map(|(name, sum)| (vec![("route", name)], sum as f64));
            out.add(metric, samples.collect::<Vec<_>>());
        }
    }

    fn connections(&self, out: &mut Exposition) {
        let counters = &self.plane.counters;
        let cores: Vec<String> = (0..counters.iter().count())
            .map(|core| core.to_string())
            .collect();
        let by_core = |count: &dyn Fn(&CoreCounters) -> u64| {
            let samples = counters
                .iter()
                .zip(&cores)
                .map(|(core, name)| (vec![("core", name.as_str())], count(core) as f64));
            samples.collect::<Vec<_>>()
        };
        out.add(metrics::CONNECTIONS, by_core(&|core| core.open.get()));
        out.add(metrics::ACCEPTED, by_core(&|core| core.accepted.get()));
        for (metric, sum) in [
            (
                metrics::TURNED_AWAY,
                counters.sum(|core| core.turned_away.get()),
            ),
            (
                metrics::HANDSHAKES,
                counters.sum(|core| core.handshakes_failed.get()),
            ),
            (
                metrics::CONNECTS,
                counters.sum(|core| core.upstream_connects.get()),
            ),
            (metrics::RETRIES, counters.sum(|core| core.retries.get())),
            (
                metrics::LOG_DROPPED,
                counters.sum(|core| core.log_dropped.get()),
            ),
        ] {
            out.one(metric, sum as f64);
        }
    }

    fn endpoints(&self, out: &mut Exposition) {
        let upstreams = self.plane.routes.upstreams();
        let each = upstreams.iter().flat_map(|upstream| {
            let name = upstream.upstream.name.as_str();
            upstream.endpoints.iter().map(move |endpoint| {
                (
                    vec![("upstream", name), ("endpoint", &*endpoint.name)],
                    endpoint,
                )
            })
        });
        let each: Vec<_> = each.collect();
        let up = each
            .iter()
            .map(|(labels, it)| (labels.clone(), f64::from(u8::from(it.is_well()))));
        out.add(metrics::ENDPOINT_UP, up.collect::<Vec<_>>());
        let busy = each
            .iter()
            .map(|(labels, it)| (labels.clone(), f64::from(it.in_flight())));
        out.add(metrics::IN_FLIGHT, busy.collect::<Vec<_>>());
    }

    fn stored(&self, out: &mut Exposition) {
        let contact = self.store.contact();
        let silent_for = contact
            .last_at
            .map_or(0.0, |at| self.clock.now().since(at).as_secs_f64());
        out.one(metrics::KEYS, self.plane.keys.len() as f64);
        out.one(metrics::REVISION, self.applied.revision().0 as f64);
        out.one(metrics::STORE_UP, f64::from(u8::from(contact.is_up)));
        let is_stale = self.plane.readiness.refusal() == Some(RefusalCode::Stale);
        let states = ContactState::ALL.map(|state| {
            let is_so = !is_stale && contact.state == state;
            (state.as_str(), is_so)
        });
        let states = states.into_iter().chain([("stale", is_stale)]);
        let states =
            states.map(|(state, is_so)| (vec![("state", state)], f64::from(u8::from(is_so))));
        out.add(metrics::STORE_STATE, states);
        out.one(
            metrics::STALENESS,
            if contact.is_up { 0.0 } else { silent_for },
        );
        out.one(metrics::STALENESS_MAX, self.max_staleness.as_secs_f64());
        out.one(metrics::QUARANTINED, contact.quarantined as f64);
        self.quarantined
            .seen(contact.quarantined > 0, self.clock.now());
        let restarts = self.restarts.counts().into_iter();
        let restarts = restarts.map(|(task, count)| (vec![("task", task)], count as f64));
        out.add(metrics::RESTARTS, restarts.collect::<Vec<_>>());
        let events = self.writer.told().counts();
        let events = events.map(|(kind, count)| (vec![("kind", kind.as_str())], count as f64));
        out.add(metrics::EVENTS, events);
        out.one(metrics::WALKS, self.jobs.walks() as f64);
        let held = self.lease.held();
        let held = held.iter().map(|job| (vec![("name", &**job)], 1.0));
        out.add(metrics::JOBS, held.collect::<Vec<_>>());
        let dropped = self.plane.counters.sum(|core| core.notes_dropped.get());
        let lost = dropped + self.requests_lost.count();
        out.one(metrics::REQUESTS_LOST, lost as f64);
        out.one(metrics::REFUSALS_LOST, self.writer.refusals_lost() as f64);
        let usage = self.flush.standing();
        out.one(metrics::USAGE_WAITING, usage.rows as f64);
        out.one(metrics::USAGE_SPOOLED, usage.spooled as f64);
        out.one(metrics::USAGE_LOST, usage.lost as f64);
        let (waits, shares) = self.leases.waits();
        out.one(metrics::LIMIT_LEASES, self.leases.leases() as f64);
        out.one(metrics::LIMIT_CALLS, self.leases.calls() as f64);
        out.one(metrics::LIMIT_WAITS, waits as f64);
        out.one(metrics::LIMIT_SHARES, shares as f64);
        out.one(metrics::QUOTA_LEASES, self.quotas.leases() as f64);
        out.one(metrics::QUOTA_DRAWS, self.quotas.draws() as f64);
        let reached: Vec<_> = self
            .quotas
            .reached()
            .map(|(percent, count)| (percent.to_string(), count))
            .collect();
        let reached = reached
            .iter()
            .map(|(percent, count)| (vec![("percent", percent.as_str())], *count as f64));
        out.add(metrics::QUOTA_REACHED, reached.collect::<Vec<_>>());
        out.one(
            metrics::READY,
            f64::from(u8::from(self.plane.readiness.is_ready())),
        );
        out.add(
            metrics::BUILD,
            [(vec![("version", env!("CARGO_PKG_VERSION"))], 1.0)],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_keeps_the_time_it_was_first_raised_at_until_it_is_over() {
        let since = Since::default();
        let at = Timestamp::from_millis;
        assert_eq!(since.seen(false, at(1)), None);
        assert_eq!(since.seen(true, at(2)), Some(at(2)));
        assert_eq!(since.seen(true, at(3)), Some(at(2)));
        assert_eq!(since.seen(false, at(4)), None);
        assert_eq!(since.seen(true, at(5)), Some(at(5)));
    }
}
