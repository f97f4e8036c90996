//! How the gate is doing: for people, for Prometheus and for whoever restarts it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

use crate::admin::about::About;
use crate::admin::ask::NoQuery;
use crate::admin::router::Shared;
use crate::api::status::{Health, Status};

/// What the reference says of `GET /admin/status`.
pub(crate) fn about_status() -> About {
    About::new(
        "status",
        "How the gate is",
        "This gate, its store and the roster.",
    )
    .answer::<Status>(
        200,
        "How it is.",
        json!({
            "node": "gate-1", "version": "0.1.0", "ready": true, "keys": 1_000_000,
            "store": {
                "kind": "redis", "state": "up", "revision": 1812,
                "last_contact_at": "2026-01-31T12:00:00.000Z", "staleness_ms": 3,
            },
            "usage": {"queued": 0, "spooled": 0, "lost": 0},
            "limits": {"leases": 812, "away": false},
            "nodes": [{
                "node": "gate-2", "state": "live", "revision": 1812,
                "last_contact_at": "2026-01-31T12:00:00.000Z",
            }],
            "quarantined": 0,
            "config": {"loaded_at": "2026-01-31T09:00:00.000Z", "digest": "9f86d081884c7d65"},
            "alarms": [],
        }),
    )
}

/// `GET /admin/status`: this gate and the roster.
pub(crate) async fn status(State(shared): State<Arc<Shared>>, _: NoQuery) -> Json<Status> {
    Json(shared.gate.status())
}

/// What the reference says of `GET /metrics`.
pub(crate) fn about_metrics() -> About {
    About::new("metrics", "The gate's counters", "As Prometheus text.").text_answer(
        "text/plain",
        "The counters.",
        "# TYPE portcullis_requests_total counter\n…",
    )
}

/// `GET /metrics`: the gate's counters as Prometheus text.
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ([(CONTENT_TYPE, EXPOSITION)], shared.gate.metrics()).into_response()
}

/// What the reference says of `GET /healthz`.
pub(crate) fn about_healthz() -> About {
    About::new("healthz", "Whether the process answers at all", "").answer::<Health>(
        200,
        "It does.",
        json!({"status": "ok", "reason": null}),
    )
}

/// `GET /healthz`: 200 while the process answers at all.
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        reason: None,
    })
}

/// What the reference says of `GET /readyz`.
pub(crate) fn about_readyz() -> About {
    About::new("readyz", "Whether the gate may take traffic", "")
        .answer::<Health>(200, "It may.", json!({"status": "ready", "reason": null}))
        .answer::<Health>(
            503,
            "It may not, and why.",
            json!({"status": "not_ready", "reason": "the store was last heard of 11 minutes ago"}),
        )
}

/// `GET /readyz`: 200 while the gate may take traffic, else 503 and why not.
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    match shared.gate.ready() {
        Ok(()) => Json(Health {
            status: "ready".to_owned(),
            reason: None,
        })
        .into_response(),
        Err(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(Health {
                status: "not_ready".to_owned(),
                reason: Some(reason),
            }),
        )
            .into_response(),
    }
}

const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
