//! Whom a server that speaks TLS is believed to be, and who it is told that we are.

use std::io;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redis::{ClientTlsConfig, TlsCertificates};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use crate::config::RedisTls;

/// Which authorities are trusted, and which certificate is shown.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    files: RedisTls,
    /// What this machine trusts, where no authority is named.
    machine: Option<Arc<[u8]>>,
}

impl Trust {
    /// What the configuration says.
    pub(super) fn new(files: &RedisTls) -> Self {
        let machine = match files.ca {
            Some(_) => None,
            None => authorities().map(Arc::from),
        };
        Self {
            files: files.clone(),
            machine,
        }
    }

    /// Reads the files anew, so that a certificate may be replaced while the gate runs.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(super) fn certificates(&self) -> io::Result<TlsCertificates> {
        let client_tls = match &self.files.certificate {
            None => None,
            Some(certificate) => Some(ClientTlsConfig {
                client_cert: read(&certificate.cert)?,
                client_key: read(&certificate.key)?,
            }),
        };
        let root_cert = match &self.files.ca {
            None => self.machine.as_deref().map(<[u8]>::to_vec),
            Some(file) => Some(read(file)?),
        };
        Ok(TlsCertificates {
            client_tls,
            root_cert,
        })
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(file)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
}

/// The authorities that this machine trusts, as PEM, so that a company's own is among them; `None` where
/// it has none, as in a container with nothing else in it: then those compiled in are trusted.
fn authorities() -> Option<Vec<u8>> {
    // One that cannot be read, or that rustls would not use, must not stand in the way of the others.
    let found = rustls_native_certs::load_native_certs().certs;
    let usable = found
        .into_iter()
        .filter(|authority| RootCertStore::empty().add(authority.clone()).is_ok());
    Some(usable.map(|authority| pem(&authority)).collect::<String>())
        .filter(|text| !text.is_empty())
        .map(String::into_bytes)
}

/// RFC 7468 §5.
fn pem(certificate: &CertificateDer<'_>) -> String {
    let encoded = STANDARD.encode(certificate);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for (at, letter) in encoded.chars().enumerate() {
        if at > 0 && at % PEM_LINE == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text.push_str("\n-----END CERTIFICATE-----\n");
    text
}

const PEM_LINE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::pem::PemObject as _;

    #[test]
    fn a_certificate_reads_back_from_its_pem() {
        for length in [1, 48, 49, 1_000] {
            let certificate = CertificateDer::from(vec![0xA7; length]);
            let text = pem(&certificate);
            assert!(text.lines().all(|line| line.len() <= PEM_LINE));
            let read = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
            assert_eq!(read, certificate);
        }
    }
}
