//! What the examples of the reference show, each thing once.

use serde_json::{Value, json};

/// A key.
pub(crate) fn key() -> Value {
    json!({
        "id": "key_3fXk29QmZa",
        "name": "billing-worker",
        "description": "nightly export",
        "owner": {"id": "usr_7Gh2kQw9Lp", "name": "Billing", "type": "team"},
        "env": "live",
        "products": ["starter"],
        "scopes": ["orders:read"],
        "allowed_methods": [],
        "allowed_paths": [],
        "allowed_ips": ["10.0.0.0/8"],
        "rate_limits": [{"rate": "10/second", "burst": 20, "mode": "shared", "enforce": "on"}],
        "concurrency": null,
        "max_staleness": null,
        "quotas": [{
            "limit": 1000, "per": "day", "on_day": null, "hard": true, "used": 412,
            "renews_at": "2026-02-01T00:00:00.000Z",
        }],
        "risk": "standard",
        "expires_at": null,
        "metadata": {},
        "labels": {"team": "billing"},
        "protected": false,
        "self_rotation": false,
        "rotation": {
            "interval_days": 90, "keep_previous": true, "grace": "0s",
            "next_at": "2026-04-30T09:00:00.000Z",
        },
        "status": "active",
        "badges": ["rotating"],
        "created_at": "2026-01-05T09:00:00.000Z",
        "created_by": "tok_5Rt8vBn3Xc",
        "last_rotated_at": "2026-01-30T09:00:00.000Z",
        "last_used_at": "2026-01-31T11:59:58.000Z",
        "version": 2,
        "fingerprint": "60303ae22b99",
        "versions": [
            {
                "number": 2, "fingerprint": "60303ae22b99", "state": "current",
                "created_at": "2026-01-30T09:00:00.000Z", "activated_at": "2026-01-30T09:00:00.000Z",
                "retires_at": null, "last_used_at": "2026-01-31T11:59:58.000Z",
            },
            {
                "number": 1, "fingerprint": "9f86d081884c", "state": "previous",
                "created_at": "2026-01-05T09:00:00.000Z", "activated_at": "2026-01-05T09:00:00.000Z",
                "retires_at": "2026-01-31T21:00:00.000Z", "last_used_at": "2026-01-30T23:10:00.000Z",
            },
        ],
    })
}

/// What a key may reach.
pub(crate) fn access() -> Value {
    json!({
        "key_id": "key_3fXk29QmZa", "name": "billing-worker", "description": "nightly export",
        "status": "active", "badges": [],
        "owner": {"id": "usr_7Gh2kQw9Lp", "name": "Billing", "type": "team"}, "env": "live",
        "products": ["starter"], "scopes": ["orders:read"], "routes": ["orders"],
        "allowed_methods": [], "allowed_paths": [], "allowed_ips": ["10.0.0.0/8"],
        "risk": "standard", "protected": false, "created_at": "2026-01-05T09:00:00.000Z",
        "created_by": "tok_5Rt8vBn3Xc", "expires_at": null,
        "last_rotated_at": "2026-01-30T09:00:00.000Z",
        "last_used_at": "2026-01-31T11:59:58.000Z", "version": 2, "fingerprint": "60303ae22b99",
    })
}

/// A key with its secret, which is shown once.
pub(crate) fn key_created() -> Value {
    json!({"key": key(), "secret": SECRET, "previous": null})
}

/// A key that was rotated.
pub(crate) fn key_rotated() -> Value {
    let previous = json!({
        "number": 1, "fingerprint": "9f86d081884c", "retires_at": "2026-01-31T21:00:00.000Z",
    });
    json!({"key": key(), "secret": SECRET, "previous": previous})
}

/// A key that was revoked.
pub(crate) fn revoked() -> Value {
    json!({"key": key(), "revocation": revocation()})
}

/// How far a revocation has come.
pub(crate) fn revocation() -> Value {
    json!({
        "revision": 1812,
        "durable_on": ["store", "gate-1"],
        "applied_on": ["gate-1", "gate-2"],
        "pending": [{
            "node": "gate-3",
            "last_contact_at": "2026-01-31T11:59:40.000Z",
            "stops_by": "2026-01-31T12:09:40.000Z",
        }],
    })
}

