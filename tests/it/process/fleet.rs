//! Gates in processes of their own over one Redis: who is there, and where a revocation is in force.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::gate::{Gate, Setup, Upstream};
use crate::support::patience::until;
use crate::support::redis::RedisServer;

const NAMES: [&str; 3] = ["gate-1", "gate-2", "gate-3"];

fn setups(redis: &RedisServer, upstream: &Upstream) -> Vec<Setup> {
    let setup = |name| Setup::over_redis(upstream.address, &redis.url(), name, "");
    NAMES.map(setup).into_iter().collect()
}

/// Name and state of each gate, as `gate` sees them.
fn roster(gate: &Gate) -> Vec<(String, String)> {
    let (status, nodes) = gate.admin_call("GET", "/admin/nodes", "");
    assert_eq!(status, 200, "{nodes}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let nodes = nodes["items"].as_array().unwrap().iter();
    nodes
        .map(|node| (text(&node["node"]), text(&node["state"])))
        .collect()
}

#[track_caller]
fn sees(gate: &Gate, states: &[(&str, &str)]) {
    until(&format!("{states:?}"), || {
        let seen = roster(gate);
        let seen = seen.iter().map(|(name, state)| (&**name, &**state));
        seen.eq(states.iter().copied())
    });
}

/// A key that every gate admits.
fn known_key(gates: &[&Gate], name: &str) -> (String, String) {
    let (id, secret) = gates[0].create_key(name);
    for gate in gates {
        until("every gate knows the key", || gate.status(&secret) == 200);
    }
    (id, secret)
}

/// S3-09: when all gates are named, all of them refuse; one that stands still is named as such, with the
/// time it stops by, and refuses when it goes on; one that signed off is waited for by nobody.
#[test]
fn a_revocation_is_answered_when_every_gate_refuses_or_says_who_may_not() {
    let (redis, upstream) = (RedisServer::start(), Upstream::start(0));
    let setups = setups(&redis, &upstream);
    let mut gates: Vec<Gate> = setups.iter().map(Setup::start).collect();
    let all = NAMES.map(|name| (name, "live"));
    sees(&gates[0], &all);

    // All there: all named, and none admits it any more when the answer comes.
    let (id, secret) = known_key(&gates.iter().collect::<Vec<_>>(), "a");
    let path = format!("/admin/keys/{id}?wait=all");
    let (status, told) = gates[0].admin_call("DELETE", &path, "");
    let refused: Vec<u16> = gates.iter().map(|gate| gate.status(&secret)).collect();
    assert_eq!(refused, [401; 3]);
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["revocation"]["applied_on"], json!(NAMES));
    assert_eq!(told["revocation"]["pending"], json!([]));
    assert_eq!(told["revocation"]["durable_on"], json!(["store", NAMES[0]]));
    // Asked again, it is so already.
    let (status, told) = gates[1].admin_call("DELETE", &path, "");
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["revocation"]["applied_on"], json!(NAMES));

    // One stands still.
    let (id, secret) = known_key(&gates.iter().collect::<Vec<_>>(), "b");
    gates[2].pause();
    let begun = Instant::now();
    let path = format!("/admin/keys/{id}?wait=all&timeout=1500ms");
    let (status, told) = gates[0].admin_call("DELETE", &path, "");
    let took = begun.elapsed();
    assert_eq!(status, 202, "{told}");
    assert!(took >= Duration::from_millis(1_500), "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(told["revocation"]["applied_on"], json!(NAMES[..2]));
    let pending = &told["revocation"]["pending"];
    assert_eq!(pending.as_array().unwrap().len(), 1, "{told}");
    assert_eq!(pending[0]["node"], "gate-3");
    let (last, stops) = (&pending[0]["last_contact_at"], &pending[0]["stops_by"]);
    let time = |text: &Value| -> jiff::Timestamp { text.as_str().unwrap().parse().unwrap() };
    assert_eq!(time(stops).duration_since(time(last)).as_hours(), 24);
    assert_eq!([0, 1].map(|at| gates[at].status(&secret)), [401, 401]);
    sees(
        &gates[0],
        &[("gate-1", "live"), ("gate-2", "live"), ("gate-3", "silent")],
    );
    // Who merely revokes is not kept waiting, and is told the same.
    let (other, _) = known_key(&[&gates[0], &gates[1]], "c");
    let (status, told) = gates[1].admin_call("DELETE", &format!("/admin/keys/{other}"), "");
    assert_eq!(status, 200);
    let pending = told["revocation"]["pending"].as_array().unwrap();
    assert!(
        pending.iter().any(|node| node["node"] == "gate-3"),
        "{told}"
    );

    // It goes on, and catches up.
    gates[2].resume();
    until("the gate that stood still refuses", || {
        gates[2].status(&secret) == 401
    });
    sees(&gates[0], &all);

    // It signs off: nobody waits for it.
    assert!(!gates.pop().unwrap().terminate().is_empty());
    let (id, _) = known_key(&[&gates[0], &gates[1]], "d");
    let begun = Instant::now();
    let path = format!("/admin/keys/{id}?wait=all&timeout=20s");
    let (status, told) = gates[0].admin_call("DELETE", &path, "");
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["revocation"]["applied_on"], json!(NAMES[..2]));
    assert!(begun.elapsed() < Duration::from_secs(15));
    sees(
        &gates[0],
        &[("gate-1", "live"), ("gate-2", "live"), ("gate-3", "gone")],
    );
}

/// A second process under a gate's name does not start while the first beats; one that takes the place of a
/// process that was killed does, as soon as that is not live any more.
#[test]
fn a_name_is_one_processes_at_a_time() {
    let (redis, upstream) = (RedisServer::start(), Upstream::start(0));
    let start = || Setup::over_redis(upstream.address, &redis.url(), "gate-1", "");
    let (first, second) = (start(), start());
    let gate = first.start();
    let (_, secret) = gate.create_key("k");
    sees(&gate, &[("gate-1", "live")]);

    let (code, said) = second.fails_to_start();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("cannot go by the name `gate-1`"), "{said}");
    assert_eq!(gate.status(&secret), 200);
    sees(&gate, &[("gate-1", "live")]);

    gate.kill();
    let gate = second.start();
    until("the one that took its place serves", || {
        gate.status(&secret) == 200
    });
    sees(&gate, &[("gate-1", "live")]);
    // And a clean stop leaves the name free at once.
    gate.terminate();
    let begun = Instant::now();
    let gate = first.start();
    sees(&gate, &[("gate-1", "live")]);
    assert!(begun.elapsed() < Duration::from_secs(20));
}
