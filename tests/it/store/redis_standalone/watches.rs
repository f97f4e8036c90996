//! The connections that listeners have to themselves.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis::domain::watch::QuestionId;
use portcullis::store::{Store, StoreError};

use super::{Gate, chain};
use crate::support::eventually;
use crate::support::redis::RedisServer;

fn connections(server: &RedisServer) -> usize {
    let list: String = server.ask(&["CLIENT", "LIST", "TYPE", "normal"]);
    list.lines().count()
}

/// However many listened at once, only a few of their connections stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_listeners_go_with_them_but_for_a_few() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    let watches = gate.store.watches().unwrap();
    let before = connections(&server);
    let listen = |number| watches.answers(QuestionId([number; 16]), Duration::from_millis(500));
    let all = async {
        for heard in join_all((0..30).map(listen)).await {
            assert_eq!(heard.unwrap(), []);
        }
    };
    let seen = eventually("all listen at once", async || {
        let now = connections(&server);
        (now >= before + 30).then_some(now)
    });
    let ((), seen) = tokio::join!(all, seen);
    assert!(seen >= before + 30);
    eventually("only a few stay", async || {
        (connections(&server) <= before + 8).then_some(())
    })
    .await;
    for _ in 0..20 {
        let heard = watches.answers(QuestionId([1; 16]), Duration::from_millis(1));
        assert_eq!(heard.await.unwrap(), []);
    }
    assert!(connections(&server) <= before + 8);
}

/// Nobody listens in a store that is not the gate's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens_in_a_store_that_came_back_empty() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    let () = server.ask(&["FLUSHALL"]);
    let watches = gate.store.watches().unwrap();
    let heard = watches.answers(QuestionId([1; 16]), Duration::from_millis(1));
    let refused = heard.await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Unusable { .. }),
        "{}",
        chain(&refused)
    );
}
