//! `POST /admin/policies/preview`: what policies would do, and to which keys, before they do it.
//!
//! Takes `{"policy": {…}, "instead_of": "pol_…"}`, or no body for what those there are do. The answer is
//! made by what decides in earnest.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use crate::admin::about::About;
use crate::admin::ask::{Ask, AskIfAny, NoQuery};
use crate::admin::auth::By;
use crate::admin::policies::form;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::policies::{Preview, PreviewItem, PreviewPolicy};
use crate::api::problem::Fault;
use crate::control::ControlError;
use crate::control::policies::Judged;
use crate::domain::time::Timestamp;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "previewPolicy",
        "Try a policy out",
        "What policies would do, and to which keys, before they do it; without a body, what those there are do.",
    )
    .body_if_any::<PreviewPolicy>(json!({"policy": {"name": "tidy", "revoke_unused_after": "180d"}}))
    .answer::<Preview>(200, "Which keys it is about, at most 1000 of them.", json!({
        "keys": 120, "revoked": 1, "violating": 0,
        "items": [{
            "key_id": "key_3fXk29QmZa", "key_name": "billing-worker", "owner_id": "usr_7Gh2kQw9Lp",
            "last_used_at": null, "unused": true, "stale": true,
            "revoked_at": "2026-02-14T12:00:00.000Z", "violations": [],
        }],
    }))
    .code(Code::NotFound)
}

/// Tries a policy out.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    _: NoQuery,
    AskIfAny(Ask { body: asked, .. }): AskIfAny<PreviewPolicy>,
) -> Result<Json<Preview>, Problem> {
    let policy = asked.policy.map(|policy| form::create(policy, "/policy"));
    let policy = policy.transpose().map_err(ControlError::Invalid)?;
    let instead_of = asked.instead_of.map(|id| {
        id.parse()
            .map_err(|_| ControlError::field("/instead_of", "form", "not the id of a policy"))
    });
    let instead_of = instead_of.transpose()?;
    let preview = shared
        .policies
        .preview(&caller, policy.as_ref(), instead_of)
        .await?;
    let now = shared.clock.now();
    let items = preview.items.iter().map(|judged| item(judged, now));
    Ok(Json(Preview {
        keys: preview.keys,
        revoked: preview.revoked,
        violating: preview.violating,
        items: items.collect(),
    }))
}

fn item(judged: &Judged, now: Timestamp) -> PreviewItem {
    let outlook = &judged.judgement.outlook;
    let has_come = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    let fate = outlook.fate.filter(|fate| fate.warn_at <= now);
    let faults = judged.judgement.faults.iter();
    PreviewItem {
        key_id: judged.key.id.into(),
        key_name: judged.key.settings.name.clone(),
        owner_id: judged.key.owner.into(),
        last_used_at: judged.last_used.map(Into::into),
        unused: has_come(outlook.unused_at),
        stale: has_come(outlook.stale_at),
        revoked_at: fate.map(|fate| fate.revoke_at.into()),
        violations: faults
            .map(|fault| Fault {
                pointer: fault.pointer.clone(),
                code: fault.code.to_owned(),
                detail: fault.detail.clone(),
            })
            .collect(),
    }
}
