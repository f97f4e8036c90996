//! Sends spans, and keeps what a collector does not take yet.
//!
//! Every second what lies in the queue goes out, so many a call. A collector that is away, or asks for patience,
//! is tried again with the same spans, ever less often; meanwhile the queue fills, and what finds no place there
//! is counted. No request notices.

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
    /// Spans that are being sent, or were and must be again.
    batch: tokio::sync::Mutex<Vec<Span>>,
}

/// Why a collector did not take spans.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// It did not answer.
    #[error("the collector does not answer")]
    NoAnswer(#[source] reqwest::Error),
    /// It asks to be tried again, or is not itself.
    #[error("the collector answers {0}")]
    Busy(StatusCode),
    /// It will never take these.
    #[error("the collector refuses the spans: {0}")]
    Refused(StatusCode),
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
        let mut wait = EVERY;
        loop {
            tokio::time::sleep(wait).await;
            match self.send_all().await {
                Ok(()) => wait = EVERY,
                Err(error) => {
                    if wait == EVERY {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "spans are not taken, trying again");
                    }
                    wait = (wait * 2).min(SELDOM);
                }
            }
        }
    }

    /// Sends what is left, once, when no request will leave any more; nobody waits for it for long.
    pub(crate) async fn last(&self) {
        let sent = tokio::time::timeout(LAST, self.send_all()).await;
        if !matches!(sent, Ok(Ok(()))) {
            let left = self.batch.lock().await.len() + self.spans.lock().try_iter().count();
            self.queue.lost(left);
            tracing::info!(spans = left, "the last spans were not taken");
        }
    }

    /// Sends until nothing is left.
    async fn send_all(&self) -> Result<(), ExportError> {
        let mut batch = self.batch.lock().await;
        loop {
            let room = BATCH.saturating_sub(batch.len());
            batch.extend(self.spans.lock().try_iter().take(room));
            if batch.is_empty() {
                return Ok(());
            }
            match self.send(&batch).await {
                Ok(()) => self.queue.took(batch.len()),
                Err(ExportError::Refused(status)) => {
                    self.queue.lost(batch.len());
                    batch.clear();
                    return Err(ExportError::Refused(status));
                }
                Err(error) => return Err(error),
            }
            batch.clear();
        }
    }

    async fn send(&self, spans: &[Span]) -> Result<(), ExportError> {
        let body = otlp::request(&self.resource, spans);
        let post = self.http.post(self.endpoint.clone()).body(body);
        let answer = post
            .send()
            .await
            .map_err(|error| ExportError::NoAnswer(error.without_url()))?;
        let status = answer.status();
        // Read to its end, so that the connection can be used again; what it says is of no use here.
        let _ = answer.bytes().await;
        match status {
            _ if status.is_success() => Ok(()),
            // The OTLP specification, "Retryable Response Codes".
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(ExportError::Busy(status)),
            _ => Err(ExportError::Refused(status)),
        }
    }
}

const PROTOBUF: &str = "application/x-protobuf";
/// The most spans in one call.
const BATCH: usize = 512;
/// How often spans are sent, unless the collector is away.
const EVERY: Duration = Duration::from_secs(1);
/// How seldom a collector that is away is tried.
const SELDOM: Duration = Duration::from_secs(30);
/// How long a collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same at the stop.
const LAST: Duration = Duration::from_secs(2);
