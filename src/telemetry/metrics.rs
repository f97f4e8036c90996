//! Every metric, declared once: its name, unit, help and labels. `docs/metrics.md` is made of this table.
//!
//! Labels have few values, known beforehand: routes, refusal codes, endpoints. Never a key, never a path.

use std::fmt::Write;

/// A metric as it is declared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal $help:literal;)*) => {
        $(pub(crate) const $constant: Metric = Metric { name: $name, kind: Kind::$kind, help: $help };)*
        /// All of them, in the order they are shown.
        #[cfg(test)]
        pub(crate) const ALL: &[Metric] = &[$($constant,)*];
    };
}

metrics! {
    REQUESTS = Counter "portcullis_requests_total" "Requests that found a route, by route and class of status.";
    REFUSED = Counter "portcullis_refused_total" "Requests refused, by code.";
    SHADOWED = Counter "portcullis_shadow_refused_total" "How often a shadow limit or a soft quota would have refused a request; one request may meet several.";
    DURATION = Histogram "portcullis_request_duration_seconds" "From the arrival of the head to the end of the answer, by route.";
    BYTES_IN = Counter "portcullis_request_body_bytes_total" "Bytes of request bodies, by route.";
    BYTES_OUT = Counter "portcullis_response_body_bytes_total" "Bytes of response bodies, by route.";
    CONNECTIONS = Gauge "portcullis_connections" "Client connections open, by core.";
    ACCEPTED = Counter "portcullis_connections_accepted_total" "Client connections accepted, by core.";
    TURNED_AWAY = Counter "portcullis_connections_turned_away_total" "Client connections closed because there were too many.";
    CERTIFICATE_END = Gauge "portcullis_tls_certificate_end_seconds" "When a certificate of a listener ends, as Unix time, by its file.";
    HANDSHAKES = Counter "portcullis_tls_handshakes_failed_total" "TLS handshakes that failed or took too long.";
    CONNECTS = Counter "portcullis_upstream_connects_total" "Connections opened to upstreams.";
    RETRIES = Counter "portcullis_upstream_retries_total" "Requests sent a second time.";
    ENDPOINT_UP = Gauge "portcullis_endpoint_up" "Whether an endpoint answers its health check (1) or not (0).";
    IN_FLIGHT = Gauge "portcullis_endpoint_requests_in_flight" "Requests at an endpoint now.";
    KEYS = Gauge "portcullis_key_hashes" "Secrets the gate knows, ended ones included.";
    REVISION = Gauge "portcullis_store_revision" "The store's revision that this gate has applied.";
    STORE_UP = Gauge "portcullis_store_up" "Whether the store answered when last asked (1) or not (0).";
    STORE_STATE = Gauge "portcullis_store_state" "How what this gate holds stands to its store: 1 for the state it is in, 0 for the others.";
    STALENESS = Gauge "portcullis_store_staleness_seconds" "How long ago the store last answered.";
    STALENESS_MAX = Gauge "portcullis_store_staleness_max_seconds" "How long ago that may be before all keys are refused (`fleet.max_staleness`).";
    QUARANTINED = Gauge "portcullis_store_quarantined_records" "Records that could not be read and were set aside.";
    USAGE_WAITING = Gauge "portcullis_usage_rows_waiting" "Rows of usage the store has not taken yet.";
    USAGE_SPOOLED = Gauge "portcullis_usage_batches_spooled" "Batches of usage on this gate's disk that the store has not taken yet.";
    USAGE_LOST = Counter "portcullis_usage_requests_lost_total" "Requests that will never be counted, because neither the store nor the disk took them.";
    LIMIT_LEASES = Gauge "portcullis_limit_leases" "Shared limits of keys that this gate has tokens of, or had a moment ago.";
    LIMIT_CALLS = Counter "portcullis_limit_lease_calls_total" "Calls on shared limits that the store was asked to settle.";
    LIMIT_WAITS = Counter "portcullis_limit_waits_total" "Requests that waited for tokens of a shared limit.";
    LIMIT_SHARES = Counter "portcullis_limit_fallbacks_total" "Requests decided by this gate's share of a limit, since the store did not answer.";
    QUOTA_LEASES = Gauge "portcullis_quota_leases" "Quotas of keys that this gate holds units of, or did half a minute ago.";
    QUOTA_DRAWS = Counter "portcullis_quota_draws_total" "Draws on quotas that the store was asked to settle.";
    QUOTA_REACHED = Counter "portcullis_quota_reached_total" "Thresholds of quotas of keys, 50, 80, 90 or 100 per cent spent, that this gate told of, by per cent.";
    EVENTS = Counter "portcullis_events_total" "Events that landed in the outbox by this gate, by kind.";
    WALKS = Counter "portcullis_key_walks_total" "Walks over all keys for what is due of them: rotation, warnings, ends.";
    SINK_FAILURES = Counter "portcullis_sink_failures_total" "How often a sink did not take a secret, or could not be read back, by sink.";
    JOBS = Gauge "portcullis_job_held" "Always 1: a job that gates share and this one does, by its name.";
    LOG_DROPPED = Counter "portcullis_access_log_dropped_total" "Access-log lines dropped because the writer was behind.";
    SPANS_SENT = Counter "portcullis_spans_sent_total" "Spans of requests that a collector took.";
    SPANS_DROPPED = Counter "portcullis_spans_dropped_total" "Spans that no collector will keep: there was no room, it refused them, or they were left at the stop.";
    REQUESTS_LOST = Counter "portcullis_audit_requests_lost_total" "Requests that are missing in the audit log because the disk was behind or failed.";
    REFUSALS_LOST = Counter "portcullis_audit_refusals_lost_total" "Refused calls of the admin API that are missing in the audit log because there were too many.";
    RESTARTS = Counter "portcullis_task_restarts_total" "Tasks of the control plane begun again after a panic, by task; each is a bug to report.";
    NODES_LIVE = Gauge "portcullis_nodes_live" "Gates over this store that were heard of in the last 3 s, this one included.";
    NODES_LOST = Gauge "portcullis_nodes_lost" "Other gates that were not heard of for 2 s and did not sign off: their share of every limit is left to them.";
    BEATS_FAILED = Counter "portcullis_beats_failed_total" "How often the store did not take this gate's word that it is there, once a second.";
    PROPAGATION = Histogram "portcullis_change_propagation_seconds" "From the commit of another gate's change until this gate acts on it; both times by the store's clock, so no gate's clock counts.";
    ALARMS = Gauge "portcullis_alarm" "Always 1: an alarm that is raised now, by its code in `/admin/status`.";
    CLOCK = Gauge "portcullis_clock_seconds" "The clock this gate goes by, as Unix time.";
    READY = Gauge "portcullis_ready" "Whether the gate may take traffic (1) or not (0).";
    BUILD = Gauge "portcullis_build_info" "Always 1; the version is a label.";
}

