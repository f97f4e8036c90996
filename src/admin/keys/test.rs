//! `POST /admin/keys/{key_id}/test`: what the gate would answer a request with the key's current secret,
//! spending, counting and sending nothing.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use crate::admin::about::About;
use crate::admin::ask::{Ask, Id, NoQuery};
use crate::admin::auth::By;
use crate::admin::gate::TestRequest;
use crate::admin::problem::{Code, Problem};
use crate::admin::router::Shared;
use crate::api::keys::{KeyTested, TestKey};
use crate::domain::id::KeyId;
use crate::domain::lifecycle::FieldFault;

/// What the reference says of it.
pub(crate) fn about() -> About {
    About::new(
        "testKey",
        "Try a request with a key",
        "What the gate would answer a request with the key's current secret, spending, counting and sending nothing.",
    )
    .body::<TestKey>(json!({"method": "GET", "path": "/v1/orders", "host": "api.example.com"}))
    .answer::<KeyTested>(200, "What it would come to.", json!({
        "admitted": false, "status": 429, "code": "rate_limited", "detail": "`key-1` has 0 left",
        "route": "orders", "upstream": "orders", "path": "/v1/orders", "version": 2,
        "limits": [{
            "name": "key-1", "rate": "10/second", "burst": 20, "remaining": 0,
            "whole_in_ms": 2000, "enforced": true,
        }],
        "quotas": [{
            "name": "key-day", "limit": 1000, "per": "day", "remaining": 588,
            "renews_at": "2026-02-01T00:00:00.000Z", "hard": true,
        }],
    }))
}

/// Thinks a request through.
pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    By(caller): By,
    Id(id): Id<KeyId>,
    _: NoQuery,
    Ask { body, .. }: Ask<TestKey>,
) -> Result<Json<KeyTested>, Problem> {
    let request = read(body)?;
    let key = shared.keys.find(&caller, id).await?;
    let quotas = shared.keys.quotas_of(&key).await;
    Ok(Json(shared.gate.test(&key, &request, &quotas)))
}

fn read(asked: TestKey) -> Result<TestRequest, Problem> {
    let mut faults = Vec::new();
    let mut fault = |pointer: &str, detail: &str| {
        faults.push(FieldFault::new(pointer, "form", detail));
    };
    if http::Method::from_bytes(asked.method.as_bytes()).is_err() {
        fault("/method", "a method is a token, like GET");
    }
    let host = asked.host.as_ref();
    if host.is_some_and(|host| host.parse::<http::uri::Authority>().is_err()) {
        fault("/host", "a host is a name or an address");
    }
    if !asked.path.starts_with('/') || asked.path.parse::<http::Uri>().is_err() {
        fault("/path", "a path begins with `/`");
    }
    let address = asked.address.as_ref().map(|text| text.parse::<IpAddr>());
    if address.as_ref().is_some_and(Result::is_err) {
        fault("/address", "an IPv4 or IPv6 address");
    }
    if !faults.is_empty() {
        return Err(Problem::faults(Code::Invalid, faults));
    }
    Ok(TestRequest {
        method: asked.method,
        host: asked.host,
        path: asked.path,
        address: address.and_then(Result::ok),
    })
}
