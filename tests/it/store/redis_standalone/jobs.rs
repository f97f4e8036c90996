//! Jobs: one gate at a time has one, and what it writes for it lands only while it does.

use std::sync::Arc;
use std::time::Duration;

use portcullis::config::RedisChoice;
use portcullis::domain::change::Revision;
use portcullis::domain::job::{Claim, Fence};
use portcullis::store::{Feed, JobStore, KeyStore, StoreError};

use super::{Gate, choice, making};
use crate::store::things::key_id;
use crate::support::eventually;
use crate::support::redis::RedisServer;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(30);

async fn take(gate: &Gate, job: &str, owner: &str, place: Option<&str>, span: Duration) -> Claim {
    let job: Arc<str> = job.into();
    gate.store.take_job(&job, owner, place, span).await.unwrap()
}

async fn fence(gate: &Gate, owner: &str, span: Duration) -> Fence {
    eventually("the job is to be had", async || {
        match take(gate, "rotation", owner, None, span).await {
            Claim::Mine(fence) => Some(fence),
            _ => None,
        }
    })
    .await
}

// S3-02
#[tokio::test]
async fn one_gate_has_a_job_until_it_lapses_or_is_given_back() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    let first = fence(&a, "a 1", LONG).await;
    assert_eq!((&*first.job, first.number), ("rotation", 1));
    // Going on with it is no new fence; a run after a restart is.
    assert_eq!(fence(&a, "a 1", LONG).await, first);
    for other in ["b 1", "a 2"] {
        let Claim::Others { owner, left_ms } = take(&b, "rotation", other, None, LONG).await else {
            panic!("two have it");
        };
        assert_eq!(owner, "a 1");
        assert!((1..=30_000).contains(&left_ms), "{left_ms}");
    }
    // Another job is another job.
    let claim = take(&b, "owner_off", "b 1", None, LONG).await;
    assert!(matches!(claim, Claim::Mine(Fence { number: 1, .. })));

    let job = Arc::from("rotation");
    b.store.leave_job(&job, "b 1").await.unwrap();
    assert!(matches!(
        take(&b, "rotation", "b 1", None, LONG).await,
        Claim::Others { .. }
    ));
    a.store.leave_job(&job, "a 1").await.unwrap();
    assert_eq!(fence(&b, "b 1", SHORT).await.number, 2);
    assert_eq!(fence(&a, "a 1", SHORT).await.number, 3);
}

/// The clock of Redis was set back by a day: the end that was set before is not waited for.
// S3-02
#[tokio::test]
async fn an_end_that_nobody_can_have_set_holds_up_nobody() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    fence(&gate, "a 1", SHORT).await;
    let far = "9000000000000";
    let _: u64 = server.ask(&["HSET", "{pc}:job:rotation", "until", far]);
    let claim = take(&gate, "rotation", "b 1", None, LONG).await;
    assert!(matches!(claim, Claim::Mine(Fence { number: 2, .. })));
}

/// What a gate writes for a job that another has taken over, or might have, is refused whole.
// S3-02
#[tokio::test]
async fn a_gate_whose_job_was_taken_over_writes_nothing() {
    let server = RedisServer::start();
    let choice = choice(&server.url());
    is_fenced(&choice).await;
}

pub(crate) async fn is_fenced(choice: &RedisChoice) {
    let (a, b) = (
        Gate::of(choice).await.unwrap(),
        Gate::of(choice).await.unwrap(),
    );
    let old = fence(&a, "a 1", LONG).await;
    a.store.commit_held(making(1), &old).await.unwrap();
    a.store.leave_job(&old.job, "a 1").await.unwrap();
    let lapsed = a.store.commit_held(making(2), &old).await;
    assert!(
        matches!(lapsed, Err(StoreError::Fenced { .. })),
        "{lapsed:?}"
    );

    let new = fence(&b, "b 1", LONG).await;
    let woken = a.store.commit_held(making(2), &old).await;
    assert!(matches!(woken, Err(StoreError::Fenced { job }) if job == "rotation"));
    assert_eq!(a.store.revision().await.unwrap(), Revision(1));
    assert_eq!(a.changes_since(0).await.len(), 1);
    assert!(a.store.key(key_id(2)).await.unwrap().is_none());

    b.reaches(1).await;
    b.store.commit_held(making(2), &new).await.unwrap();
    // Of the change before, that another came first is found out before anything else.
    let late = a.store.commit_held(making(2), &old).await;
    assert!(matches!(
        late,
        Ok(_) | Err(StoreError::Conflict { .. } | StoreError::Fenced { .. })
    ));
    a.reaches(2).await;
    assert_eq!(a.changes_since(0).await.len(), 2);
}

// S3-02
#[tokio::test]
async fn a_job_that_is_bound_to_a_place_is_done_there_alone() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    let job: Arc<str> = "sink:files".into();
    let bind = async |place: &str| gate.store.bind_job(&job, "a 1", place).await.unwrap();
    assert_eq!(bind("here").await, Ok(()));
    assert_eq!(bind("there").await, Err(String::new()));
    let claim = take(&gate, &job, "a 1", Some("here"), SHORT).await;
    assert!(matches!(claim, Claim::Mine(_)));
    assert_eq!(bind("there").await, Err("a 1".to_owned()));
    // Also when it has long lapsed.
    eventually("it has lapsed", async || {
        let claim = take(&gate, &job, "b 1", Some("there"), SHORT).await;
        let Claim::Elsewhere { owner, is_done } = claim else {
            panic!("it is done at two places");
        };
        assert_eq!(owner, "a 1");
        if is_done {
            return None;
        }
        let claim = take(&gate, &job, "c 1", Some("here"), SHORT).await;
        matches!(claim, Claim::Mine(_)).then_some(())
    })
    .await;
}
