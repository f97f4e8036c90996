//! How the gate is doing: for people, for Prometheus and for whoever restarts it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::admin::ask::NoQuery;
use crate::admin::router::Shared;
use crate::api::status::{Health, Status};

/// `GET /admin/status`: this gate and the roster.
pub(crate) async fn status(State(shared): State<Arc<Shared>>, _: NoQuery) -> Json<Status> {
    Json(shared.gate.status())
}

/// `GET /metrics`: the gate's counters as Prometheus text.
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ([(CONTENT_TYPE, EXPOSITION)], shared.gate.metrics()).into_response()
}

/// `GET /healthz`: 200 while the process answers at all.
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        reason: None,
    })
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
