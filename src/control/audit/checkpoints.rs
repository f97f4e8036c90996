//! Signs how far the audit chain goes: at most a minute, or a thousand entries, after they were written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;

use crate::control::ControlError;
use crate::control::writer::{Draft, ORDINARY, Writer};
use crate::domain::audit::chain::Head;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::verify::Fault;
use crate::domain::change::Write;
use crate::domain::time::{Clock, Timestamp};
use crate::store::node_key::NodeKey;
use crate::store::signed_head::SignedHead;
use crate::store::{AuditEnd, Store};

/// Whether the audit log was found to be other than what was signed, and was said to be.
#[derive(Debug, Default)]
pub(crate) struct AuditFault {
    is_seen: AtomicBool,
}

impl AuditFault {
    /// Whether it is so now.
    pub(crate) fn is_seen(&self) -> bool {
        self.is_seen.load(Ordering::Relaxed)
    }
}

/// Signs the audit chain.
pub(crate) struct Checkpoints {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
    key: Arc<NodeKey>,
    node: Arc<str>,
    signed: Arc<SignedHead>,
    /// Whether what may be signed was found whole: once a run all of it is walked over, and after that
    /// what was signed must still be there.
    is_whole: Mutex<Option<bool>>,
    fault: Arc<AuditFault>,
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
        signed: Arc<SignedHead>,
        fault: Arc<AuditFault>,
    ) -> Self {
        Self {
            store,
            clock,
            writer,
            key,
            node,
            signed,
            is_whole: Mutex::new(None),
            fault,
            unsigned: Mutex::new(None),
        }
    }

    /// Signs the chain if that is due; to be called every second or so.
    ///
    /// # Errors
    /// As [`Writer::commit`].
    pub(crate) async fn turn(&self) -> Result<(), ControlError> {
        let end = self.store.audit_end().await?;
        if self.may_sign(&end).await? && self.is_due(&end) {
            self.sign().await?;
        }
        Ok(())
    }

    /// Whether the chain goes on from what was signed. What is signed anew must not hide what was made
    /// anew.
    async fn may_sign(&self, end: &AuditEnd) -> Result<bool, ControlError> {
        if let Some(fault) = self.signed.fault(&*self.store).await? {
            self.tell(fault);
            return Ok(false);
        }
        let known = *self.is_whole.lock();
        let is_whole = match known {
            Some(is_whole) => is_whole,
            None => {
                let fault = self.store.verify_audit().await?.fault;
                fault.into_iter().for_each(|fault| self.tell(fault));
                *self.is_whole.lock() = Some(fault.is_none());
                fault.is_none()
            }
        };
        if is_whole {
            self.fault.is_seen.store(false, Ordering::Relaxed);
            self.see(end.checkpoint.as_ref());
        }
        Ok(is_whole)
    }

    /// Says once what is wrong, until it is right again.
    fn tell(&self, fault: Fault) {
        if !self.fault.is_seen.swap(true, Ordering::Relaxed) {
            tracing::error!(
                audit.seq = fault.seq,
                fault = fault.kind.as_str(),
                "the audit log is not what was signed, signing nothing more; see `portcullis audit verify`"
            );
        }
    }

    fn see(&self, checkpoint: Option<&Checkpoint>) {
        let seen = checkpoint.map_or(Ok(()), |checkpoint| self.signed.see(checkpoint));
        if let Err(error) = seen {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "how far the audit log is signed cannot be kept");
        }
    }

    /// Signs whatever is not signed, as the last thing that is done.
    ///
    /// # Errors
    /// As [`Writer::commit`].
    pub(crate) async fn last(&self) -> Result<(), ControlError> {
        let end = self.store.audit_end().await?;
        if end.head.seq > signed_up_to(&end) && self.may_sign(&end).await? {
            self.sign().await?;
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

    /// Signs all there is; nothing where another gate came first with its own checkpoint. The end is read
    /// for each attempt, so a chain that goes on in between is signed as it then is.
    async fn sign(&self) -> Result<(), ControlError> {
        let sign = || {
            async {
                let end = self.store.audit_end().await?;
                if end.head.seq <= signed_up_to(&end) {
                    return Ok(Draft::nothing(None));
                }
                let checkpoint = self.checkpoint(end.head);
                Ok(Draft {
                    writes: vec![Write::Checkpoint(checkpoint.clone())],
                    audit: Vec::new(),
                    value: Some(checkpoint),
                })
            }
            .boxed()
        };
        // Nobody acts on a checkpoint, and at the stop nothing is applied any more.
        let done = self.writer.land(None, sign, ORDINARY).await?;
        self.see(done.value.as_ref());
        Ok(())
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
