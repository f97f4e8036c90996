//! `DELETE /admin/tokens/{token_id}?reason=`: ends an admin token for ever, on every gate at once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::about::{About, example};
use crate::admin::ask::{Id, Params};
use crate::admin::auth::By;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::tokens::Token;
use crate::domain::id::TokenId;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "revokeToken",
        "End an admin token",
        "For ever, on every gate at once.",
    )
    .reason()
    .answer::<Token>(200, "The token.", example::token())
    .code(Code::Conflict)
}

/// Revokes an admin token.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<TokenId>,
    mut params: Params,
) -> Result<Json<Token>, Problem> {
    let reason = params.text("reason");
    params.finish()?;
    let token = shared.tokens.revoke(&caller, id, reason).await?;
    Ok(Json(Token::from(&token)))
}
