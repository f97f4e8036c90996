//! What the holder of a key asks at the gate, with the key itself, answered in the words of this API.
//!
//! The data plane has proved whose key it is and leaves the question at the desk. What it does not keep
//! in memory comes from the store here, a few questions at a time.

use std::sync::Arc;

use axum::Json;
use axum::body::to_bytes;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{iter, unfold};

use crate::admin::problem::Problem;
use crate::api;
use crate::api::holder::{HeldKey, HeldLimit, Me};
use crate::control::caller::Caller;
use crate::control::keys::{KeyService, KeyView};
use crate::domain::product::Product;
use crate::domain::time::{Clock, Reading, Timestamp};
use crate::state::desk::Desk;
use crate::state::holders::{HolderCall, Question, Wish};
use crate::state::limiter::NamedLimit;

/// Answers holders for as long as it is polled.
pub(crate) async fn serve(keys: Arc<KeyService>, clock: Arc<dyn Clock>, desk: Arc<Desk>) {
    let calls = unfold(desk, async |desk| {
        let mut calls = Vec::new();
        desk.holders.take(&mut calls).await;
        Some((iter(calls), desk))
    });
    let answer = async |call: HolderCall| {
        // Whoever waited in vain asks again; doing it all the same would only add to what is late.
        if !call.is_awaited() {
            return;
        }
        let answer = answer(&keys, clock.read(), &call.question).await;
        call.answer(Ok(answer));
    };
    calls.flatten().for_each_concurrent(AT_ONCE, answer).await;
}

async fn answer(keys: &KeyService, now: Reading, question: &Question) -> http::Response<Bytes> {
    let answer = match &question.wish {
        Wish::Tell => tell(keys, now, question).await,
    };
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let id = question.request_id.to_str().unwrap_or_default();
        problem.write(&mut response, id);
    }
    let (mut head, body) = response.into_parts();
    head.extensions.clear();
    // It is in memory already: there is nothing that could fail or be too large.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    http::Response::from_parts(head, body)
}

/// `GET /.portcullis/me`.
async fn tell(keys: &KeyService, now: Reading, question: &Question) -> Result<Response, Problem> {
    let view = keys
        .load(&Caller::system("holder"), question.entry.id)
        .await?;
    let enforced = question
        .entry
        .grants
        .limits
        .iter()
        .filter(|limit| limit.is_enforced());
    let me = Me {
        key: held(&view, question, now.wall),
        limits: enforced.map(|limit| left(limit, question, now)).collect(),
        quotas: quotas(&keys.products().await?, &view),
    };
    Ok(Json(me).into_response())
}

fn held(view: &KeyView, question: &Question, now: Timestamp) -> HeldKey {
    let told = api::keys::Key::new(&view.key, (&view.owner).into(), &[], now);
    let version = &question.version;
    let retires_at = (version.retires_at != Timestamp::NEVER).then_some(version.retires_at);
    HeldKey {
        id: told.id,
        name: told.name,
        description: told.description,
        owner: told.owner,
        env: told.env,
        products: told.products,
        scopes: question
            .entry
            .grants
            .scopes
            .iter()
            .map(ToString::to_string)
            .collect(),
        allowed_methods: told.allowed_methods,
        allowed_paths: told.allowed_paths,
        allowed_ips: told.allowed_ips,
        concurrency: told.concurrency,
        self_rotation: told.self_rotation,
        version: version.number,
        fingerprint: version.fingerprint.to_string(),
        retires_at: retires_at.map(Into::into),
        expires_at: told.expires_at,
    }
}

/// What is left of a limit, as the key's next request would find it.
fn left(named: &NamedLimit, question: &Question, now: Reading) -> HeldLimit {
    let level = named
        .limiter
        .level(question.entry.slot(), named.id, now.mono_ns);
    HeldLimit {
        name: named.name.to_string(),
        rate: named.limit.rate.to_string(),
        burst: named.limit.burst.get(),
        remaining: level.remaining,
        whole_at: now.wall.after(level.whole_in).into(),
    }
}

fn quotas(products: &[Product], view: &KeyView) -> Vec<api::keys::Quota> {
    let settings = &view.key.settings;
    let granted = settings
        .products
        .iter()
        .filter_map(|name| products.iter().find(|product| product.name == *name));
    let quotas = settings
        .quotas
        .iter()
        .chain(granted.flat_map(|product| &product.quotas));
    quotas.map(Into::into).collect()
}

/// How many are answered at once.
const AT_ONCE: usize = 16;
