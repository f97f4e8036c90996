//! `DELETE /admin/nodes/{node}?reason=`: strikes off a gate that will not come back, so that nobody waits
//! for it and its share of every limit goes to the others. 409 while it is live; if it does come back, its
//! next beat puts it into the roster again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::wire;
use crate::admin::about::{About, example};
use crate::admin::ask::Params;
use crate::admin::auth::By;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::status::Node;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "strikeOffNode",
        "Strike off a gate that will not come back",
        "Nobody waits for it any more, and its share of every limit goes to the others. Not while it is live.",
    )
    .reason()
    .answer::<Node>(200, "What it was.", example::node())
    .code(Code::Conflict)
}

/// Strikes a gate off.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Path(node): Path<String>,
    mut params: Params,
) -> Result<Json<Node>, Problem> {
    let reason = params.text("reason");
    params.finish()?;
    let struck = shared.fleet.strike_off(&caller, &node, reason).await?;
    Ok(Json(wire(&struck)))
}
