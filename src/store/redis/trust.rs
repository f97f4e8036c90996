//! Whom a server that speaks TLS is believed to be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

/// The authorities that this machine trusts, as PEM, so that a company's own is among them; `None` where
/// it has none, as in a container with nothing else in it: then those compiled in are trusted.
pub(super) fn authorities() -> Option<Vec<u8>> {
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
