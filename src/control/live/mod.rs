//! Watching requests as they finish, at all gates that share a store, through one of them.
//!
//! Gates do not reach each other, so a watcher's gate puts a question into the store and the others leave
//! answers there ([`WatchStore`](crate::store::WatchStore), [0020](../../docs/adr/0020-live-views-ask-through-the-store.md)). While
//! nobody watches nothing is made, counted or published; a gate looks twice a second whether it is asked something.
//! Whatever is lost on the way is counted by whoever listens, and a gate that does not answer is named.
//!
//! | file | |
//! |---|---|
//! | `service` | what someone who watches is told, from here and from elsewhere |
//! | `here` | what this gate itself sees |
//! | `elsewhere` | asking the others, and judging who answers |
//! | `answers` | the task that answers the others |
//! | `seconds` | the task that takes counts from the cores, once a second |

mod answers;
mod elsewhere;
mod here;
mod seconds;
mod service;

pub use service::{Gates, Line, LiveService, News, StoreStanding};
