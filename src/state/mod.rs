//! The table both planes sit at: in memory, never awaited.
//!
//! | what | written by | read by |
//! |---|---|---|
//! | [`keys`] the keys, by hash | `control::sync` | every request |
//! | [`limiter`] limits and their state | every request | every request |
//! | [`leases`] shared limits: what is leased | every request; `control::leases` | every request |
//! | [`quotas`] what of its quotas a key holds | every request; `control::quotas` | every request |
//! | [`grants`] what keys may do, products included | `control::sync` | every request |
//! | [`routes`] [`upstreams`] where requests go | `app`, at start; health checks | every request |
//! | [`usage`] [`counters`] what happened | every request | `control::flush`; `/metrics` |
//! | [`requests`] what the audit log is to say of requests | every request | the log's own thread |
//! | [`failures`] who shows wrong secrets | every request that does | the same |
//! | [`readiness`] whether traffic may come | `control::sync`; the stop | every request; `/readyz` |
//! | [`desk`] what requests want of the control plane: [`holders`]' calls, [`first_uses`], quotas | a request that does | `control`, `admin` |
//! | [`traces`] spans of requests that are sampled | a request that is | `control::traces` |
//! | [`tap`] requests as they finish, and counts of them | every request, while someone watches | `control::live` |
//!
//! Nothing here outlives the process, and nothing that matters is lost with it: keys come back from the
//! store, a limit starts whole, and usage is flushed every second and at the end.

pub(crate) mod counters;
pub mod desk;
pub(crate) mod failures;
pub mod first_uses;
pub mod grants;
pub mod holders;
pub mod keys;
pub mod leases;
pub mod limiter;
pub mod quotas;
pub(crate) mod readiness;
pub(crate) mod requests;
pub(crate) mod routes;
pub mod tap;
pub(crate) mod traces;
pub(crate) mod upstreams;
pub mod usage;
