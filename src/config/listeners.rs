//! `listeners`: where clients connect.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::section::Section;
use super::table::{Absent, Field, Kind, Many, Nested, Table};
use super::walk::{Read, Walk};
use super::{Certificate, Listener, ListenerTls};

pub(super) static LISTENERS: Nested = Nested {
    name: "listeners",
    many: Many::List,
    table: &LISTENER,
    absent: Absent::Fault,
    says: "Where clients connect; at least one.",
};

static LISTENER: Table = Table {
    name: "listener",
    says: "One address that clients connect to.",
    exactly_one: false,
    fields: &[&ADDRESS, &TLS, &H2C],
};

static ADDRESS: Field<SocketAddr> = Field {
    name: "address",
    kind: SOCKET_ADDRESS,
    absent: Absent::Fault,
    says: "Address and port; port 0 takes a free one.",
};

static TLS: Nested = Nested {
    name: "tls",
    many: Many::One,
    table: &TLS_TABLE,
    absent: Absent::Means("no TLS"),
    says: "Speaks TLS, with HTTP/2 and HTTP/1.1 by ALPN.",
};

static H2C: Field<bool> = Field {
    name: "h2c",
    kind: Kind::SWITCH,
    absent: Absent::Default("false"),
    says: "Whether HTTP/2 may be spoken without TLS, by prior knowledge.",
};

static TLS_TABLE: Table = Table {
    name: "tls",
    says: "How a listener speaks TLS.",
    exactly_one: false,
    fields: &[&CERTIFICATES],
};

static CERTIFICATES: Nested = Nested {
    name: "certificates",
    many: Many::List,
    table: &CERTIFICATE,
    absent: Absent::Fault,
    says: "Certificates, chosen by the name the client asks for; the first where none fits.",
};

static CERTIFICATE: Table = Table {
    name: "certificate",
    says: "A certificate and its key.",
    exactly_one: false,
    fields: &[&CERT, &KEY],
};

static CERT: Field<PathBuf> = Field {
    name: "cert",
    kind: FILE,
    absent: Absent::Fault,
    says: "PEM file with the chain, leaf first.",
};

static KEY: Field<PathBuf> = Field {
    name: "key",
    kind: FILE,
    absent: Absent::Fault,
    says: "PEM file with the private key.",
};

/// An IP address and a port.
pub(super) const SOCKET_ADDRESS: Kind<SocketAddr> = Kind::Text {
    what: "an address and a port, such as `127.0.0.1:8080` or `[::1]:8080`",
    pattern: Some("^.+:[0-9]{1,5}$"),
    secret: false,
    parse: |text| {
        text.parse().map_err(|_| {
            format!(
                "{} is not an address and a port, such as `127.0.0.1:8080` or `[::1]:8080`",
                super::fault::quoted(text)
            )
        })
    },
};

/// A file's name.
pub(super) const FILE: Kind<PathBuf> = Kind::Text {
    what: "a path",
    pattern: None,
    secret: false,
    parse: |text| Ok(PathBuf::from(text)),
};

/// An address this gate itself listens on.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    /// As in "the address of …".
    pub(super) whose: String,
}

pub(super) fn read(root: &Section, walk: &mut Walk, bound: &mut Vec<Bound>) -> Vec<Listener> {
    let sections = root.sections(walk, &LISTENERS);
    root.check_not_empty(walk, LISTENERS.name);
    sections
        .iter()
        .filter_map(|section| listener(section, walk, bound))
        .collect()
}

fn listener(section: &Section, walk: &mut Walk, bound: &mut Vec<Bound>) -> Option<Listener> {
    let address = section.read(walk, &ADDRESS);
    let tls = section.given(walk, &TLS);
    let h2c = section.get(walk, &H2C);
    if h2c && tls.is_some() {
        walk.fault(
            section.path_of(H2C.name),
            section.at_of(H2C.name),
            "is for listeners without `tls`; with it, HTTP/2 is spoken anyway",
        );
    }
    let tls = tls.map(|tls| ListenerTls {
        certificates: certificates(&tls, walk),
    });
    let address = address?;
    bind(&address, &section.path, walk, bound);
    Some(Listener {
        address: address.value,
        tls,
        h2c,
    })
}

