//! What gates ask each other for those who watch, and what they answer: it lapses by the store's clock. A store
//! that one gate has for itself has nobody to ask, and says so.

use std::time::Duration;

use portcullis::domain::summary::{Counts, Passed, Summary, Whose};
use portcullis::domain::watch::{Batch, Question, QuestionId, StatusFilter, Telling, Told, Wanted};
use portcullis::store::{Store, StoreError, WatchStore};
use tokio::time::Instant;

use super::Backend;
use crate::store::things::{key_id, owner_id};
use crate::support::eventually;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(60);
/// For those who expect to hear nothing.
const AT_ONCE: Duration = Duration::from_millis(20);
/// How many questions may be asked at once.
const QUESTIONS_MAX: u8 = 32;
/// How many answers may wait to be heard.
const ANSWERS_MAX: u64 = 64;

fn question(number: u8) -> Question {
    Question {
        id: QuestionId([number; 16]),
        from: "a".into(),
        to: None,
        telling: Telling::Requests,
        wanted: Wanted::default(),
    }
}

fn batch(seen: u64) -> Batch {
    Batch {
        node: "b".into(),
        boot: 7,
        seen,
        told: Told::Requests(vec![format!("line {seen}")]),
    }
}

fn asks_nobody(store: &dyn Store) -> bool {
    let asks_nobody = store.watches().is_none();
    assert_eq!(asks_nobody, store.kind() == "embedded");
    asks_nobody
}

/// The numbers of the questions that are asked.
async fn asked(watches: &dyn WatchStore) -> Vec<u8> {
    let asked = watches.asked().await.unwrap();
    asked.iter().map(|question| question.id.0[0]).collect()
}

