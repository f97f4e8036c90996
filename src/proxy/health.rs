//! Active probes: each endpoint of an upstream with a health check is asked, now and then, whether it is
//! well. What is found is left in `state`, where every core looks.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::domain::upstream::{Endpoint, HealthCheck};
use crate::proxy::stream::Stream;
use crate::state::upstreams::{EndpointState, UpstreamState};

/// Probes the endpoints of an upstream for as long as it is polled; forever nothing, where there is no
/// health check.
pub(crate) async fn probe_all(upstream: Arc<UpstreamState>, tls: Arc<ClientConfig>) {
    let Some(check) = &upstream.upstream.health else {
        return;
    };
    let probes = upstream
        .endpoints
        .iter()
        .map(|endpoint| probe(endpoint, check, &tls));
    futures_util::future::join_all(probes).await;
}

async fn probe(endpoint: &EndpointState, check: &HealthCheck, tls: &Arc<ClientConfig>) {
    let mut interval = tokio::time::interval(check.interval.max(Duration::from_millis(10)));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut streak: i64 = 0;
    loop {
        interval.tick().await;
        let asked = tokio::time::timeout(check.timeout, ask(&endpoint.endpoint, check, tls)).await;
        let is_well = matches!(asked, Ok(Ok(200..=399)));
        streak = if is_well {
            streak.max(0) + 1
        } else {
            streak.min(0) - 1
        };
        let turns = (streak >= i64::from(check.healthy_after)
            || -streak >= i64::from(check.unhealthy_after))
            && endpoint.set_well(is_well);
        if turns && is_well {
            tracing::info!(endpoint = %endpoint.name, "endpoint `{}` is well again", endpoint.name);
        } else if turns {
            tracing::warn!(
                endpoint = %endpoint.name,
                "endpoint `{}` is taken out, it does not answer its health check",
                endpoint.name
            );
        }
    }
}

/// Asks once: the status it answers with.
async fn ask(
    endpoint: &Endpoint,
    check: &HealthCheck,
    tls: &Arc<ClientConfig>,
) -> std::io::Result<u16> {
    let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    let mut stream = if endpoint.tls {
        let name = ServerName::try_from(endpoint.host.clone()).map_err(std::io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(tls));
        Stream::Connected(Box::new(connector.connect(name, tcp).await?))
    } else {
        Stream::Plain(tcp)
    };
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: {endpoint}\r\nuser-agent: portcullis-health\r\nconnection: close\r\n\r\n",
        check.path
    );
    stream.write_all(head.as_bytes()).await?;
    // `HTTP/1.1 200`: all that is of interest.
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    let digits = std::str::from_utf8(&status)
        .ok()
        .and_then(|line| line.strip_prefix("HTTP/1."));
    let code = digits
        .and_then(|rest| rest.get(2..))
        .and_then(|code| code.parse().ok());
    code.ok_or_else(|| std::io::Error::other("the answer is not HTTP/1"))
}
