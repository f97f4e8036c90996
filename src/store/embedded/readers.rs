//! A few connections that only read, used off the async threads.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::fault::Fault;
use super::file;
use crate::store::StoreError;

/// Connections that are free, and the right to use one.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    free: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    closed: AtomicBool,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            path,
            free: Mutex::new(Vec::with_capacity(READERS_MAX)),
            permits: Arc::new(Semaphore::new(READERS_MAX)),
            closed: AtomicBool::new(false),
        })
    }

    /// Lets `question` read; it sees one state of the store throughout.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(StoreError::unavailable)?;
        let readers = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let connection = readers.take()?;
            let transaction = connection.unchecked_transaction()?;
            let answer = question(&transaction);
            // Nothing was written, so nothing is lost with it.
            drop(transaction);
            readers.give_back(connection);
            drop(permit);
            answer
        })
        .await
        .map_err(StoreError::unavailable)?
    }

    /// Closes what is free now, and what is in use once it is given back.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.free.lock().clear();
    }

    fn take(&self) -> Result<Connection, Fault> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::unavailable("the store is closed").into());
        }
        let free = self.free.lock().pop();
        match free {
            Some(connection) => Ok(connection),
            None => Ok(file::reader(&self.path)?),
        }
    }

    fn give_back(&self, connection: Connection) {
        let mut free = self.free.lock();
        // Looked at under the lock, so that none is put back after `close` has emptied the list.
        if !self.closed.load(Ordering::Acquire) {
            free.push(connection);
        }
    }
}

/// More would only wait for the same disk.
const READERS_MAX: usize = 4;
