//! What a Redis of an older version looks like to who connects: Debian has none, so it is acted.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A listener that answers as a master of some version would.
pub(crate) struct OldRedis {
    port: u16,
    others: Arc<AtomicUsize>,
}

impl OldRedis {
    pub(crate) fn of(version: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let old = Self {
            port: listener.local_addr().expect("its address").port(),
            others: Arc::default(),
        };
        let others = Arc::clone(&old.others);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let others = Arc::clone(&others);
                thread::spawn(move || answer(client, version, &others));
            }
        });
        old
    }

    /// Its address, as the configuration has it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How often it was asked for more than what it is.
    pub(crate) fn others(&self) -> usize {
        self.others.load(Ordering::SeqCst)
    }
}

fn answer(client: TcpStream, version: &str, others: &AtomicUsize) {
    let mut writer = client.try_clone().expect("a second handle");
    let mut reader = BufReader::new(client);
    while let Some(words) = command(&mut reader) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = match words.as_slice() {
            ["CLIENT", ..] => "-ERR unknown subcommand\r\n".to_owned(),
            ["INFO", "server"] => {
                bulk(&format!("redis_version:{version}\r\nredis_mode:standalone"))
            }
            ["INFO", ..] => bulk("maxmemory_policy:noeviction"),
            ["ROLE"] => "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n".to_owned(),
            _ => {
                others.fetch_add(1, Ordering::SeqCst);
                "-ERR not acted\r\n".to_owned()
            }
        };
        if writer.write_all(said.as_bytes()).is_err() {
            return;
        }
    }
}

/// The words of the next command; `None` when there is none.
fn command(reader: &mut impl BufRead) -> Option<Vec<String>> {
    (0..number(reader, '*')?)
        .map(|_| {
            let mut word = vec![0; number(reader, '$')? + 2];
            reader.read_exact(&mut word).ok()?;
            Some(String::from_utf8_lossy(&word).trim_end().to_owned())
        })
        .collect()
}

fn number(reader: &mut impl BufRead, kind: char) -> Option<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    line.trim_end().strip_prefix(kind)?.parse().ok()
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}
