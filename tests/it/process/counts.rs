//! Usage is exact: over a hundred thousand requests, over a SIGTERM, and up to the last flush over a kill.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;
use std::time::Duration;

use super::gate::{Client, Setup, Upstream};
use crate::support::patience::{becomes_so, until};

/// S1-14: the count of a key is the number of its requests, exactly, whatever core served them, and
/// also after SIGTERM came while some were in flight.
#[test]
fn usage_equals_the_requests_sent_over_a_hundred_thousand_and_a_sigterm() {
    const CLIENTS: usize = 8;
    const EACH: usize = 12_500;
    let upstream = Upstream::start(0);
    let setup = Setup::new(upstream.address, "");
    let gate = setup.start();
    let (key, secret) = gate.create_key("counted");

    let sent = AtomicUsize::new(0);
    let extra = AtomicUsize::new(0);
    scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::new(gate.address, &secret).unwrap();
                let mut left = EACH;
                while left > 0 {
                    // A connection carries so many requests and no more; then there is another.
                    left -= client.send(left.min(50)).unwrap_or_else(|done| {
                        client = Client::new(gate.address, &secret).unwrap();
                        done
                    });
                }
                sent.fetch_add(EACH, Ordering::Relaxed);
                // From here on until the gate takes no more connections.
                loop {
                    match client.send(1) {
                        Ok(count) => extra.fetch_add(count, Ordering::Relaxed),
                        Err(_) => match Client::new(gate.address, &secret) {
                            Ok(another) => {
                                client = another;
                                0
                            }
                            Err(_) => return,
                        },
                    };
                }
            });
        }
        let are_sent = becomes_so(Duration::from_secs(240), || {
            sent.load(Ordering::Relaxed) >= CLIENTS * EACH && extra.load(Ordering::Relaxed) >= 100
        });
        assert!(are_sent, "requests got stuck");
        gate.signal_to_stop();
    });
    gate.terminate();

    let answered = (CLIENTS * EACH + extra.into_inner()) as u64;
    assert!(answered >= 100_100);
    assert_eq!(
        upstream.requests.load(Ordering::Relaxed),
        answered,
        "the upstream's own count"
    );
    let again = setup.start();
    assert_eq!(again.counted(&key), answered);
}

/// A gate that is killed loses at most what it counted since its last flush: what came before a flush is
/// counted without anyone asking, and what came after it is counted or not, but never twice.
#[test]
fn after_a_kill_only_what_was_not_flushed_is_missing() {
    let upstream = Upstream::start(0);
    let setup = Setup::new(upstream.address, "");
    let mut gate = setup.start();
    let (key, secret) = gate.create_key("counted");
    let mut sent = 0;
    for _ in 0..3 {
        let mut client = Client::new(gate.address, &secret).unwrap();
        sent += client.send(500).unwrap() as u64;
        until(&format!("{sent} are flushed"), || {
            gate.counted(&key) == sent
        });
        let late = client.send(50).unwrap() as u64;
        gate.kill();

        gate = setup.start();
        let counted = gate.counted(&key);
        assert!(
            (sent..=sent + late).contains(&counted),
            "{sent} ≤ {counted} ≤ {}",
            sent + late
        );
        sent = counted;
    }
}
