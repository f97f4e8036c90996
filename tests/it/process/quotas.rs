//! A quota is exact over four cores, a restart and a kill: never more, and less by no more than was on grant.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;

use super::gate::{Client, Gate, Setup, Upstream, call};

/// Sends until `enough` have passed here or the quota is exhausted; how many passed, and whether it was.
fn spend(gate: &Gate, secret: &str, enough: usize) -> (usize, bool) {
    let (passed, exhausted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::new(gate.address, secret).unwrap();
                while passed.load(Ordering::Relaxed) < enough {
                    let statuses = client.statuses(50);
                    let ok = statuses.iter().filter(|status| **status == 200).count();
                    passed.fetch_add(ok, Ordering::Relaxed);
                    let refused = statuses.iter().filter(|status| **status == 429).count();
                    assert_eq!(ok + refused, statuses.len(), "{statuses:?}");
                    if refused > 0 {
                        exhausted.store(1, Ordering::Relaxed);
                        return;
                    }
                    if statuses.len() < 50 {
                        client = Client::new(gate.address, secret).unwrap();
                    }
                }
            });
        }
    });
    (passed.into_inner(), exhausted.into_inner() == 1)
}

/// S2-09: a hundred thousand, spent on four cores over a clean restart and a kill.
#[test]
fn a_quota_of_a_hundred_thousand_is_never_exceeded_and_a_kill_loses_what_was_on_grant() {
    const LIMIT: usize = 100_000;
    let upstream = Upstream::start(0);
    let setup = Setup::new(upstream.address, "workers: 4\n");
    let gate = setup.start();
    let body = format!(
        r#"{{"name":"k","owner":{{"name":"team","type":"team"}},"quotas":[{{"limit":{LIMIT},"per":"total"}}]}}"#
    );
    let (status, made) = call(gate.admin, "POST", "/admin/keys", &body).unwrap();
    assert_eq!(status, 201, "{made}");
    let (id, secret) = (
        made["key"]["id"].as_str().unwrap(),
        made["secret"].as_str().unwrap(),
    );
    let used = |gate: &Gate| {
        let (_, key) = gate.admin_call("GET", &format!("/admin/keys/{id}"), "");
        usize::try_from(key["quotas"][0]["used"].as_u64().unwrap()).unwrap()
    };
    let served = || usize::try_from(upstream.requests.load(Ordering::Relaxed)).unwrap();

    // A clean stop gives back what was not spent: to the last unit.
    let (_, exhausted) = spend(&gate, secret, 30_000);
    assert!(!exhausted);
    assert_eq!(used(&gate), served());
    gate.terminate();
    let gate = setup.start();
    assert_eq!(used(&gate), served());

    // A kill loses what was held, which counts as spent, and nothing else.
    spend(&gate, secret, 30_000);
    let before = used(&gate);
    assert_eq!(before, served());
    gate.kill();
    let gate = setup.start();
    let after = used(&gate);
    let lost = after - served();
    assert!(after >= before);
    // About two seconds' worth, and here a quarter of what was left when it was granted.
    assert!(lost <= (LIMIT - 30_000) / 4, "{lost} lost at {before}");

    // All the rest passes, and not one more.
    let (_, exhausted) = spend(&gate, secret, usize::MAX);
    assert!(exhausted);
    assert_eq!(served() + lost, LIMIT);
    assert_eq!(used(&gate), LIMIT);
}
