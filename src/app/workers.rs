//! The threads of the data plane: how many, what each listens on, and their start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::app::error::StartError;
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::proxy::{self, Door, Plane, Socket, Stage};

/// How many there are.
pub(super) fn cores(config: &Config) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    config.workers.map_or_else(all, usize::from)
}

/// For each core, its sockets and what is spoken there.
pub(super) fn doors(
    config: &Config,
    sockets: &[Socket],
    cores: usize,
) -> Result<Vec<Vec<Door>>, StartError> {
    let mut doors: Vec<Vec<Door>> = (0..cores).map(|_| Vec::new()).collect();
    for (listener, socket) in config.listeners.iter().zip(sockets) {
        let tls = match &listener.tls {
            Some(tls) => Some((
                proxy::server_config(tls)?,
                proxy::CertificateNames::new(tls)?,
            )),
            None => None,
        };
        for (doors, socket) in doors.iter_mut().zip(&socket.cores) {
            let address = socket.local_addr();
            let listen = |source| StartError::Listen {
                address: listener.address,
                field: "listeners".to_owned(),
                source,
            };
            address.map_err(listen)?;
            let socket = socket.try_clone().map_err(listen)?;
            doors.push(Door {
                socket,
                tls: tls.clone(),
                h2c: listener.h2c,
            });
        }
    }
    Ok(doors)
}

/// When the certificates of listeners end, by their files; none where that cannot be read off.
pub(super) fn certificate_ends(config: &Config) -> Vec<(String, Timestamp)> {
    let pairs = config.listeners.iter().filter_map(|it| it.tls.as_ref());
    let ends = pairs.flat_map(|tls| &tls.certificates).filter_map(|pair| {
        let end = proxy::certificate_end(&pair.cert)?;
        Some((pair.cert.display().to_string(), end))
    });
    // Two listeners may show one certificate.
    ends.collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// Starts a thread for each core.
pub(super) fn spawn(
    plane: &Arc<Plane>,
    doors: Vec<Vec<Door>>,
    stage: &watch::Sender<Stage>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut workers = Vec::new();
    for (index, doors) in doors.into_iter().enumerate() {
        let Some(counters) = plane.counters.core(index) else {
            continue;
        };
        let (plane, stage) = (Arc::clone(plane), stage.subscribe());
        let thread = std::thread::Builder::new().name(format!("gate-{index}"));
        workers.push(thread.spawn(move || {
            if let Err(error) = proxy::run(index, plane, counters, doors, stage) {
                tracing::error!(%error, core = index, "core {index} serves no more");
            }
        })?);
    }
    Ok(workers)
}
