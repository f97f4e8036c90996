//! `POST /admin/tokens`: makes an admin token. 201, with its secret this once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::admin::about::{About, example};
use crate::admin::ask::{Ask, NoQuery};
use crate::admin::auth::By;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::tokens::{CreateToken, Token, TokenCreated};
use crate::control::tokens::NewToken;
use crate::domain::lifecycle::FieldFault;
use crate::domain::token::Role;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "createToken",
        "Make an admin token",
        "Its secret is told this once.",
    )
    .body::<CreateToken>(json!({"name": "ci", "role": "operator"}))
    .answer::<TokenCreated>(
        201,
        "The token, and its secret.",
        json!({"token": example::token(), "secret": "pk_admin_…"}),
    )
    .codes(&[Code::OwnerDisabled, Code::Conflict])
    .makes("token_id", "/token/id")
}

/// Makes an admin token.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    _: NoQuery,
    Ask { body, .. }: Ask<CreateToken>,
) -> Result<Response, Problem> {
    let asked = read(body).map_err(|faults| Problem::faults(Code::Invalid, faults))?;
    let (token, secret) = shared.tokens.create(&caller, &asked).await?;
    let body = TokenCreated {
        token: Token::from(&token),
        secret: secret.reveal().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

fn read(asked: CreateToken) -> Result<NewToken, Vec<FieldFault>> {
    let mut faults = Vec::new();
    let role = Role::from_word(&asked.role).unwrap_or_else(|| {
        let detail = "`viewer`, `operator` or `admin`";
        faults.push(FieldFault::new("/role", "unknown_word", detail));
        Role::Viewer
    });
    let owner = asked.owner_id.and_then(|text| {
        let id = text.parse();
        id.map_err(|_| faults.push(FieldFault::new("/owner_id", "form", "not an owner's id")))
            .ok()
    });
    let expires_at = asked.expires_at.and_then(|text| {
        let detail = "a time is like 2026-01-31T12:00:00.000Z";
        let end = text.parse();
        end.map_err(|_| faults.push(FieldFault::new("/expires_at", "form", detail)))
            .ok()
    });
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(NewToken {
        name: asked.name,
        role,
        owner,
        expires_at,
    })
}
