//! Signs how far the audit chain goes: at most a minute, or a thousand entries, after they were written.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::control::ControlError;
use crate::control::writer::draw;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::change::{Change, ChangeId, Write};
use crate::domain::time::{Clock, Timestamp};
use crate::store::node_key::NodeKey;
use crate::store::{AuditEnd, Store, StoreError};

/// Signs the audit chain.
pub(crate) struct Checkpoints {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    key: Arc<NodeKey>,
    node: Arc<str>,
    /// The first entry that was seen without a checkpoint behind it, and when.
    unsigned: Mutex<Option<(u64, Timestamp)>>,
}

impl Checkpoints {
    /// What signs with `key` as `node`.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        key: Arc<NodeKey>,
        node: Arc<str>,
    ) -> Self {
        Self {
            store,
            clock,
            key,
            node,
            unsigned: Mutex::new(None),
        }
    }

    /// Signs the chain if that is due; to be called every second or so.
    ///
    /// # Errors
    /// What the store returns.
    pub(crate) async fn turn(&self) -> Result<(), ControlError> {
        let end = self.store.audit_end().await?;
        if self.is_due(&end) {
            self.sign(&end).await?;
        }
        Ok(())
    }

    /// Signs whatever is not signed, as the last thing that is done.
    ///
    /// # Errors
    /// What the store returns.
    pub(crate) async fn last(&self) -> Result<(), ControlError> {
        let end = self.store.audit_end().await?;
        if end.head.seq > signed_up_to(&end) {
            self.sign(&end).await?;
        }
        Ok(())
    }

    fn is_due(&self, end: &AuditEnd) -> bool {
        let signed = signed_up_to(end);
        let mut unsigned = self.unsigned.lock();
        if end.head.seq <= signed {
            *unsigned = None;
            return false;
        }
        let now = self.clock.now();
        let first = signed + 1;
        let since = match *unsigned {
            Some((seq, since)) if seq == first => since,
            _ => unsigned.insert((first, now)).1,
        };
        end.head.seq - signed >= ENTRIES || now.since(since) >= AGE
    }

    async fn sign(&self, end: &AuditEnd) -> Result<(), ControlError> {
        // Read after the end: if the chain went on in between, the change is refused, and the next turn
        // signs what there is then.
        let expect = self.store.revision().await?;
        let at = self.clock.now();
        let text = Checkpoint::text(end.head, at, &self.node);
        let checkpoint = Checkpoint {
            head: end.head,
            at,
            node: self.node.to_string(),
            public_key: self.key.public(),
            signature: self.key.sign(text.as_bytes()),
        };
        let change = Change {
            id: ChangeId(draw()?),
            expect,
            writes: vec![Write::Checkpoint(checkpoint)],
            audit: Vec::new(),
        };
        match self.store.commit(change).await {
            // Another gate came first, with its own checkpoint or with more to sign.
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn signed_up_to(end: &AuditEnd) -> u64 {
    end.checkpoint
        .as_ref()
        .map_or(0, |checkpoint| checkpoint.head.seq)
}

/// How many entries may stand behind the last checkpoint.
const ENTRIES: u64 = 1_000;
/// How long one may.
const AGE: Duration = Duration::from_secs(60);
