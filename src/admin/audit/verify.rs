//! `GET /admin/audit-logs/verify`: walks the hash chain and names the first entry that is not as it was
//! written.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use crate::admin::about::About;
use crate::admin::ask::NoQuery;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::audit::Verdict;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "verifyAuditLogs",
        "Verify the audit log",
        "Walks the chain of hashes and names the first entry that is not as it was written. One walk at a time.",
    )
    .answer::<Verdict>(200, "What was found.", json!({"valid": true, "entries": 1812, "last": 1812, "fault": null, "signers": []}))
}

/// Verifies the audit log.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    _: NoQuery,
) -> Result<Json<Verdict>, Problem> {
    let verdict = shared.audit.verify().await?;
    Ok(Json(Verdict::from(&verdict)))
}
