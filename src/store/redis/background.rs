//! The thread behind a store in Redis.

use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::follow::Shared;
use crate::store::StoreError;

/// The thread that keeps the connection and follows the feed. It has a runtime of its own, so that whoever
/// calls the store may come from any.
pub(super) struct Background {
    stop: watch::Sender<bool>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Background {
    pub(super) fn start(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StoreError::unavailable)?;
        let (stop, mut stopped) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        thread::Builder::new()
            .name("store-redis".to_owned())
            .spawn(move || {
                let shared = Followed(shared);
                runtime.block_on(async {
                    tokio::select! {
                        // Also when the store was dropped without being closed.
                        _ = stopped.wait_for(|stop| *stop) => {}
                        () = shared.0.link.keep() => {}
                        () = shared.0.follow() => {}
                    }
                });
                drop(runtime);
                drop(shared);
                // Nobody may be waiting for it.
                let _ = end.send(());
            })
            .map_err(StoreError::unavailable)?;
        Ok(Self {
            stop,
            ended: Mutex::new(Some(ended)),
        })
    }

    /// Stops it and waits until it has ended.
    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        let ended = self.ended.lock().take();
        if let Some(ended) = ended {
            // An error means that it has ended already.
            let _ = ended.await;
        }
    }
}

/// What is followed until this goes, whatever ends it.
struct Followed(Arc<Shared>);

impl Drop for Followed {
    fn drop(&mut self) {
        self.0.give_up();
    }
}
