//! A wire between a test and a server that can lose what is answered, as networks do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Passes bytes both ways, until told to lose answers.
pub(crate) struct Wire {
    address: SocketAddr,
    /// Connections up to this number get no more answers.
    muted: Arc<AtomicU64>,
    made: Arc<AtomicU64>,
}

impl Wire {
    /// A wire to `port` on this machine.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let wire = Self {
            address: listener.local_addr().expect("its address"),
            muted: Arc::default(),
            made: Arc::default(),
        };
        let (muted, made) = (Arc::clone(&wire.muted), Arc::clone(&wire.made));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let number = made.fetch_add(1, Ordering::SeqCst) + 1;
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
                    continue;
                };
                let (from, to) = (twin(&client), twin(&server));
                thread::spawn(move || pump(from, to, || false));
                let muted = Arc::clone(&muted);
                thread::spawn(move || {
                    pump(server, client, || muted.load(Ordering::SeqCst) >= number);
                });
            }
        });
        wire
    }

    /// Its near end, as the configuration has it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// From now on whatever is answered on the connections there are is lost. New ones are whole.
    pub(crate) fn lose_answers(&self) {
        self.muted
            .store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, is_lost: impl Fn() -> bool) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if !is_lost() && to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn twin(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a second handle")
}
