//! Certificates made for a test, and a client that trusts them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Certificates and their keys, in files.
pub(crate) struct Certificates {
    folder: tempfile::TempDir,
    leaves: Vec<CertificateDer<'static>>,
}

impl Certificates {
    /// One for each list of names.
    pub(crate) fn new(names: &[&[&str]]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut leaves = Vec::new();
        for (number, names) in names.iter().enumerate() {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let made = rcgen::generate_simple_self_signed(names).unwrap();
            let write = |kind: &str, text: String| {
                std::fs::write(folder.path().join(format!("{number}.{kind}")), text).unwrap();
            };
            write("pem", made.cert.pem());
            write("key", made.signing_key.serialize_pem());
            leaves.push(made.cert.der().clone());
        }
        Self { folder, leaves }
    }

    /// As `certificates` of a listener.
    pub(crate) fn yaml(&self) -> String {
        let file = |name: String| -> PathBuf { self.folder.path().join(name) };
        let each: Vec<String> = (0..self.leaves.len())
            .map(|number| {
                let (cert, key) = (file(format!("{number}.pem")), file(format!("{number}.key")));
                format!("{{ cert: {}, key: {} }}", cert.display(), key.display())
            })
            .collect();
        format!("[{}]", each.join(", "))
    }

    /// Shakes hands for `name`, offering `alpn`; which of the certificates was shown.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
        alpn: &[&str],
    ) -> std::io::Result<(TlsStream<TcpStream>, usize)> {
        let mut roots = RootCertStore::empty();
        for leaf in &self.leaves {
            roots.add(leaf.clone()).unwrap();
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        let tcp = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        let which = self.leaves.iter().position(|leaf| *leaf == shown);
        Ok((stream, which.unwrap()))
    }
}

/// A certificate authority of a test's own, its files and those of what it vouches for.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "authority");
        let key = rcgen::KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), own.pem()).unwrap();
        let issuer = rcgen::Issuer::new(params, key);
        Self { folder, issuer }
    }

    /// The file with its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Vouches for these names; the files with the certificate and its key.
    pub(crate) fn vouch(&self, names: &[&str]) -> (PathBuf, PathBuf) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let file = |kind: &str| self.folder.path().join(format!("{}.{kind}", names[0]));
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(names.clone()).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, names[0].as_str());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(file("pem"), certificate.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        (file("pem"), file("key"))
    }
}
