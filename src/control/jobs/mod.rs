//! What is done as time goes by: keys rotated, warned of, ended and forgotten.
//!
//! One walk over all keys, a page at a turn, again and again: `app` takes a turn several times a second,
//! and a new walk begins a minute after the last one by the gate's clock. What is to be done about a key is
//! decided by `domain` alone, from the key, the rules and its last use; a turn that is cut short is taken
//! up by the next, and one that is taken twice does nothing the second time.
//!
//! | file | what it does |
//! |---|---|
//! | `turns` | a page of keys a turn |
//! | `walk` | decides what is to be done about a key · revokes what nobody uses |
//! | `tell` | notices, their events and audit entries · forgets old tombstones |
//! | `rules` | rules of rotation whose key has ended: taken away |
//! | `rotate` | new secrets, handed to their sinks |
//! | `lease` | one gate at a time |
//! | `leavers` | ends what owners hold who were switched off; not by the walk, but as soon as they are |

mod lease;
mod leavers;
mod rotate;
mod rules;
mod tell;
mod turns;
mod walk;

pub use lease::{Alone, Lease, Leased, Orphan, Tenure};
pub use leavers::{LeaverBook, Leavers, Progress};
pub(in crate::control) use leavers::{ended_entry, tokens_of};
pub use turns::{Jobs, Turn};
