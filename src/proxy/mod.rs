//! The data plane: one request, gate to gate.
//!
//! Each core runs a [`worker`] of its own: a current-thread runtime with its own listening sockets,
//! upstream connections and counters. What a request shares with another core is a read lock of the key
//! cache's shard, released at once, and the atomics of its key's limits. A request's life:
//!
//! 1. [`listener`] accepts a connection, [`tls`] shakes hands, [`connection`] drives it.
//! 2. [`wire`] judges HTTP/1 framing before hyper sees a byte.
//! 3. [`handle`] is the straight line through all that follows, and the page to read first.
//! 4. [`target`] makes the one canonical reading of the request that everything else goes by.
//! 5. [`credential`] takes the key out of the request; [`admit`] decides who it is, whether it may, and
//!    whether it still can. [`allowance`] spends from its quotas, and waits only where nothing is held.
//! 6. [`headers`] makes the request what the upstream is to see; [`forward`] sends it over a connection
//!    of the [`pool`] and brings the answer back; [`body`] carries both bodies and counts them.
//!    [`limit_fields`] tells the client where its limits stand. What takes long goes on only while its
//!    [`warrant`] does.
//!    Paths of the gate's own, [`own`], go another way from step 3 on, and never this far.
//! 7. Any step may halt: [`respond`] then writes the reply, which is the only place with status codes.
//! 8. [`record`] closes exactly once, when the last byte is gone or nobody wants it any more: usage,
//!    counters, [`access_log`], tap, and the span of a request that is sampled ([`mod@trace`]).
//!
//! Nothing here can wait for the store, because nothing here can name it; [`allowance`] waits, within a
//! bound, for what the control plane draws, and [`own`] for what it answers.

mod access_log;
pub mod admit;
mod allowance;
mod body;
mod carrier;
mod connection;
mod cookies;
mod credential;
mod deadlines;
mod digits;
mod flow;
mod forward;
mod forwarded;
mod frames;
mod handle;
mod headers;
mod health;
mod http2;
mod limit_fields;
mod listener;
mod own;
mod pace;
mod plane;
mod pool;
mod query;
mod record;
mod respond;
mod stream;
mod target;
mod tls;
mod trace;
mod unread;
mod validity;
mod waiting;
mod warrant;
mod watch;
mod wire;
mod worker;

pub(crate) use access_log::LogWriter;
pub(crate) use health::probe_all;
pub(crate) use listener::{Socket, bind};
pub(crate) use own::OwnLimits;
pub(crate) use plane::{Connections, Plane, Stage};
pub(crate) use target::{LastHost, Target};
pub(crate) use tls::{CertificateNames, TlsError, server_config, upstream_config};
pub(crate) use validity::certificate_end;
pub(crate) use worker::{Door, run};
