//! What gates over one Redis say that they have applied, where it has more than one history.

use std::time::Duration;

use portcullis::domain::change::Revision;
use portcullis::store::{Beat, Beaten, Feed, Store};

use super::gate::{Gate, making};
use super::losses::telling;
use crate::support::redis::RedisServer;

/// What the roster has of a gate that beats once more and has applied revision 3.
async fn applied_by(gate: &Gate) -> Revision {
    let beat = Beat {
        node: "gate-1".into(),
        boot: 1,
        applied: Revision(3),
        renewals: gate.store.renewals(),
        max_staleness: Duration::from_secs(60),
    };
    let fleet = gate.store.fleet().unwrap();
    match fleet.beat(&beat).await.unwrap() {
        Beaten::Known(roster) => roster.find("gate-1").unwrap().applied,
        other => panic!("{other:?}"),
    }
}

/// A change that is made again keeps its id, and may land at the revision that it had: the audit chain tells a gate
/// that stands at it from one that stood there in what was lost.
#[tokio::test]
async fn a_gate_on_a_lost_history_has_applied_nothing_of_the_one_that_is() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    for number in 1..=3 {
        gate.commits(telling(making(number))).await;
    }
    let set = |field: &str, value: &str| {
        let _: u64 = server.ask(&["HSET", "{pc}:meta", field, value]);
    };
    // From now on it takes nothing from the store.
    set("min_reader", "99");
    assert_eq!(applied_by(&gate).await, Revision(3));

    set("head", &format!("3:{}", "ab".repeat(32)));
    assert_eq!(applied_by(&gate).await, Revision(0));
    set("rev", "4");
    assert_eq!(applied_by(&gate).await, Revision(3));
    let seal_otherwise = "local all = redis.call('XRANGE', KEYS[1], '-', '+')
        redis.call('DEL', KEYS[1])
        for _, entry in ipairs(all) do
          local fields = entry[2]
          for at = 1, #fields, 2 do
            if fields[at] == 'a' then fields[at + 1] = 'sealed otherwise' end
          end
          redis.call('XADD', KEYS[1], entry[1], unpack(fields))
        end";
    let () = server.ask(&["EVAL", seal_otherwise, "1", "{pc}:feed"]);
    assert_eq!(applied_by(&gate).await, Revision(0));
}
