//! `GET /admin/audit-logs/verify`: walks the hash chain and names the first entry that is not as it was
//! written.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::ask::NoQuery;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::audit::Verdict;

/// Verifies the audit log.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    _: NoQuery,
) -> Result<Json<Verdict>, Problem> {
    let verdict = shared.audit.verify().await?;
    Ok(Json(Verdict::from(&verdict)))
}
