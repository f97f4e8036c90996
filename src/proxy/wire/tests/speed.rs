//! What the scan costs: `cargo test --release -- --ignored --nocapture speed`.

use std::hint::black_box;
use std::time::Instant;

use super::*;
use crate::proxy::wire::head::HeadScan;

const SMALL: &[u8] = b"GET /api/v1/things/42?expand=owner HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: curl/8.5.0\r\n\
    Accept: */*\r\nX-API-Key: pk_live_0123456789abcdef0123456789abcdef01\r\n\r\n";

#[test]
#[ignore = "a measurement, not a check"]
#[expect(clippy::print_stderr, reason = "its output is the point")]
fn speed() {
    let browser = with_fields(&format!(
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nUser-Agent: Mozilla/5.0 \
         (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, \
         deflate, br, zstd\r\nConnection: keep-alive\r\nCookie: {}\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n\
         Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nSec-Fetch-User: ?1\r\nPriority: u=0, i\r\n",
        "session=0123456789abcdef; ".repeat(12)
    ));
    for (name, head) in [("small", SMALL), ("browser", browser.as_bytes())] {
        let limits = Limits::default();
        let scan = best(|| {
            HeadScan::default()
                .advance(black_box(head), &limits)
                .unwrap()
                .unwrap()
                .len
        });
        let stream = head.repeat(ROUNDS);
        let mut memory = vec![0; 8192];
        let through = (0..20)
            .map(|_| {
                let (mut gate, _wire) = Gate::new(Script::cut(&stream, &[head.len()]), b"", limits);
                let mut cx = Context::from_waker(Waker::noop());
                let start = Instant::now();
                loop {
                    let mut buffer = ReadBuf::new(&mut memory);
                    let _ = black_box(Pin::new(&mut gate).poll_read(&mut cx, buffer.unfilled()));
                    if buffer.filled().is_empty() {
                        break;
                    }
                }
                start.elapsed().as_nanos() / ROUNDS as u128
            })
            .min()
            .unwrap();
        eprintln!(
            "{name}: {} octets, scan {scan} ns, whole poll_read {through} ns (mock stream with it)",
            head.len()
        );
    }
}

fn best(mut work: impl FnMut() -> usize) -> u128 {
    (0..20)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                black_box(work());
            }
            start.elapsed().as_nanos() / ROUNDS as u128
        })
        .min()
        .unwrap()
}

const ROUNDS: usize = 20_000;
