//! The gate from outside: what a client sends, what the upstream sees, what comes back.

mod credentials;
mod drain;
mod framing;
mod headers;
mod http1;
mod http2;
mod imports;
mod limits;
mod observed;
mod own;
mod permissions;
mod products;
mod refusals;
mod revocation;
mod routing;
mod streaming;
mod tls;
mod upstreams;