/// Metrics on their way out, as Prometheus text (exposition format 0.0.4).
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
}

impl Exposition {
    /// A metric and its samples: label pairs and value.
    pub(crate) fn add<'a>(
        &mut self,
        metric: Metric,
        samples: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, f64)>,
    ) {
        self.head(metric);
        for (labels, value) in samples {
            self.sample(metric.name, "", &labels, value);
        }
    }

    /// A metric with one sample and no labels.
    pub(crate) fn one(&mut self, metric: Metric, value: f64) {
        self.add(metric, [(Vec::new(), value)]);
    }

    /// A histogram in seconds: for each set of labels, the counts up to 2ⁿ µs and the sum in µs.
    pub(crate) fn histogram<'a>(
        &mut self,
        metric: Metric,
        rows: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, Vec<u64>, u64)>,
    ) {
        self.head(metric);
        for (labels, counts, sum_us) in rows {
            let mut sum = 0;
            for (power, count) in counts.iter().enumerate() {
                sum += count;
                let is_last = power + 1 == counts.len();
                let bound = (1_u64 << power) as f64 / 1e6;
                let le = if is_last {
                    "+Inf".to_owned()
                } else {
                    bound.to_string()
                };
                let mut labels = labels.clone();
                labels.push(("le", &le));
                self.sample(metric.name, "_bucket", &labels, sum as f64);
            }
            self.sample(metric.name, "_sum", &labels, sum_us as f64 / 1e6);
            self.sample(metric.name, "_count", &labels, sum as f64);
        }
    }

    /// The whole text.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, Metric { name, kind, help }: Metric) {
        // Writing to a String does not fail.
        let _ = write!(
            self.text,
            "# HELP {name} {help}\n# TYPE {name} {}\n",
            kind.as_str()
        );
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.text, "{name}{suffix}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.text, "{before}{label}=\"{value}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_their_unit_and_counters_end_in_total() {
        for metric in ALL {
            assert!(metric.name.starts_with("portcullis_"), "{}", metric.name);
            let is_counter = metric.kind == Kind::Counter;
            assert_eq!(
                metric.name.ends_with("_total"),
                is_counter,
                "{}",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn a_histogram_is_cumulative_and_its_last_bucket_is_everything() {
        let mut text = Exposition::default();
        text.histogram(DURATION, [(vec![("route", "a\"b")], vec![1, 2, 3], 9)]);
        let text = text.into_text();
        for line in [
            "portcullis_request_duration_seconds_bucket{route=\"a\\\"b\",le=\"0.000001\"} 1",
            "portcullis_request_duration_seconds_bucket{route=\"a\\\"b\",le=\"0.000002\"} 3",
            "portcullis_request_duration_seconds_bucket{route=\"a\\\"b\",le=\"+Inf\"} 6",
            "portcullis_request_duration_seconds_sum{route=\"a\\\"b\"} 0.000009",
            "portcullis_request_duration_seconds_count{route=\"a\\\"b\"} 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_documented_metrics_are_these() {
        let mut table = String::from("| metric | kind | what |\n|---|---|---|\n");
        for metric in ALL {
            table += &format!(
                "| `{}` | {} | {} |\n",
                metric.name,
                metric.kind.as_str(),
                metric.help
            );
        }
        let page = include_str!("../../docs/metrics.md");
        assert!(
            page.contains(&table),
            "docs/metrics.md should hold:\n{table}"
        );
    }
}
