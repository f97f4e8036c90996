//! Whether the addresses that a gate is to listen on are free: asked before anything is made, so that a gate
//! that cannot start leaves nothing behind.

use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use crate::app::error::StartError;
use crate::config::Config;

/// Says which address is taken, if one is. They are bound for good later: until the keys are there nobody
/// is to connect.
///
/// # Errors
/// [`StartError::Listen`].
pub(crate) fn ensure_free(config: &Config) -> Result<(), StartError> {
    for (number, listener) in config.listeners.iter().enumerate() {
        // The cores share it, and so do a gate that stops and the one that follows it.
        try_bind(listener.address, true).map_err(|source| StartError::Listen {
            address: listener.address,
            field: format!("listeners[{number}].address"),
            source,
        })?;
    }
    try_bind(config.admin.address, false).map_err(|source| StartError::Listen {
        address: config.admin.address,
        field: ADMIN_FIELD.to_owned(),
        source,
    })
}

fn try_bind(address: SocketAddr, is_shared: bool) -> std::io::Result<()> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())
}

/// What the configuration calls the address of the admin API.
pub(crate) const ADMIN_FIELD: &str = "admin.address";
