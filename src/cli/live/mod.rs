//! Watching a gate: the stream of `GET /admin/live`, as `tail` and `top` read it.
//!
//! | file | |
//! |---|---|
//! | `which` | what can be asked for |
//! | `events` | server-sent events out of bytes |
//! | `feed` | a stream that is opened again whenever it breaks off |

mod events;
mod feed;
mod which;

pub(super) use events::Event;
pub(super) use feed::{Feed, Turn};
pub(super) use which::Which;
