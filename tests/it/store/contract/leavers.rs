//! What owners hold who leave, ended over any backend.

use std::sync::Arc;

use async_trait::async_trait;
use portcullis::control::caller::Caller;
use portcullis::control::jobs::{LeaverBook, Leavers};
use portcullis::control::owners::OwnerService;
use portcullis::control::writer::{Applied, Audience, Writer};
use portcullis::domain::change::{Revision, Write};
use portcullis::domain::key::{KeyStatus, Standing};
use portcullis::domain::owner::OwnerKind;
use portcullis::domain::query::{KeyQuery, KeySort};
use portcullis::domain::time::{Clock, Reading, Timestamp};

use super::Backend;
use crate::store::things::{commit, key, key_id, keys, owner, owner_id, token};
use crate::support::{beside, eventually, within};

/// Acts on a change as soon as it has landed.
struct AtOnce;

#[async_trait]
impl Applied for AtOnce {
    async fn reached(&self, _: Revision) {}
}

struct Still(Timestamp);

impl Clock for Still {
    fn read(&self) -> Reading {
        Reading {
            wall: self.0,
            mono_ns: 0,
        }
    }
}

/// S3-10: one small change shuts an owner out, whatever it holds and however it writes against it. What it
/// holds is then ended though whoever asked hangs up and the gate is killed half way.
pub(crate) async fn an_owner_of_thousands_is_ended_whoever_hangs_up_writes_or_is_killed(
    backend: &impl Backend,
) {
    const KEYS: u32 = 3_000;
    const TOKENS: u32 = 101;
    let store = backend.open().await;
    let id = owner_id(1);
    let leaver = owner(1, OwnerKind::User, "Ann");
    let other = owner(2, OwnerKind::User, "Bob");
    commit(&*store, vec![Write::Owner(leaver), Write::Owner(other)]).await;
    for first in (1..=KEYS).step_by(1_000) {
        let mut writes = keys(first..first + 1_000);
        for write in &mut writes {
            if let Write::Key(key) = write {
                key.owner = id;
                key.settings.protected = key.id == key_id(7);
            }
        }
        commit(&*store, writes).await;
    }
    let tokens = (1..=TOKENS).map(|number| {
        let mut token = token(number);
        token.owner = Some(id);
        Write::Token(token)
    });
    commit(&*store, tokens.collect()).await;

    let clock = Arc::new(Still(backend.now()));
    let service = || {
        let writer = Arc::new(Writer::new(Arc::clone(&store), Arc::new(AtOnce)));
        OwnerService::new(Arc::clone(&store), clock.clone(), writer, false)
    };
    let living = async || {
        let query = KeyQuery {
            owner: Some(id),
            status: Some(KeyStatus::Active),
            now: clock.now(),
            ..KeyQuery::default()
        };
        let page = store.keys(&query, KeySort::default(), 4_000, None).await;
        page.unwrap().items.len()
    };
    // Someone writes all the time, as from another gate.
    let rival = {
        let store = Arc::clone(&store);
        beside(async move {
            for turn in 0_u64.. {
                // What a gate does between two changes, though far less of it.
                for number in 1..=32 {
                    let _ = store.key(key_id(number)).await;
                }
                let mut key = key(KEYS + 1);
                key.owner = owner_id(2);
                key.settings.description = Some(turn.to_string());
                commit(&*store, vec![Write::Key(key)]).await;
            }
        })
    };

    // As the feed tells a gate's book of whoever is off: nobody else may be left to.
    let book = Arc::<LeaverBook>::default();
    let leavers = {
        let writer = Arc::new(Writer::new(Arc::clone(&store), Arc::new(AtOnce)));
        Leavers::new(Arc::clone(&store), clock.clone(), writer, Arc::clone(&book))
    };
    let leavers = Arc::new(leavers);
    let first = Arc::new(service().with_leavers(Arc::clone(&leavers)));
    let worker = beside(async move { leavers.run().await });
    let asking = {
        let first = Arc::clone(&first);
        beside(async move {
            let why = Some("left".to_owned());
            first
                .switch_off(&Caller::configured(), id, why, Audience::Nobody)
                .await
        })
    };
    let owner = eventually("the owner is off", async || {
        let owner = store.owner(id).await.unwrap().unwrap();
        owner.disabled_at.is_some().then_some(owner)
    })
    .await;
    asking.abort();
    book.note(owner.id, true);
    eventually("some keys are ended though nobody waits", async || {
        (living().await < KEYS as usize).then_some(())
    })
    .await;
    worker.abort();
    let _ = worker.await;
    // Whoever wrote with the owner's tokens is shut out by now.
    rival.abort();
    let _ = rival.await;
    let left = living().await;
    assert!(left > 0, "it was to be killed half way");
    let caller = Caller::configured();
    let back = first.update(&caller, id, None, true).await;
    back.expect_err("what is not ended yet would come back");

    let book = Arc::<LeaverBook>::default();
    book.note(owner.id, true);
    let writer = Arc::new(Writer::new(Arc::clone(&store), Arc::new(AtOnce)));
    let started = Leavers::new(Arc::clone(&store), clock.clone(), writer, book);
    let worker = beside(async move { started.run().await });
    eventually("all of it is ended after a restart", async || {
        (living().await == 0).then_some(())
    })
    .await;
    worker.abort();
    let _ = worker.await;

    for number in [1, 7, KEYS] {
        let id = key_id(number);
        let key = store.key(id).await.unwrap().unwrap();
        assert!(matches!(key.standing, Standing::Revoked { .. }), "{number}");
    }
    let tokens = store.tokens(1_000, None).await.unwrap().items;
    assert_eq!(tokens.len(), TOKENS as usize);
    assert!(tokens.iter().all(|token| token.revoked_at.is_some()));
    let bobs = store.key(key_id(KEYS + 1)).await;
    assert_eq!(bobs.unwrap().unwrap().standing, Standing::Active);

    // Once more, with nothing left and nobody in the way: done, and nothing is written.
    let last = service();
    let leavers = last.leavers();
    let worker = beside(async move { leavers.run().await });
    let at = store.revision().await.unwrap();
    let done = within(
        "again",
        last.switch_off(&caller, id, None, Audience::Nobody),
    )
    .await;
    let progress = done.unwrap().value.progress;
    assert_eq!(
        (progress.keys, progress.tokens, progress.is_done),
        (0, 0, true)
    );
    assert_eq!(store.revision().await.unwrap(), at);
    worker.abort();
    let _ = worker.await;
    store.close().await;
}
