//! Why a gate does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::proxy::TlsError;
use crate::store::StoreError;
use crate::store::local::LocalError;

/// Why a gate does not start. Nothing was begun, or it was undone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The log of requests cannot be opened.
    #[error("the log of requests cannot be opened")]
    Requests(#[source] std::io::Error),
    /// The folder of usage counts cannot be had.
    #[error("the folder of usage counts that are not with the store yet cannot be had")]
    Spool(#[source] std::io::Error),
    /// This gate's own directory cannot be had.
    #[error("cannot use the data directory")]
    DataDir(#[source] LocalError),
    /// Another process beats under this gate's name.
    #[error("cannot go by the name `{node}` (`node`)")]
    NodeTaken {
        /// The name.
        node: String,
        /// Who has it.
        #[source]
        source: Box<dyn std::error::Error + Send + std::marker::Sync>,
    },
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[source] StoreError),
    /// The keys cannot be read.
    #[error("cannot read the keys from the store")]
    Load(#[source] StoreError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} (`{field}`)")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the configuration calls it.
        field: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// The client that sends spans cannot be made.
    #[error("cannot send spans (`traces`)")]
    Traces(#[source] reqwest::Error),
    /// The routes do not go together.
    #[error("cannot build the routes: {0}")]
    Routes(String),
    /// The access log cannot be written to.
    #[error("cannot write the access log to {path}")]
    AccessLog {
        /// Where to.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The first admin token cannot be made.
    #[error("cannot make the first admin token: {0}")]
    Token(String),
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl From<TlsError> for StartError {
    fn from(error: TlsError) -> Self {
        Self::Tls(chain(&error))
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
