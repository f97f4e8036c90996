//! How far the audit log was signed, as this gate last saw it: kept beside the store, not in it.
//!
//! Whoever writes into the store can make its chain anew from any entry on, and take its checkpoints away.
//! What is kept here then says that something is missing, and the gate signs nothing of the new chain.

use std::fs;
use std::io;
use std::path::PathBuf;

use parking_lot::Mutex;

use super::local::{DataDir, LocalError, disk, keep};
use super::{Store, StoreError};
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::verify::{Fault, FaultKind};

/// The last checkpoint that this gate saw.
#[derive(Debug)]
pub struct SignedHead {
    folder: PathBuf,
    last: Mutex<Option<Checkpoint>>,
}

impl SignedHead {
    /// What is kept in `dir`.
    ///
    /// # Errors
    /// If it cannot be read, or is not what some gate signed.
    pub fn open(dir: &DataDir) -> Result<Self, LocalError> {
        let path = dir.path().join(FILE_NAME);
        let last = match fs::read(&path) {
            Ok(bytes) => {
                let form = serde_json::from_slice(&bytes).ok();
                let read = form.and_then(|form| Checkpoint::read(&form).ok().flatten());
                let signed = read.filter(Checkpoint::is_signed);
                Some(signed.ok_or(LocalError::NotAHead { path })?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(disk(&path, "read")(error)),
        };
        Ok(Self {
            folder: dir.path().to_owned(),
            last: Mutex::new(last),
        })
    }

    /// Keeps a checkpoint, if it goes further than the one that is kept.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn see(&self, checkpoint: &Checkpoint) -> Result<(), LocalError> {
        let mut last = self.last.lock();
        let is_further = last
            .as_ref()
            .is_none_or(|last| last.head.seq < checkpoint.head.seq);
        if is_further && checkpoint.is_signed() {
            let line = format!("{}\n", checkpoint.form());
            keep(&self.folder, FILE_NAME, line.as_bytes())?;
            *last = Some(checkpoint.clone());
        }
        Ok(())
    }

    /// Forgets what was signed at entry `seq` or beyond, and says what that was: it is in a history that the store has
    /// lost, and that was given up, or it was written down there. What was signed before, a store must still have.
    ///
    /// # Errors
    /// If the file cannot be taken away.
    pub fn give_up_from(&self, seq: u64) -> Result<Option<Checkpoint>, LocalError> {
        let mut last = self.last.lock();
        if last.as_ref().is_none_or(|last| last.head.seq < seq) {
            return Ok(None);
        }
        let path = self.folder.join(FILE_NAME);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(disk(&path, "taken away")(error)),
        }
        Ok(last.take())
    }

    /// What is wrong with a store that lacks what is kept here. Whether its chain leads up to its own
    /// checkpoints, [`verifying`](super::AuditStore::verify_audit) it says.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn fault(&self, store: &dyn Store) -> Result<Option<Fault>, StoreError> {
        let Some(kept) = self.last.lock().as_ref().map(|last| last.head) else {
            return Ok(None);
        };
        let end = store.audit_end().await?.head;
        if end.seq < kept.seq {
            return Ok(Some(Fault {
                seq: end.seq + 1,
                kind: FaultKind::Removed,
            }));
        }
        let there = store.checkpoints(kept.seq, 1).await?;
        let is_there = there.iter().any(|checkpoint| checkpoint.head == kept);
        Ok((!is_there).then_some(Fault {
            seq: kept.seq,
            kind: FaultKind::Rewritten,
        }))
    }
}

const FILE_NAME: &str = "audit-head";
