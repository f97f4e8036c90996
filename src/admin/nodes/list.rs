//! `GET /admin/nodes`: the gates that share the store, by name, as of this gate's last beat.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::wire;
use crate::admin::ask::NoQuery;
use crate::admin::router::Shared;
use crate::api::page::Page;
use crate::api::status::Node;

/// Lists gates.
pub(crate) async fn call(State(shared): State<Arc<Shared>>, _: NoQuery) -> Json<Page<Node>> {
    Json(Page {
        items: shared.fleet.nodes().iter().map(wire).collect(),
        next_cursor: None,
    })
}
