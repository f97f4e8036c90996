//! `PATCH /admin/tokens/{token_id}`: gives an admin token another name, role or end.
//!
//! What is left out stays. 409 on a revoked one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::tokens::{PatchToken, Token};
use crate::control::tokens::TokenPatch;
use crate::domain::id::TokenId;
use crate::domain::lifecycle::FieldFault;
use crate::domain::time::NotATime;
use crate::domain::token::Role;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "changeToken",
        "Change an admin token",
        "Its name, its role or its end; what is left out stays.",
    )
    .body::<PatchToken>(json!({"role": "viewer"}))
    .answer::<Token>(200, "The token.", example::token())
    .code(Code::Conflict)
}

/// Changes an admin token.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<TokenId>,
    _: NoQuery,
    Ask { body, .. }: Ask<PatchToken>,
) -> Result<Json<Token>, Problem> {
    let patch = read(body).map_err(|faults| Problem::faults(Code::Invalid, faults))?;
    let token = shared.tokens.change(&caller, id, &patch).await?;
    Ok(Json(Token::from(&token)))
}

fn read(asked: PatchToken) -> Result<TokenPatch, Vec<FieldFault>> {
    let mut faults = Vec::new();
    let role = asked.role.map(|word| Role::from_word(&word));
    if role == Some(None) {
        let detail = "`viewer`, `operator` or `admin`";
        faults.push(FieldFault::new("/role", "unknown_word", detail));
    }
    let expires_at = asked.expires_at.map(|end| {
        let end = end.map(|text| text.parse()).transpose();
        end.unwrap_or_else(|NotATime| {
            let detail = "a time is like 2026-01-31T12:00:00.000Z";
            faults.push(FieldFault::new("/expires_at", "form", detail));
            None
        })
    });
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(TokenPatch {
        name: asked.name,
        role: role.flatten(),
        expires_at,
    })
}