/// Notes that the gate listens there, or says that it already does.
pub(super) fn bind(
    address: &Read<SocketAddr>,
    whose: &str,
    walk: &mut Walk,
    bound: &mut Vec<Bound>,
) {
    if let Some(other) = bound
        .iter()
        .find(|other| collide(other.address, address.value))
    {
        let message = format!("is also the address of {}", other.whose);
        walk.fault_of(address, message);
    }
    bound.push(Bound {
        address: address.value,
        whose: whose.to_owned(),
    });
}

/// Whether two sockets cannot be bound beside each other.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_address = one.ip() == other.ip()
        || one.is_ipv4() == other.is_ipv4()
            && (one.ip().is_unspecified() || other.ip().is_unspecified());
    one.port() != 0 && one.port() == other.port() && same_address
}

/// Whether a connection to `ip` and `port` from this machine would arrive at `bound`.
pub(super) fn arrives_at(ip: IpAddr, port: u16, bound: SocketAddr) -> bool {
    let (ip, here) = (ip.to_canonical(), bound.ip().to_canonical());
    port != 0
        && port == bound.port()
        && (ip == here
            || here.is_unspecified() && (ip.is_loopback() || ip.is_unspecified())
            || here.is_loopback() && ip.is_unspecified())
}

fn certificates(tls: &Section, walk: &mut Walk) -> Vec<Certificate> {
    let sections = tls.sections(walk, &CERTIFICATES);
    tls.check_not_empty(walk, CERTIFICATES.name);
    sections
        .iter()
        .filter_map(|section| {
            let cert = section.read(walk, &CERT);
            let key = section.read(walk, &KEY);
            check(walk, cert.as_ref(), wrong_chain);
            check(walk, key.as_ref(), wrong_key);
            Some(Certificate {
                cert: cert?.value,
                key: key?.value,
            })
        })
        .collect()
}

/// Says what is wrong with a file, if anything is.
pub(super) fn check(
    walk: &mut Walk,
    file: Option<&Read<PathBuf>>,
    wrong: fn(&Path) -> Option<String>,
) {
    if let Some(file) = file
        && let Some(message) = wrong(&file.value)
    {
        walk.fault_of(file, message);
    }
}

/// Why a file is no certificate chain.
pub(super) fn wrong_chain(file: &Path) -> Option<String> {
    let chain: Result<Vec<_>, _> = match CertificateDer::pem_file_iter(file) {
        Ok(items) => items.collect(),
        Err(error) => Err(error),
    };
    match chain {
        Ok(chain) if chain.is_empty() => Some("holds no certificate in PEM".to_owned()),
        Ok(_) => None,
        Err(error) => Some(unreadable(error, "certificate")),
    }
}

/// Why a file is no private key.
pub(super) fn wrong_key(file: &Path) -> Option<String> {
    PrivateKeyDer::from_pem_file(file)
        .err()
        .map(|error| unreadable(error, "private key"))
}

fn unreadable(error: pem::Error, what: &str) -> String {
    match error {
        pem::Error::Io(error) => format!("the file cannot be read: {error}"),
        pem::Error::NoItemsFound => format!("the file holds no {what} in PEM"),
        _ => format!("the file holds a broken {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sockets_collide_on_one_port() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "127.0.0.1:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
        ] {
            assert_eq!(
                collide(one.parse().unwrap(), other.parse().unwrap()),
                expected,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn what_arrives_here_is_recognised() {
        for (ip, bound, expected) in [
            ("127.0.0.1", "127.0.0.1:9900", true),
            ("127.0.0.1", "0.0.0.0:9900", true),
            ("127.0.0.1", "127.0.0.1:9901", false),
            ("0.0.0.0", "127.0.0.1:9900", true),
            ("10.0.0.1", "127.0.0.1:9900", false),
            ("::ffff:127.0.0.1", "127.0.0.1:9900", true),
        ] {
            assert_eq!(
                arrives_at(ip.parse().unwrap(), 9900, bound.parse().unwrap()),
                expected,
                "{ip} {bound}"
            );
        }
    }
}
