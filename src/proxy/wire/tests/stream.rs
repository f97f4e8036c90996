//! What the owner sees, and what it can ask for.

use super::*;
use crate::proxy::wire::Resume;

const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn the_phase_says_what_the_client_is_sending() {
    let (mut gate, wire) = waits(b"");
    assert_eq!(read(&mut gate, 8192), None);
    assert_eq!((wire.phase(), wire.is_starved()), (Phase::Idle, true));

    let (mut gate, wire) = waits(b"GET / HT");
    assert_eq!(read(&mut gate, 8192), None);
    assert!(wire.is_mid_head());
    assert_eq!(wire.requests(), 0);

    let (mut gate, wire) = waits(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    assert!(read(&mut gate, 8192).is_some());
    assert_eq!(
        (
            wire.phase(),
            wire.requests(),
            wire.body_bytes(),
            wire.is_starved()
        ),
        (Phase::Body, 1, 3, false)
    );
    assert_eq!(read(&mut gate, 8192), None);
    assert!(wire.is_starved());

    let (mut gate, wire) =
        waits(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\r\n");
    while read(&mut gate, 8192).is_some() {}
    assert_eq!((wire.phase(), wire.body_bytes()), (Phase::Idle, 5));
}

#[test]
fn what_was_read_before_the_gate_counts() {
    let (mut gate, wire) = Gate::new(
        Script::cut(b"/ HTTP/1.1\r\nHost: a\r\n\r\n", &[3]),
        b"GET ",
        Limits::default(),
    );
    assert_eq!(
        read(&mut gate, 8192).unwrap(),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    );
    assert_eq!(wire.requests(), 1);
}

/// A fault behind the request that is being answered waits for the answer; a fault inside a body
/// does not.
#[test]
fn the_end_waits_for_responses() {
    let (mut gate, wire) = waits(format!("{}\0", with_fields("")).as_bytes());
    assert!(read(&mut gate, 8192).is_some());
    let exchange = wire.exchange();
    assert_eq!(read(&mut gate, 8192), None);
    assert_eq!((wire.fault(), wire.is_answering()), (None, true));
    drop(exchange);
    assert!(!wire.is_answering());
    assert_eq!(read(&mut gate, 8192).unwrap(), b"");
    assert!(wire.unanswered().is_some());

    let (mut gate, wire) =
        waits(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz");
    assert!(read(&mut gate, 8192).is_some());
    let _exchange = wire.exchange();
    assert_eq!(read(&mut gate, 8192).unwrap(), b"");
    assert!(wire.fault().is_some());
    assert_eq!(wire.unanswered(), None);
}

#[test]
fn an_upgrade_is_held_until_decided() {
    let held = Limits {
        hold_upgrades: true,
        ..Limits::default()
    };
    let frames = b"\x81\x00\r\n\0 not HTTP";
    for how in [Resume::Raw, Resume::Http] {
        let mut script = Script::cut(&[UPGRADE, frames].concat(), &[4096]);
        script.hangs_up = false;
        let (mut gate, wire) = Gate::new(script, b"", held);
        assert_eq!(read(&mut gate, 8192).unwrap(), UPGRADE);
        assert_eq!(read(&mut gate, 8192), None);
        wire.resume(how);
        match how {
            Resume::Raw => assert_eq!(read(&mut gate, 8192).unwrap(), frames),
            Resume::Http => {
                assert_eq!(read(&mut gate, 8192).unwrap(), b"");
                assert!(wire.unanswered().is_some());
            }
        }
    }
}

/// HTTP/1.0 has no upgrades (RFC 9110 §7.8), and one with a body is like any other request.
#[test]
fn only_an_upgrade_is_held() {
    let held = Limits {
        hold_upgrades: true,
        ..Limits::default()
    };
    for head in [
        "GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let passed = pass(head.repeat(2).as_bytes(), &[4096], 8192, held);
        assert_eq!(passed.messages.len(), 2, "{head:?}");
    }
}

/// What is taken back begins where hyper stopped.
#[test]
fn the_stream_comes_back_with_what_was_not_handed_on() {
    let held = Limits {
        hold_upgrades: true,
        ..Limits::default()
    };
    let (mut gate, _wire) = Gate::new(
        Script::cut(&[UPGRADE, b"frame"].concat(), &[4096]),
        b"",
        held,
    );
    assert_eq!(read(&mut gate, 8192).unwrap(), UPGRADE);
    assert_eq!(gate.into_inner().1, b"frame");
}

/// hyper wants its upgrades `Send`.
#[test]
fn a_gate_is_send() {
    fn is_send<T: Send + Unpin>() {}
    is_send::<Gate<tokio::net::TcpStream>>();
}

/// Whoever waits for the last response is woken by it, and by what is said about an upgrade.
#[test]
fn a_waiting_gate_is_woken() {
    struct Flag(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let woken = |act: &dyn Fn(&Arc<WireState>), wait: &dyn Fn(&Arc<WireState>, &Context<'_>)| {
        let flag = Arc::new(Flag(false.into()));
        let wire = Arc::new(WireState::default());
        wait(&wire, &Context::from_waker(&Arc::clone(&flag).into()));
        act(&wire);
        flag.0.load(std::sync::atomic::Ordering::Relaxed)
    };
    let wait_for_response = |wire: &Arc<WireState>, cx: &Context<'_>| {
        let exchange = wire.exchange();
        assert!(!wire.is_answered(cx));
        drop(exchange);
    };
    let wait_for_word =
        |wire: &Arc<WireState>, cx: &Context<'_>| assert_eq!(wire.take_resume(cx), None);
    assert!(woken(&|_| (), &wait_for_response));
    assert!(woken(&|wire| wire.resume(Resume::Http), &wait_for_word));
    assert!(!woken(&|_| (), &wait_for_word));
}

/// A word about one upgrade request is not taken for the next.
#[test]
fn a_word_about_an_upgrade_holds_once() {
    let held = Limits {
        hold_upgrades: true,
        ..Limits::default()
    };
    let mut script = Script::cut(&[UPGRADE, UPGRADE].concat(), &[4096]);
    script.hangs_up = false;
    let (mut gate, wire) = Gate::new(script, b"", held);
    wire.resume(Resume::Raw);
    assert_eq!(read(&mut gate, 8192).unwrap(), UPGRADE);
    assert_eq!(read(&mut gate, 8192), None);
    wire.resume(Resume::Http);
    wire.resume(Resume::Http);
    assert_eq!(read(&mut gate, 8192).unwrap(), UPGRADE);
    wire.resume(Resume::Raw);
    assert_eq!(read(&mut gate, 8192), None);
}

/// Many idle connections hold no memory for reading, and what one holds is not for the log.
#[test]
fn an_idle_gate_holds_no_buffer() {
    let (mut gate, _wire) = waits(format!("{}GET /secret", with_fields("")).as_bytes());
    while read(&mut gate, 8192).is_some() {}
    let shown = format!("{gate:?}");
    assert!(shown.contains("held: 11, memory: 8192"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");

    let (mut gate, _wire) = waits(with_fields("").as_bytes());
    while read(&mut gate, 8192).is_some() {}
    let shown = format!("{gate:?}");
    assert!(shown.contains("held: 0, memory: 0"), "{shown}");
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}
