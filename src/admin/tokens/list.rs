//! `GET /admin/tokens?limit=&cursor=`: admin tokens by when they were made, ended ones too. The one in
//! the configuration is not among them: it is kept nowhere else.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::about::{About, example};
use crate::admin::ask::{PageAsk, Params};
use crate::admin::auth::By;
use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::page::Page;
use crate::api::tokens::Token;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "listTokens",
        "List admin tokens",
        "By when they were made, ended ones too. The one in the configuration is not among them: it is kept nowhere else.",
    )
    .paged()
    .answer::<Page<Token>>(200, "A page of tokens.", example::page(example::token()))
}

/// Lists admin tokens.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    mut params: Params,
) -> Result<Json<Page<Token>>, Problem> {
    let PageAsk { limit, after, tag } = params.page()?;
    params.finish()?;
    let tokens = shared.tokens.list(&caller, limit, after).await?;
    Ok(Json(PageAsk::answer(tag, tokens, |token| {
        Token::from(&token)
    })))
}
