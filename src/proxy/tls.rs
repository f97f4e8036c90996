//! TLS on both sides: certificates by SNI for clients, the system's roots for upstreams.
//!
//! All that names rustls' types of configuration is here, so that its next major version is met here.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::config::ListenerTls;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file holds no certificate or key.
    #[error("cannot read {path}")]
    Pem {
        path: PathBuf,
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// A file holds no certificate at all.
    #[error("there is no certificate in {path}")]
    Empty { path: PathBuf },
    /// Certificate and key are of no use, or not of each other.
    #[error("{cert} and {key} do not go together")]
    Pair {
        cert: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
    /// The library refuses its own defaults.
    #[error("TLS is not available")]
    Library(#[source] rustls::Error),
}

/// The configuration of a listener that speaks TLS: HTTP/2 and HTTP/1.1 by ALPN.
///
/// # Errors
/// [`TlsError`] names the file.
pub(crate) fn server_config(tls: &ListenerTls) -> Result<Arc<ServerConfig>, TlsError> {
    let mut certificates = Vec::new();
    for pair in &tls.certificates {
        let pem = |source| TlsError::Pem {
            path: pair.cert.clone(),
            source,
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&pair.cert)
            .map_err(pem)?
            .collect::<Result<_, _>>()
            .map_err(pem)?;
        if chain.is_empty() {
            return Err(TlsError::Empty {
                path: pair.cert.clone(),
            });
        }
        let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(|source| TlsError::Pem {
            path: pair.key.clone(),
            source,
        })?;
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        certificates.push(Arc::new(certified.map_err(|source| TlsError::Pair {
            cert: pair.cert.clone(),
            key: pair.key.clone(),
            source,
        })?));
    }
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Library)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(BySni { certificates }));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The configuration for connecting to upstreams: the system's roots, HTTP/1.1.
///
/// # Errors
/// [`TlsError::Library`].
pub(crate) fn upstream_config() -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    // Some systems have roots that cannot be read; the others still count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Library)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Chooses the certificate that covers the name a client asks for; the first, where none does.
#[derive(Debug)]
struct BySni {
    certificates: Vec<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| {
            self.certificates
                .iter()
                .find(|certified| covers(certified.cert.first(), name))
        });
        named.or_else(|| self.certificates.first()).cloned()
    }
}

fn covers(certificate: Option<&CertificateDer<'_>>, name: &str) -> bool {
    let parsed = certificate.and_then(|der| ParsedCertificate::try_from(der).ok());
    let name = ServerName::try_from(name).ok();
    parsed
        .zip(name)
        .is_some_and(|(parsed, name)| verify_server_name(&parsed, &name).is_ok())
}

/// Whether a connection made for the name `sni` may carry a request for `host` (RFC 9110 §7.4): it may
/// if one certificate covers both.
pub(crate) fn may_serve(names: &CertificateNames, sni: &str, host: &str) -> bool {
    let covering = names.certificate(sni);
    sni.eq_ignore_ascii_case(host) || covering.is_some() && covering == names.certificate(host)
}

/// The names a listener's certificates cover, asked when a request's host is not its connection's name.
#[derive(Debug, Clone)]
pub(crate) struct CertificateNames {
    leaves: Arc<[CertificateDer<'static>]>,
}

impl CertificateNames {
    /// Reads the leaves of a listener's chains again.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub(crate) fn new(tls: &ListenerTls) -> Result<Self, TlsError> {
        let leaf = |path: &PathBuf| {
            CertificateDer::from_pem_file(path).map_err(|source| TlsError::Pem {
                path: path.clone(),
                source,
            })
        };
        let leaves = tls.certificates.iter().map(|pair| leaf(&pair.cert));
        Ok(Self {
            leaves: leaves.collect::<Result<_, _>>()?,
        })
    }

    /// Which certificate covers `name`; `None` if none does.
    fn certificate(&self, name: &str) -> Option<usize> {
        self.leaves.iter().position(|leaf| covers(Some(leaf), name))
    }
}
