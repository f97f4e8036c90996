//! Signed statements of how far a chain went: what is cut off or made anew behind one is noticed.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use super::chain::Head;
use super::form::{NotAnEntry, hex, unhex};
use crate::domain::time::Timestamp;

/// That a gate saw the chain end here, signed with its key (Ed25519, RFC 8032).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where the chain ended.
    pub head: Head,
    /// When.
    pub at: Timestamp,
    /// Which gate says so.
    pub node: String,
    /// The public half of its key.
    pub public_key: [u8; 32],
    /// Of [`Self::text`].
    pub signature: [u8; 64],
}

impl Checkpoint {
    /// What is signed.
    #[must_use]
    pub fn text(head: Head, at: Timestamp, node: &str) -> String {
        let hash = hex(&head.hash);
        format!(
            "portcullis audit checkpoint\n{}\n{hash}\n{at}\n{node}\n",
            head.seq
        )
    }

    /// Whether the signature is of this, by the key it names. Whose key that is, it cannot say itself: that
    /// is for [`Trust`](super::verify::Trust).
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let text = Self::text(self.head, self.at, &self.node);
        is_signed(&self.public_key, text.as_bytes(), &self.signature)
    }

    /// As a line of an archive says it.
    #[must_use]
    pub fn form(&self) -> Value {
        json!({"checkpoint": {
            "seq": self.head.seq,
            "hash": hex(&self.head.hash),
            "timestamp": self.at.to_string(),
            "node": self.node,
            "public_key": hex(&self.public_key),
            "signature": hex(&self.signature),
        }})
    }

    /// Reads a line of an archive; `None` if it is no checkpoint at all.
    ///
    /// # Errors
    /// If it begins as one and is none.
    pub fn read(form: &Value) -> Result<Option<Self>, NotAnEntry> {
        let Some(form) = form.get("checkpoint") else {
            return Ok(None);
        };
        let text = |name| form.get(name).and_then(Value::as_str);
        let read = || {
            Some(Self {
                head: Head {
                    seq: form.get("seq")?.as_u64()?,
                    hash: unhex(text("hash")?)?,
                },
                at: text("timestamp")?.parse().ok()?,
                node: text("node")?.to_owned(),
                public_key: unhex(text("public_key")?)?,
                signature: unhex(text("signature")?)?,
            })
        };
        read().map(Some).ok_or(NotAnEntry("checkpoint"))
    }
}

/// Whether `signature` is of `text`, by the holder of `public_key`.
#[must_use]
pub fn is_signed(public_key: &[u8; 32], text: &[u8], signature: &[u8; 64]) -> bool {
    let key = UnparsedPublicKey::new(&ED25519, public_key);
    key.verify(text, signature).is_ok()
}
