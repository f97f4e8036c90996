//! A Redis shared by many gates.
//!
//! Every change is one script, and its id in the feed *is* the revision, so a gap is seen, not inferred.
//! Each change names the change before it, so a fork is seen, not inferred. A feed entry holds the whole
//! change, so any gate could give the store back what it lost.
//!
//! A gate keeps a [`mirror`] of the control state in the embedded store's own tables: look-ups, lists
//! and searches are answered there, and go on without Redis. Changes go to Redis and are in the mirror
//! before the caller is told; counts go to Redis and are read from it.
//!
//! | file | |
//! |---|---|
//! | `names` | every key in Redis, and its slot |
//! | `frame` | how a record lies there |
//! | `identity` | which store it is that a connection leads to |
//! | `connect` | the masters, the connections to them, what goes wrong with them |
//! | `scripts` | what is checked and written as one |
//! | `feed` | changes and where they end |
//! | `mirror`, `follow`, `reload` | the copy; keeping it in step; reading it anew |
//! | `backfill` | reading the audit log from before the mirror began, a page at a time |
//! | `repair` | a store that has lost changes |
//! | `fading` | what it has lost and only other gates can give back |
//! | `make_good`, `tell` | what the store lacks and this gate knows; what is said of it |
//! | `hold` | ending things while the store is away |
//! | `union` | what a mirror shows besides the store: what has ended, and what is owed |
//! | `commit` | landing a change |
//! | `counts`, `period` | usage |
//! | `quotas` | what was given out of them |
//! | `nodes` | the gates that share it, and words between them |
//! | `watches` | questions between gates, for people who watch |
//! | `outbox` | events |
//! | `carry` | a whole store, out of Redis and into it |
//! | `store` | the contract, by all of these |

mod backfill;
mod background;
mod carry;
mod commit;
mod connect;
mod counts;
mod fading;
mod feed;
mod follow;
mod frame;
mod gates;
mod hold;
mod identity;
mod jobs;
mod leases;
mod make_good;
mod mirror;
mod names;
mod nodes;
mod outbox;
mod period;
mod quotas;
mod reload;
mod repair;
mod scripts;
mod store;
mod tell;
mod union;
mod watches;
mod words;

pub(super) use carry::{draw, hold_mirror, seed, standing};
pub use store::{Local, RedisStore};