/// An owner.
pub(crate) fn owner() -> Value {
    json!({
        "id": "usr_7Gh2kQw9Lp", "name": "Billing", "type": "team",
        "created_at": "2026-01-05T09:00:00.000Z", "disabled_at": null,
    })
}

/// An owner that was switched off.
pub(crate) fn owner_disabled(under_way: bool) -> Value {
    json!({
        "owner": owner(), "revoked": 5, "tokens_ended": 1, "under_way": under_way,
        "revocation": revocation(),
    })
}

/// An admin token.
pub(crate) fn token() -> Value {
    json!({
        "id": "tok_5Rt8vBn3Xc", "name": "ci", "role": "operator", "owner_id": null,
        "fingerprint": "fd61a03af4f7", "created_at": "2026-01-05T09:00:00.000Z",
        "expires_at": null, "revoked_at": null,
    })
}

/// A product.
pub(crate) fn product() -> Value {
    json!({
        "id": "prd_2Wq9eRt5Yu", "name": "starter", "description": "for trying out",
        "scopes": ["orders:read"], "routes": ["orders"],
        "rate_limits": [{"rate": "10/second", "burst": 20, "mode": "shared", "enforce": "on"}],
        "quotas": [{
            "limit": 100_000, "per": "month", "on_day": null, "hard": true, "used": null,
            "renews_at": null,
        }],
        "max_staleness": null, "source": "api", "created_at": "2026-01-05T09:00:00.000Z",
    })
}

/// A policy.
pub(crate) fn policy() -> Value {
    json!({
        "id": "pol_9Zx4cVb6Nm", "name": "house rules", "description": null, "enabled": true,
        "selector": {"label": "team=billing"}, "max_age": "365d", "require_expiry": true,
        "require_description": true, "require_reason": false, "owner_types": ["team", "system"],
        "allowed_scopes": null, "unused_alert_after": "7d", "stale_after": "30d",
        "revoke_unused_after": "180d", "revoke_warning": "14d",
        "created_at": "2026-01-05T09:00:00.000Z", "source": "api",
    })
}

/// The rules of automatic rotation.
pub(crate) fn rules() -> Value {
    json!({"items": [{
        "id": "rot_1Qa2Ws3Ed4", "interval_days": 30, "keep_previous": true, "grace": "0s",
        "selector": {"label": "team=billing"}, "due": 3,
    }]})
}

/// An entry of the audit log.
pub(crate) fn audit_entry() -> Value {
    json!({
        "id": "aud_6Tg7Yh8Uj9", "seq": 1812, "timestamp": "2026-01-31T12:00:00.000Z",
        "type": "key_revocation", "outcome": "done", "code": null,
        "actor": {"type": "token", "id": "tok_5Rt8vBn3Xc", "name": "ci"},
        "key_id": "key_3fXk29QmZa", "key_version": null, "owner_id": "usr_7Gh2kQw9Lp",
        "address": "203.0.113.7", "request_id": "req_0Ab1Cd2Ef3Gh4Ij5", "reason": "left",
        "changes": [{"field": "status", "from": "active", "to": "revoked"}],
        "previous_hash": HASH, "hash": HASH,
    })
}

/// A gate of the roster.
pub(crate) fn node() -> Value {
    json!({
        "node": "gate-2", "state": "live", "revision": 1812,
        "last_contact_at": "2026-01-31T12:00:00.000Z", "version": "0.1.0", "index": 1, "this": false,
    })
}

/// Somebody who is signed in.
pub(crate) fn signed() -> Value {
    json!({"session": {
        "actor": {"type": "token", "id": "tok_5Rt8vBn3Xc", "name": "ci"},
        "role": "operator", "owner": null,
    }})
}

/// A page of one thing.
pub(crate) fn page(item: Value) -> Value {
    json!({"items": [item], "next_cursor": null})
}

/// No secret of anybody.
const SECRET: &str = "pk_live_…";
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