/// Everything that waits to be heard.
async fn heard(watches: &dyn WatchStore, id: QuestionId) -> Vec<Batch> {
    let mut all = Vec::new();
    loop {
        let more = watches.answers(id, AT_ONCE).await.unwrap();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

/// Everything that can be asked and answered comes as it was said; to one who waits, as soon as it is.
pub(crate) async fn what_gates_ask_and_answer_is_what_was_said(backend: &dyn Backend) {
    let store = backend.open().await;
    if asks_nobody(&*store) {
        return store.close().await;
    }
    let watches = store.watches().unwrap();
    let all = Question {
        to: Some("b".into()),
        telling: Telling::Counts,
        wanted: Wanted {
            key: Some(key_id(1)),
            owner: Some(owner_id(2)),
            route: Some("api".into()),
            ..Wanted::default()
        },
        ..question(2)
    };
    watches.ask(&all, LONG).await.unwrap();
    watches.ask(&question(1), LONG).await.unwrap();
    let told = watches.asked().await.unwrap();
    assert_eq!(told, [question(1), all.clone()]);

    let mut counts = Counts::default();
    counts.count(&Passed::default());
    let summary = Summary {
        span: Duration::from_secs(1),
        total: counts.clone(),
        keys: vec![(Whose::One((key_id(1), owner_id(2))), counts)],
        ..Summary::default()
    };
    let counted = Batch {
        told: Told::Counts(Box::new(summary)),
        ..batch(1)
    };
    let (heard, left) = futures_util::future::join(
        watches.answers(all.id, Duration::from_secs(1)),
        watches.answer(all.id, &counted),
    )
    .await;
    left.unwrap();
    assert_eq!(heard.unwrap(), [counted]);
    store.close().await;
}

/// A question is asked until its span ends, by the store's clock: the gate's own stands. Asked again, it is asked
/// for longer.
pub(crate) async fn a_question_lapses_by_the_stores_clock(backend: &dyn Backend) {
    let store = backend.open().await;
    if asks_nobody(&*store) {
        return store.close().await;
    }
    let watches = store.watches().unwrap();
    let span = Duration::from_millis(400);
    let begun = Instant::now();
    for number in [1, 2] {
        watches.ask(&question(number), span).await.unwrap();
    }
    watches.ask(&question(1), LONG).await.unwrap();
    eventually("one that is not asked again lapses", async || {
        (asked(watches).await == [1]).then_some(())
    })
    .await;
    // The store counts in whole milliseconds.
    assert!(begun.elapsed() + Duration::from_millis(2) >= span);
    store.close().await;
}

/// So many questions and no more; one that is asked already may be asked on, and one that ends makes room.
pub(crate) async fn no_more_questions_are_asked_than_there_is_room_for(backend: &dyn Backend) {
    let store = backend.open().await;
    if asks_nobody(&*store) {
        return store.close().await;
    }
    let watches = store.watches().unwrap();
    for number in 0..QUESTIONS_MAX {
        watches.ask(&question(number), LONG).await.unwrap();
    }
    let one_more = question(QUESTIONS_MAX);
    let refused = watches.ask(&one_more, LONG).await.unwrap_err();
    assert!(matches!(refused, StoreError::Full { .. }), "{refused:?}");
    assert!(asked(watches).await.into_iter().eq(0..QUESTIONS_MAX));
    watches.ask(&question(0), LONG).await.unwrap();

    watches.withdraw(&[question(3).id]).await.unwrap();
    watches.ask(&one_more, LONG).await.unwrap();
    let left = (0..=QUESTIONS_MAX).filter(|number| *number != 3);
    assert!(asked(watches).await.into_iter().eq(left));
    store.close().await;
}

/// Each answer is heard once, in the order they were left in, by who asked that; of too many the oldest go.
pub(crate) async fn an_answer_is_heard_once_and_of_too_many_the_oldest_go(backend: &dyn Backend) {
    let store = backend.open().await;
    if asks_nobody(&*store) {
        return store.close().await;
    }
    let watches = store.watches().unwrap();
    let (one, other) = (question(1).id, question(2).id);
    for seen in 1..=ANSWERS_MAX {
        watches.answer(one, &batch(seen)).await.unwrap();
    }
    watches.answer(other, &batch(1_000)).await.unwrap();
    let all: Vec<Batch> = (1..=ANSWERS_MAX).map(batch).collect();
    assert_eq!(heard(watches, one).await, all);
    assert_eq!(heard(watches, one).await, []);
    assert_eq!(heard(watches, other).await, [batch(1_000)]);

    for seen in 1..=ANSWERS_MAX + 5 {
        watches.answer(one, &batch(seen)).await.unwrap();
    }
    let last: Vec<Batch> = (6..=ANSWERS_MAX + 5).map(batch).collect();
    assert_eq!(heard(watches, one).await, last);
    store.close().await;
}

/// Of what is withdrawn neither the question nor what was answered is left; the others' is.
pub(crate) async fn what_is_withdrawn_is_forgotten(backend: &dyn Backend) {
    let store = backend.open().await;
    if asks_nobody(&*store) {
        return store.close().await;
    }
    let watches = store.watches().unwrap();
    for number in 1..=3 {
        watches.ask(&question(number), LONG).await.unwrap();
        watches
            .answer(question(number).id, &batch(1))
            .await
            .unwrap();
    }
    watches.withdraw(&[]).await.unwrap();
    assert_eq!(asked(watches).await, [1, 2, 3]);
    // One of them was asked by nobody.
    let gone = [1, 9, 3].map(|number| question(number).id);
    watches.withdraw(&gone).await.unwrap();
    assert_eq!(asked(watches).await, [2]);
    for id in gone {
        assert_eq!(heard(watches, id).await, []);
    }
    assert_eq!(heard(watches, question(2).id).await, [batch(1)]);
    // Again, it is nothing new.
    watches.withdraw(&gone).await.unwrap();
    store.close().await;
}

/// A condition that this gate does not understand it cannot hold: it leaves the question to those who do.
pub(crate) async fn a_question_that_is_not_understood_is_left_out(backend: &dyn Backend) {
    let store = backend.open().await;
    if asks_nobody(&*store) {
        return store.close().await;
    }
    let watches = store.watches().unwrap();
    let mut newer = question(1);
    // There are no such statuses, yet.
    newer.wanted.status = Some(StatusFilter::Class(7));
    watches.ask(&newer, LONG).await.unwrap();
    watches.ask(&question(2), LONG).await.unwrap();
    assert_eq!(asked(watches).await, [2]);
    // It is there for the others, and its answers are heard.
    watches.answer(newer.id, &batch(1)).await.unwrap();
    assert_eq!(heard(watches, newer.id).await, [batch(1)]);
    store.close().await;
}
