//! What the holder of a key asks of the control plane, through the gate.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response};
use tokio::sync::oneshot;

use crate::domain::refusal::{Refusal, RefusalCode};
use crate::state::desk::Tray;
use crate::state::keys::{CachedVersion, KeyEntry};

/// Something a holder asks about its own key, proved to be its own.
#[derive(Debug)]
pub struct Question {
    /// What.
    pub wish: Wish,
    /// The key, as the gate knows it.
    pub entry: Arc<KeyEntry>,
    /// The version that was shown.
    pub version: CachedVersion,
    /// From where.
    pub address: IpAddr,
    /// In which request.
    pub request_id: HeaderValue,
}

/// What a holder asks.
#[derive(Debug)]
pub enum Wish {
    /// To be told of its key.
    Tell,
    /// To be given a new secret.
    Rotate {
        /// The body of the request, as it came.
        body: Bytes,
        /// What it says it is.
        content_type: Option<HeaderValue>,
    },
}

/// A question that is to be answered.
#[derive(Debug)]
pub struct HolderCall {
    /// What is asked.
    pub question: Question,
    reply: oneshot::Sender<Answer>,
}

impl HolderCall {
    /// Whether the holder still waits: what changes something is not begun for one who has gone.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    /// Answers.
    pub fn answer(self, answer: Answer) {
        // A holder who has gone misses nothing.
        let _ = self.reply.send(answer);
    }
}

/// The answer to a holder, to be awaited.
pub type Answering = oneshot::Receiver<Answer>;

/// What a holder gets: a whole answer, or a refusal of the gate's own.
pub type Answer = Result<Response<Bytes>, Refusal>;

impl Tray<HolderCall> {
    /// Leaves what a holder asks; the answer comes by itself, or not at all if nobody is left to give it.
    ///
    /// # Errors
    /// `overloaded` if too much is asked already.
    pub fn ask(&self, question: Question) -> Result<Answering, RefusalCode> {
        let (reply, answering) = oneshot::channel();
        self.leave(HolderCall { question, reply })
            .map_err(|_| RefusalCode::Overloaded)?;
        Ok(answering)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{KeyId, OwnerId};
    use crate::domain::key::KeySettings;
    use crate::domain::lifecycle::{self, Birth};
    use crate::domain::secret::{Fingerprint, KeyHash};
    use crate::domain::time::Timestamp;
    use crate::state::keys::KeyCache;

    fn question() -> Question {
        let hash = KeyHash {
            pepper: 0,
            digest: [7; 32],
        };
        let birth = Birth {
            id: KeyId::from_random([1; 10]),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            hash,
            fingerprint: Fingerprint::from_bytes([1; 6]),
            created_by: "tok_x".into(),
        };
        let key = lifecycle::create(birth, KeySettings::named("k"), Timestamp::from_millis(1));
        let cache = KeyCache::default();
        cache.put(&key, Arc::default());
        let (entry, version) = cache.find(&hash).unwrap();
        Question {
            wish: Wish::Tell,
            entry,
            version,
            address: [127, 0, 0, 1].into(),
            request_id: HeaderValue::from_static("req_x"),
        }
    }

    #[tokio::test]
    async fn who_asks_too_many_at_once_is_told_so_and_who_left_is_not_waited_on() {
        let tray = Tray::new(2);
        let waiting = [tray.ask(question()).unwrap(), tray.ask(question()).unwrap()];
        assert_eq!(tray.ask(question()).err(), Some(RefusalCode::Overloaded));

        let mut taken = Vec::new();
        tray.take(&mut taken).await;
        assert!(taken.iter().all(HolderCall::is_awaited));
        assert!(tray.ask(question()).is_ok());
        drop(waiting);
        assert!(!taken.iter().any(HolderCall::is_awaited));
    }
}
