//! The admin API: how people and programs run the gate.
//!
//! A call goes in a straight line: a request id and the `Host` check ([`shell`]), the role it needs
//! ([`auth`], by the one table in [`router()`]), what it asks for ([`ask`]), a service of `control`, and an
//! answer in the words of `api`. Whatever ends it early is a [`problem`], the only place here with status
//! codes. Handlers decide nothing: an `if` about keys belongs in `domain`.
//!
//! There is no way past `control` to the store, so every change is audited, and every change is in force
//! on this gate before it is answered.

mod about;
mod ask;
mod audit;
mod auth;
mod cursor;
mod etag;
mod export;
pub mod gate;
pub(crate) mod holder;
mod keys;
mod lists;
mod live;
mod misread;
mod nodes;
mod objects;
mod openapi;
mod policies;
mod problem;
mod products;
mod reports;
mod rotation;
mod router;
mod selector;
mod session;
mod shell;
mod status;
mod summary;
mod throttle;
mod tokens;
mod users;

pub use about::document::document;
pub use auth::{Needs, Reach};
pub use router::{Services, Settings, calls, router};
