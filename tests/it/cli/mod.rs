//! The command line, as its user and the admin API see it.

mod canned;
mod changes;
mod connection;
mod gate;
mod keys;
mod local;
mod others;
mod ports;
mod rotation;
mod rules;
mod store;
mod tail;
mod terminal;
mod thinking;

use serde_json::{Value, json};

const KEY: &str = "key_3fXk29QmZa";
const OWNER: &str = "usr_0000000abc";

/// A key as SPEC §9 has it, with a field that this version of the command does not know.
fn key(name: &str) -> Value {
    json!({
        "id": KEY, "name": name, "description": "nightly export",
        "owner": {"id": OWNER, "name": "Billing", "type": "team"},
        "env": "live", "products": ["starter"], "scopes": ["orders:read"], "allowed_methods": [],
        "allowed_paths": [], "allowed_ips": ["10.0.0.0/8"],
        "rate_limits": [{"rate": "10/second", "burst": 20, "mode": "shared", "enforce": "shadow"}],
        "concurrency": null, "quotas": [], "risk": "standard", "expires_at": null, "metadata": {},
        "labels": {"team": "billing"}, "protected": false, "self_rotation": false, "rotation": null,
        "status": "active", "badges": [], "created_at": "2026-01-31T12:00:00.123Z",
        "created_by": "tok_0000000xyz", "last_rotated_at": null, "last_used_at": null, "version": 1,
        "fingerprint": "60303ae22b99", "from_the_future": {"kept": true},
        "versions": [{"number": 1, "fingerprint": "60303ae22b99", "state": "current",
            "created_at": "2026-01-31T12:00:00.123Z", "activated_at": "2026-01-31T12:00:00.123Z",
            "retires_at": null, "last_used_at": null}],
    })
}

/// A problem document as SPEC §9 has it.
fn problem(status: u16, code: &str, title: &str, detail: &str, errors: Value) -> Value {
    let mut problem = json!({
        "type": format!("urn:portcullis:problem:{code}"), "title": title, "status": status,
        "code": code, "detail": detail, "request_id": "req_0000000001",
    });
    if errors.is_array() {
        problem["errors"] = errors;
    }
    problem
}
