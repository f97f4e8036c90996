//! The API behind the gates: it takes down each request that was admitted.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::watch::Watch;
use crate::history::Admission;

/// An API that answers `ok`.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Admission>>>,
}

impl Upstream {
    pub(crate) fn start(watch: Watch) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Admission>>>::default();
        let all = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&all);
                std::thread::spawn(move || serve(stream, watch, &seen));
            }
        });
        Self { address, seen }
    }

    /// What was admitted until now.
    pub(crate) fn admissions(&self) -> Vec<Admission> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, watch: Watch, seen: &Mutex<Vec<Admission>>) {
    let _ = stream.set_nodelay(true);
    let mut bytes = Vec::new();
    let mut more = [0; 16 * 1_024];
    while let Ok(count @ 1..) = stream.read(&mut more) {
        let at = watch.now();
        bytes.extend_from_slice(&more[..count]);
        while let Some((length, admission)) = request_of(&bytes, at) {
            bytes.drain(..length);
            seen.lock().unwrap().extend(admission);
            if stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .is_err()
            {
                return;
            }
        }
    }
}

/// The first request of these bytes, once it is whole: its length, and what it says of who sent it.
fn request_of(bytes: &[u8], at: u64) -> Option<(usize, Option<Admission>)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else {
        return None;
    };
    let field = |name: &str| {
        let mut found = head.headers.iter();
        let field = found.find(|it| it.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(field.value).ok()
    };
    let admission = || {
        Some(Admission {
            tag: field("x-campaign")?.parse().ok()?,
            seen: at,
            key: field("x-portcullis-key-id")?.to_owned(),
            version: field("x-portcullis-key-version")?.parse().ok()?,
        })
    };
    Some((length, admission()))
}
