//! Requests at the gate, as the audit log tells of them. They stand outside the chain.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::id::{AuditId, KeyId, OwnerId};
use crate::domain::permission::Method;
use crate::domain::time::Timestamp;

/// A request, or several that were alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestEntry {
    /// Names the entry.
    pub id: AuditId,
    /// When it came, or the first of them.
    pub timestamp: Timestamp,
    /// Why it was refused; `None` if it was not.
    pub code: Option<String>,
    /// The key that was shown, also where it was refused.
    pub key: Option<KeyId>,
    /// And which version of it.
    pub key_version: Option<u16>,
    /// Whose key it is.
    pub owner: Option<OwnerId>,
    /// The route it took.
    pub route: Option<Arc<str>>,
    /// Its method.
    pub method: Option<Method>,
    /// Its path, without a query; `None` where several were folded.
    pub path: Option<String>,
    /// What the client got.
    pub status: u16,
    /// Who sent it; `None` where several senders were folded.
    pub address: Option<IpAddr>,
    /// What it is called in logs; `None` where several were folded.
    pub request_id: Option<String>,
    /// The gate that served it.
    pub node: Arc<str>,
    /// How many they were.
    pub count: u64,
    /// When the last of several came.
    pub until: Option<Timestamp>,
}

impl RequestEntry {
    /// The exported form.
    #[must_use]
    pub fn form(&self) -> Value {
        json!({
            "id": self.id.to_string(),
            "timestamp": self.timestamp.to_string(),
            "type": "request",
            "outcome": if self.code.is_some() { "refused" } else { "done" },
            "code": self.code,
            "key_id": self.key.map(|key| key.to_string()),
            "key_version": self.key_version,
            "owner_id": self.owner.map(|owner| owner.to_string()),
            "route": self.route.as_deref(),
            "method": self.method.map(Method::as_str),
            "path": self.path,
            "status": self.status,
            "address": self.address.map(|address| address.to_string()),
            "request_id": self.request_id,
            "node": &*self.node,
            "count": self.count,
            "until": self.until.map(|until| until.to_string()),
        })
    }
}
