//! Listening sockets: one for each core on the same address, so that the kernel spreads connections.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};

use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use crate::config::Listener;

/// The sockets of one configured listener.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Where it really listens, the port filled in.
    pub(crate) address: SocketAddr,
    /// One per core.
    pub(crate) cores: Vec<StdListener>,
}

/// A listener's address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub(crate) struct ListenError {
    pub(crate) address: SocketAddr,
    #[source]
    pub(crate) source: io::Error,
}

/// Binds a listener once for each of `cores`.
///
/// # Errors
/// [`ListenError`], also where another process has the port in a way that would let both have it.
pub(crate) fn bind(listener: &Listener, cores: usize) -> Result<Socket, ListenError> {
    let fail = |source| ListenError {
        address: listener.address,
        source,
    };
    let mut choices = if listener.address.port() == 0 {
        CHOICES
    } else {
        1
    };
    loop {
        choices -= 1;
        match bind_all(listener.address, cores) {
            // A port that the system chose may be someone's before all have it; then it chooses another.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && choices > 0 => {}
            bound => return bound.map_err(fail),
        }
    }
}

fn bind_all(address: SocketAddr, cores: usize) -> io::Result<Socket> {
    // `SO_REUSEPORT` shares a port with any process of the same user that asks likewise. So one that
    // does not ask goes first, and is told if someone is there.
    let first = open(address, false)?;
    let address = first.local_addr()?;
    drop(first);
    let sockets = (0..cores.max(1)).map(|_| open(address, true));
    let cores = sockets.collect::<io::Result<Vec<_>>>()?;
    Ok(Socket { address, cores })
}

fn open(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = RawSocket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Connections of a gate that stopped a moment ago linger; they are no reason not to start.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// How often the system may choose a port, where it is left to it.
const CHOICES: u32 = 8;
/// How many connections may wait to be accepted, on each core.
const BACKLOG: i32 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: SocketAddr) -> Listener {
        Listener {
            address,
            tls: None,
            h2c: false,
        }
    }

    #[test]
    fn a_port_that_someone_has_is_not_shared_with_them() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let held = bind(&listener(any), 2).unwrap();
        let error = bind(&listener(held.address), 2).unwrap_err();
        assert_eq!(error.address, held.address);
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    }
}
