//! `GET /admin/nodes`: the gates that share the store, by name, as of this gate's last beat.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::wire;
use crate::admin::about::{About, example};
use crate::admin::ask::NoQuery;
use crate::admin::router::Shared;
use crate::api::page::Page;
use crate::api::status::Node;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "listNodes",
        "List the gates that share the store",
        "By name, as of this gate's last beat.",
    )
    .answer::<Page<Node>>(200, "The roster.", example::page(example::node()))
    .makes("node", "/items/0/node")
}

/// Lists gates.
pub(crate) async fn call(State(shared): State<Arc<Shared>>, _: NoQuery) -> Json<Page<Node>> {
    Json(Page {
        items: shared.fleet.nodes().iter().map(wire).collect(),
        next_cursor: None,
    })
}
