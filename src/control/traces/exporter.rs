//! Sends spans, and keeps what a collector does not take yet.
//!
//! Every second what lies in the queue goes out, so many a call. A collector that is away, or asks for patience,
//! is tried again with the same spans, when it says or else ever less often; meanwhile the queue fills, and what
//! finds no place there is counted. What a collector refuses is counted and never sent again (OTLP 1.0, "Failures").
//! No request notices.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use parking_lot::Mutex;

use super::otlp;
use crate::config;
use crate::state::traces::{Span, Traces};

/// Sends spans.
pub(crate) struct Exporter {
    http: reqwest::Client,
    endpoint: reqwest::Url,
    resource: otlp::Resource,
    queue: Arc<Traces>,
    spans: Mutex<Receiver<Span>>,
    batch: tokio::sync::Mutex<Batch>,
}

#[derive(Default)]
struct Batch {
    /// Spans that are being sent, or were and must be again.
    spans: Vec<Span>,
    /// Whether the log says already that spans are refused: said once, until some are taken whole.
    is_refusal_told: bool,
}

/// Why spans are sent again.
#[derive(Debug, thiserror::Error)]
enum Untaken {
    /// It did not answer.
    #[error("the collector does not answer")]
    NoAnswer(#[source] reqwest::Error),
    /// It asks to be tried again, perhaps after a while that it names, or is not itself.
    #[error("the collector answers {status}")]
    Busy {
        status: StatusCode,
        after: Option<Duration>,
    },
}

/// What a collector made of the spans that it answered for.
#[derive(Debug)]
enum Verdict {
    Taken,
    /// All but so many: those it will never take.
    TakenBut(usize),
    /// It will never take these.
    Refused(StatusCode),
}

/// When a collector is called again.
struct Pace(Duration);

impl Pace {
    /// How long to wait, now that all was settled or something is to be sent again.
    fn after(&mut self, sent: &Result<(), Untaken>) -> Duration {
        let asked = match sent {
            Ok(()) => {
                self.0 = EVERY;
                return EVERY;
            }
            Err(Untaken::Busy { after, .. }) => *after,
            Err(Untaken::NoAnswer(_)) => None,
        };
        self.0 = (self.0 * 2).min(SELDOM);
        asked.map_or(self.0, |asked| asked.clamp(EVERY, ASKED_MOST))
    }
}

impl Exporter {
    /// What sends `spans`, as the gate that goes by the name `node`.
    ///
    /// # Errors
    /// If the machine's certificates cannot be read, where the collector's is to be checked.
    pub(crate) fn new(
        choice: &config::Traces,
        node: &str,
        queue: Arc<Traces>,
        spans: Receiver<Span>,
    ) -> Result<Self, reqwest::Error> {
        // Installed once in a process; a second time changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        // The configuration holds nothing that is no field's value.
        let shown = choice.authorization.as_deref();
        if let Some(Ok(mut shown)) = shown.map(|it| HeaderValue::from_str(it)) {
            shown.set_sensitive(true);
            fields.insert(header::AUTHORIZATION, shown);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .default_headers(fields)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE);
        if choice.endpoint.scheme() == "http" {
            // The system's certificates need not be there where none is checked.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            http: builder.build()?,
            endpoint: choice.endpoint.clone(),
            resource: otlp::Resource {
                service: choice.service.clone(),
                node: node.to_owned(),
            },
            queue,
            spans: Mutex::new(spans),
            batch: tokio::sync::Mutex::default(),
        })
    }

