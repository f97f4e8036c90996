//! Keys on the wire: what is answered of them, and what may be asked.

mod ask;
mod tested;
mod told;

pub use ask::{
    CreateKey, NewQuota, NewRateLimit, NewRotation, PatchKey, Reason, RotateKey, TestKey,
};
pub use tested::{KeyTested, LimitLeft, QuotaLeft};
pub use told::{
    ImportLine, Key, KeyCreated, PendingNode, Previous, Quota, RateLimit, Revocation, Revoked,
    Rotation, SinkTold, Version,
};
