//! What was acknowledged as revoked stays so, whatever is killed.

use serde_json::json;

use super::gate::{Client, Setup, Upstream};
use crate::support::patience::until;
use crate::support::redis::RedisServer;

/// S1-13: Redis away, a revocation acknowledged, the gate killed: revoked when it starts again, and in the
/// store, with its entry, when that is back.
#[test]
fn a_revocation_outlives_the_gate_that_took_it_without_its_store() {
    let mut redis = RedisServer::start();
    let upstream = Upstream::start(0);
    let setup = Setup::over_redis(upstream.address, &redis.url(), "gate-1", "");
    let gate = setup.start();
    let (key, secret) = gate.create_key("leaked");
    redis.kill();
    let path = format!("/admin/keys/{key}?reason=leaked");
    let (status, told) = gate.admin_call("DELETE", &path, "");
    assert_eq!(status, 202, "{told}");
    assert_eq!(told["revocation"]["revision"], json!(null));
    gate.kill();

    let gate = setup.start();
    let mut client = Client::new(gate.address, &secret).unwrap();
    assert_eq!(client.statuses(1), [401]);
    redis.restart();
    let (mut status, mut told) = (202, json!(null));
    until("the store has it", || {
        (status, told) = gate.admin_call("DELETE", &path, "");
        status != 202
    });
    assert_eq!((status, &told["key"]["status"]), (200, &json!("revoked")));
    gate.kill();

    // Its disk is gone: the store has it.
    let other = Setup::over_redis(upstream.address, &redis.url(), "gate-2", "");
    let gate = other.start();
    let mut client = Client::new(gate.address, &secret).unwrap();
    assert_eq!(client.statuses(1), [401]);
    let audit = format!("/admin/audit-logs?type=key_revocation&key_id={key}");
    let (_, entries) = gate.admin_call("GET", &audit, "");
    assert_eq!(entries["items"][0]["reason"], "leaked", "{entries}");
    assert_eq!(entries["items"].as_array().unwrap().len(), 1);
}