    /// Sends for as long as it is polled.
    pub(crate) async fn run(&self) {
        let (mut pace, mut wait) = (Pace(EVERY), EVERY);
        let mut is_told = false;
        loop {
            tokio::time::sleep(wait).await;
            let sent = self.send_all().await;
            if let Err(error) = &sent
                && !is_told
            {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "spans are not taken, trying again");
            }
            is_told = sent.is_err();
            wait = pace.after(&sent);
        }
    }

    /// Sends what is left, once, when no request will leave any more; nobody waits for it for long.
    pub(crate) async fn last(&self) {
        let sent = tokio::time::timeout(LAST, self.send_all()).await;
        if !matches!(sent, Ok(Ok(()))) {
            let left = self.batch.lock().await.spans.len() + self.spans.lock().try_iter().count();
            self.queue.lost(left);
            tracing::info!(spans = left, "the last spans were not taken");
        }
    }

    /// Sends until nothing is left, or something is to be sent again.
    async fn send_all(&self) -> Result<(), Untaken> {
        let mut batch = self.batch.lock().await;
        loop {
            let room = BATCH.saturating_sub(batch.spans.len());
            batch.spans.extend(self.spans.lock().try_iter().take(room));
            if batch.spans.is_empty() {
                return Ok(());
            }
            let verdict = self.send(&batch.spans).await?;
            self.settle(&mut batch, &verdict);
        }
    }

    /// Counts what became of a batch, and empties it.
    fn settle(&self, batch: &mut Batch, verdict: &Verdict) {
        let all = batch.spans.len();
        let refused = match verdict {
            Verdict::Taken => 0,
            Verdict::TakenBut(refused) => all.min(*refused),
            Verdict::Refused(_) => all,
        };
        batch.spans.clear();
        self.queue.took(all - refused);
        self.queue.lost(refused);
        if refused > 0 && !batch.is_refusal_told {
            let status = match verdict {
                Verdict::Refused(status) => status.as_u16(),
                Verdict::Taken | Verdict::TakenBut(_) => StatusCode::OK.as_u16(),
            };
            tracing::warn!(
                status,
                spans = refused,
                "the collector refuses spans, which are dropped"
            );
        }
        batch.is_refusal_told = refused > 0;
    }

    async fn send(&self, spans: &[Span]) -> Result<Verdict, Untaken> {
        let body = otlp::request(&self.resource, spans);
        let post = self.http.post(self.endpoint.clone()).body(body);
        let answer = post
            .send()
            .await
            .map_err(|error| Untaken::NoAnswer(error.without_url()))?;
        let status = answer.status();
        let after = asked_patience(answer.headers());
        let said = read(answer).await;
        match status {
            _ if status.is_success() => Ok(match otlp::rejected(&said) {
                0 => Verdict::Taken,
                some => Verdict::TakenBut(usize::try_from(some).unwrap_or(usize::MAX)),
            }),
            // The OTLP specification, "Retryable Response Codes" and "OTLP/HTTP Throttling".
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Err(Untaken::Busy { status, after })
            }
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Err(Untaken::Busy {
                status,
                after: None,
            }),
            _ => Ok(Verdict::Refused(status)),
        }
    }
}

/// What an answer says, read to its end, so that the connection can be used again. One that is longer than any
/// answer needs to be, or breaks off, says nothing: its status counts.
async fn read(mut answer: reqwest::Response) -> Vec<u8> {
    let mut said = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if said.len() + chunk.len() <= ANSWER_MOST => said.extend(chunk),
            Ok(None) => return said,
            Ok(Some(_)) | Err(_) => return Vec::new(),
        }
    }
}

/// The seconds of `Retry-After` (RFC 9110 §10.2.3). A date is not read: it would need both clocks to agree.
fn asked_patience(fields: &HeaderMap) -> Option<Duration> {
    let text = fields.get(header::RETRY_AFTER)?.to_str().ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    // More digits than a number has room for ask for more patience than there is.
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

const PROTOBUF: &str = "application/x-protobuf";
/// The most spans in one call.
const BATCH: usize = 512;
/// How often spans are sent, unless the collector is away.
const EVERY: Duration = Duration::from_secs(1);
/// How seldom a collector that is away is tried.
const SELDOM: Duration = Duration::from_secs(30);
/// The longest that a collector which asks for patience is left alone.
const ASKED_MOST: Duration = Duration::from_secs(300);
/// The most bytes of an answer that are looked at.
const ANSWER_MOST: usize = 16 * 1024;
/// How long a collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same at the stop.
const LAST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(after: Option<u64>) -> Result<(), Untaken> {
        Err(Untaken::Busy {
            status: StatusCode::SERVICE_UNAVAILABLE,
            after: after.map(Duration::from_secs),
        })
    }

    #[test]
    fn a_collector_that_is_away_is_tried_ever_less_often_and_at_once_when_it_is_back() {
        let mut pace = Pace(EVERY);
        let waits = [(); 6].map(|()| pace.after(&busy(None)).as_secs());
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
        assert_eq!(pace.after(&Ok(())), EVERY);
        assert_eq!(pace.after(&busy(None)).as_secs(), 2);
    }

    #[test]
    fn a_collector_that_names_a_time_is_left_alone_for_it_within_bounds() {
        for (asked, waited) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (300, 300),
            (301, 300),
            (u64::MAX, 300),
        ] {
            let mut pace = Pace(EVERY);
            assert_eq!(pace.after(&busy(Some(asked))).as_secs(), waited, "{asked}");
        }
    }

    #[test]
    fn only_seconds_are_patience() {
        let asked = |text: &'static str| {
            let mut fields = HeaderMap::new();
            fields.insert(header::RETRY_AFTER, HeaderValue::from_static(text));
            asked_patience(&fields).map(|it| it.as_secs())
        };
        assert_eq!((asked("0"), asked("120")), (Some(0), Some(120)));
        assert_eq!(asked("99999999999999999999999"), Some(u64::MAX));
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            "1 s",
            "Wed, 21 Oct 2026 07:28:00 GMT",
        ] {
            assert_eq!(asked(text), None, "{text}");
        }
        assert_eq!(asked_patience(&HeaderMap::new()), None);
    }
}
