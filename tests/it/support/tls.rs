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
