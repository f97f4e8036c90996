//! What things are, and what may happen to them.
//!
//! An [`owner`] holds [keys](key); a key has [versions](key::KeyVersion), and each version is one
//! [`secret`] of which only the hash is kept. A request names a [`route`], presents a
//! credential, and is admitted or [refused](refusal); what it spent is [`usage`]. Whatever
//! changes a key is one [`change`], committed whole with its [`audit`] entries.
//!
//! Everything here is pure: no I/O, no clock, no randomness. `now` and random bytes are arguments, so a
//! decision can be tested in microseconds and replayed. Nothing here derives `Serialize`: wire forms
//! live in `api`, stored forms in `store::record`.

pub mod audit;
pub mod badge;
pub mod change;
pub mod csv;
pub mod draw;
pub mod event;
pub mod fleet;
pub mod id;
pub mod job;
pub mod key;
pub mod lease;
pub mod lifecycle;
pub mod limit;
pub mod notice;
pub mod owner;
pub mod patch;
pub mod period;
pub mod permission;
pub mod policy;
pub mod product;
pub mod query;
pub mod refusal;
pub mod repair;
pub mod rotation;
pub mod route;
pub mod rules;
pub mod secret;
pub mod selector;
pub mod span;
pub mod staleness;
pub mod summary;
pub mod time;
pub mod token;
pub mod tombstone;
pub mod upstream;
pub mod usage;
pub mod watch;
mod word;
