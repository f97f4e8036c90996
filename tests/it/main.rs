//! All that needs more than one module: real sockets, real disks, real servers.

mod store;
mod support;
