//! Killed at random in the middle of a stream of changes, the gate loses none that it acknowledged.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;
use std::time::Duration;

use super::gate::{Setup, Upstream, call};
use crate::support::patience::{let_pass, until};

/// 200 kills; `PORTCULLIS_KILLS` asks for another number.
#[test]
fn no_acknowledged_change_is_lost_however_often_the_gate_is_killed() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a longer campaign is the same test"
    )]
    let kills = std::env::var("PORTCULLIS_KILLS")
        .ok()
        .and_then(|it| it.parse().ok());
    let kills: usize = kills.unwrap_or(200);
    let upstream = Upstream::start(0);
    let setup = Setup::new(upstream.address, "");
    // What was acknowledged: whether each key was revoked.
    let acknowledged = Mutex::new(HashMap::<String, bool>::new());
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = move |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };

    for kill in 0..kills {
        let gate = setup.start();
        check(&gate, &acknowledged, kill);
        let admin = gate.admin;
        let done = AtomicUsize::new(0);
        let enough = 2 + draw(12) as usize;
        let pause = Duration::from_micros(draw(3_000));
        scope(|scope| {
            for writer in 0..3 {
                let (done, acknowledged) = (&done, &acknowledged);
                scope.spawn(move || {
                    for number in 0.. {
                        let name = format!("k{kill}-{writer}-{number}");
                        if change(admin, &name, number % 2 == 1, acknowledged).is_none() {
                            return;
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            until("some changes are made", || {
                done.load(Ordering::Relaxed) >= enough
            });
            let_pass(pause);
            gate.kill();
        });
    }
    let gate = setup.start();
    check(&gate, &acknowledged, kills);
    assert!(acknowledged.lock().unwrap().len() > kills * 2);
}

/// Makes a key, and revokes it if `and_revoke`; takes down what was acknowledged. `None` when the gate
/// is gone.
fn change(
    admin: std::net::SocketAddr,
    name: &str,
    and_revoke: bool,
    acknowledged: &Mutex<HashMap<String, bool>>,
) -> Option<()> {
    let body = format!(r#"{{"name":"{name}","owner":{{"name":"team","type":"team"}}}}"#);
    let (status, made) = call(admin, "POST", "/admin/keys", &body)?;
    assert_eq!(status, 201, "{made}");
    let id = made["key"]["id"].as_str().unwrap().to_owned();
    acknowledged.lock().unwrap().insert(id.clone(), false);
    if and_revoke {
        let (status, gone) = call(
            admin,
            "DELETE",
            &format!("/admin/keys/{id}?reason=test"),
            "",
        )?;
        assert_eq!(status, 200, "{gone}");
        acknowledged.lock().unwrap().insert(id, true);
    }
    Some(())
}

/// Compares what the store has with what was acknowledged. A change in flight when the gate was killed
/// may have landed or not; one that was acknowledged must have.
fn check(gate: &super::gate::Gate, acknowledged: &Mutex<HashMap<String, bool>>, kill: usize) {
    let mut stored = HashMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/admin/keys?limit=1000{cursor}");
        let (_, page) = gate.admin_call("GET", &path, "");
        for key in page["items"].as_array().unwrap() {
            let is_revoked = key["status"] == "revoked";
            stored.insert(key["id"].as_str().unwrap().to_owned(), is_revoked);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    for (id, is_revoked) in acknowledged.lock().unwrap().iter_mut() {
        let found = stored
            .get(id)
            .unwrap_or_else(|| panic!("{id} is lost after {kill} kills"));
        assert!(*found >= *is_revoked, "{id} came back after {kill} kills");
        // A revocation that landed without an answer counts from now on.
        *is_revoked = *found;
    }
}
