//! Signs how far the audit chain goes: at most a minute, or a thousand entries, after they were written.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;

use crate::control::ControlError;
use crate::control::writer::{Draft, Writer};
use crate::domain::audit::chain::Head;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::change::Write;
use crate::domain::time::{Clock, Timestamp};
use crate::store::node_key::NodeKey;
use crate::store::{AuditEnd, Store};

/// Signs the audit chain.
pub(crate) struct Checkpoints {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
    key: Arc<NodeKey>,
    node: Arc<str>,
    /// The first entry that was seen without a checkpoint behind it, and when.
    unsigned: Mutex<Option<(u64, Timestamp)>>,
}

impl Checkpoints {
    /// What signs with `key` as `node`, through `writer`.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        writer: Arc<Writer>,
        key: Arc<NodeKey>,
        node: Arc<str>,
    ) -> Self {
        Self {
            store,
            clock,
            writer,
            key,
            node,
            unsigned: Mutex::new(None),
        }
    }

    /// Signs the chain if that is due; to be called every second or so.
    ///
    /// # Errors
    /// As [`Writer::commit`].
    pub(crate) async fn turn(&self) -> Result<(), ControlError> {
        let end = self.store.audit_end().await?;
        if self.is_due(&end) {
            self.sign().await?;
        }
        Ok(())
    }

    /// Signs whatever is not signed, as the last thing that is done.
    ///
    /// # Errors
    /// As [`Writer::commit`].
    pub(crate) async fn last(&self) -> Result<(), ControlError> {
        self.sign().await
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

    /// Signs all there is; nothing where another gate came first with its own checkpoint. The end is read
    /// for each attempt, so a chain that goes on in between is signed as it then is.
    async fn sign(&self) -> Result<(), ControlError> {
        let sign = || {
            async {
                let end = self.store.audit_end().await?;
                if end.head.seq <= signed_up_to(&end) {
                    return Ok(Draft::nothing(()));
                }
                Ok(Draft {
                    writes: vec![Write::Checkpoint(self.checkpoint(end.head))],
                    audit: Vec::new(),
                    value: (),
                })
            }
            .boxed()
        };
        // Nobody acts on a checkpoint, and at the stop nothing is applied any more.
        self.writer.land(None, sign).await.map(drop)
    }

    fn checkpoint(&self, head: Head) -> Checkpoint {
        let at = self.clock.now();
        let text = Checkpoint::text(head, at, &self.node);
        Checkpoint {
            head,
            at,
            node: self.node.to_string(),
            public_key: self.key.public(),
            signature: self.key.sign(text.as_bytes()),
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
