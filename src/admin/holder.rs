//! What the holder of a key asks at the gate, with the key itself, answered in the words of this API.
//!
//! The data plane has proved whose key it is and leaves the question at the desk. What it does not keep
//! in memory comes from the store here, a few questions at a time.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{iter, unfold};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::admin::ask::{Ask, AskIfAny};
use crate::admin::keys::form;
use crate::admin::keys::rotate::replaced;
use crate::admin::problem::Problem;
use crate::api;
use crate::api::holder::{HeldKey, HeldLimit, Me, RotateMine, RotatedMine};
use crate::api::keys::RotateKey;
use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::keys::{KeyService, KeyView, Rotation, Terms};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::secret::Fingerprint;
use crate::domain::time::{Clock, Reading, Timestamp};
use crate::state::desk::Desk;
use crate::state::holders::{Answer, HolderCall, Question, Wish};
use crate::state::keys::{CachedVersion, KeyEntry};
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
        let answer = answer(&keys, &*clock, &call.question).await;
        call.answer(answer);
    };
    calls.flatten().for_each_concurrent(AT_ONCE, answer).await;
}

async fn answer(keys: &KeyService, clock: &dyn Clock, question: &Question) -> Answer {
    let answer = match &question.wish {
        Wish::Tell => tell(keys, clock.read(), question).await,
        Wish::Rotate { body, content_type } => {
            let (body, content_type) = (body.clone(), content_type.clone());
            rotate(keys, clock, question, body, content_type).await
        }
    };
    let mut response = match answer {
        Ok(response) => response,
        Err(No::Refused(refusal)) => return Err(refusal),
        Err(No::Problem(problem)) => {
            let mut response = problem.clone().into_response();
            problem.write(
                &mut response,
                question.request_id.to_str().unwrap_or_default(),
            );
            response
        }
    };
    response.extensions_mut().clear();
    let (head, body) = response.into_parts();
    // It is in memory already: there is nothing that could fail or be too large.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    Ok(http::Response::from_parts(head, body))
}

/// Why a holder does not get what it asks.
enum No {
    /// The gate's to say: whether holders may do this at all.
    Refused(Refusal),
    /// Ours: what was asked cannot be, or cannot be now.
    Problem(Problem),
}

impl From<Problem> for No {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<ControlError> for No {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NotForHolder => Self::Refused(
                Refusal::new(RefusalCode::PathNotAllowed)
                    .because("only a key that permits it is rotated here, with its newest secret"),
            ),
            error => Self::Problem(error.into()),
        }
    }
}

/// `GET /.portcullis/me`.
async fn tell(keys: &KeyService, now: Reading, question: &Question) -> Result<Response, No> {
    let view = keys.held(question.entry.id).await?;
    let enforced = question
        .entry
        .grants
        .limits
        .iter()
        .filter(|limit| limit.is_enforced());
    let me = Me {
        key: held(&view, &question.entry, shown(&question.version), now.wall),
        limits: enforced.map(|limit| left(limit, question, now)).collect(),
        quotas: quotas(keys, &question.entry).await,
    };
    Ok(Json(me).into_response())
}

/// `POST /.portcullis/rotate`.
async fn rotate(
    keys: &KeyService,
    clock: &dyn Clock,
    question: &Question,
    body: Bytes,
    content_type: Option<HeaderValue>,
) -> Result<Response, No> {
    let mut request = Request::new(Body::from(body));
    if let Some(content_type) = content_type {
        request.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    let AskIfAny(Ask { body, .. }) = AskIfAny::<RotateMine>::from_request(request, &()).await?;
    let id = question.entry.id;
    let key = keys.held(id).await?.key;
    let caller = Caller {
        address: Some(question.address),
        request_id: question.request_id.to_str().ok().map(str::to_owned),
        ..Caller::holder(&key)
    };
    let wanted = form::rotation(&RotateKey {
        grace: body.grace,
        ..RotateKey::default()
    });
    let asked = Rotation {
        by_holder_of: Some(question.version.number),
        ..wanted
    };
    let terms = Terms {
        if_match: None,
        // Who may rotate a key by holding it needs no other reason, where one is asked for.
        reason: body.reason.or_else(|| Some(BY_HOLDER.to_owned())),
        ..Terms::default()
    };
    let rotated = keys.rotate(&caller, id, &asked, terms).await?;
    let current = rotated.view.key.current();
    let version = current.map(|version| (version.number, version.fingerprint, None));
    let version = version.unwrap_or(shown(&question.version));
    let answer = RotatedMine {
        key: held(&rotated.view, &question.entry, version, clock.now()),
        secret: rotated.secret.map(|secret| secret.reveal().to_owned()),
        previous: rotated.previous.as_ref().map(replaced),
    };
    Ok(Json(answer).into_response())
}

/// A version as its holder knows it: number, fingerprint, end.
type Shown = (u16, Fingerprint, Option<Timestamp>);

fn shown(version: &CachedVersion) -> Shown {
    let retires_at = (version.retires_at != Timestamp::NEVER).then_some(version.retires_at);
    (version.number, version.fingerprint, retires_at)
}

fn held(view: &KeyView, entry: &KeyEntry, version: Shown, now: Timestamp) -> HeldKey {
    let told = api::keys::Key::new(&view.key, (&view.owner).into(), &[], view.schedule, now);
    let (number, fingerprint, retires_at) = version;
    let scopes = entry.grants.scopes.iter();
    HeldKey {
        id: told.id,
        name: told.name,
        description: told.description,
        owner: told.owner,
        env: told.env,
        products: told.products,
        scopes: scopes.map(ToString::to_string).collect(),
        allowed_methods: told.allowed_methods,
        allowed_paths: told.allowed_paths,
        allowed_ips: told.allowed_ips,
        concurrency: told.concurrency,
        self_rotation: told.self_rotation,
        version: number,
        fingerprint: fingerprint.to_string(),
        retires_at: retires_at.map(Into::into),
        expires_at: told.expires_at,
    }
}

/// What is left of a limit, as the key's next request would find it.
fn left(named: &NamedLimit, question: &Question, now: Reading) -> HeldLimit {
    let level = named.level(question.entry.slot(), now.mono_ns);
    HeldLimit {
        name: named.name.to_string(),
        rate: named.limit.rate.to_string(),
        burst: named.limit.burst.get(),
        remaining: level.remaining,
        whole_at: now.wall.after(level.whole_in).into(),
    }
}

/// Where the key's quotas stand, its products' included.
async fn quotas(keys: &KeyService, entry: &KeyEntry) -> Vec<api::keys::Quota> {
    let quotas = keys.quotas(entry).await.into_iter();
    let told = quotas.map(|it| api::keys::Quota {
        used: it.used,
        renews_at: it.renews_at.map(Into::into),
        ..(&it.quota).into()
    });
    told.collect()
}

/// Why a holder rotates its key, where it does not say.
const BY_HOLDER: &str = "by its holder";
/// How many are answered at once.
const AT_ONCE: usize = 16;
