//! The gate from outside: what a client sends, what the upstream sees, what comes back.

mod away;
mod credentials;
mod drain;
mod framing;
mod headers;
mod holders;
mod http1;
mod http2;
mod imports;
mod limits;
mod observed;
mod own;
mod patience;
mod permissions;
mod products;
mod quotas;
mod refusals;
mod revocation;
mod roster;
mod rotation;
mod routing;
mod shared_limits;
mod streaming;
mod tls;
mod unread;
mod upstreams;
