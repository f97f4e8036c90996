//! Heads, one row each: let through octet by octet, or refused whole.

use super::*;
use Fault::{
    BadRequest, ExpectationFailed, HeadTooLarge, MethodNotAllowed, MethodUnknown, TargetTooLong,
};

/// What the grammar allows and clients send.
#[test]
fn good_heads_pass_unchanged() {
    admits("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    admits("GET / HTTP/1.0\r\n\r\n");
    admits("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n");
    admits("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    admits("GET //twice//as/much HTTP/1.1\r\nHost: a\r\n\r\n");
    admits(
        "DELETE /a;b=c,d/%2f/[x]?q=[1]&r={\"}|^`?/".replace('"', "")
            + " HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        admits(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    admits(with_fields(
        "Empty:\r\nSpaces: \t \r\nNo-Space:x\r\nTab: a\tb \r\nObs: \u{fc}\r\n!#$%&'*+-.^_`|~09: x\r\n",
    ));
    admits(with_fields(&format!(
        "Long: {}\u{fc}\t.\r\n",
        "x".repeat(3000)
    )));
    admits(with_fields(
        "Connection: keep-alive, x-mine\r\nUpgrade: websocket\r\n",
    ));
    admits(with_fields("Expect: 100-Continue\r\n"));
}

/// RFC 9112 §3: three words, one space between, CRLF behind.
#[test]
fn request_lines_have_one_form() {
    for line in [
        "GET  / HTTP/1.1\r\n",
        "GET /  HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        " GET / HTTP/1.1\r\n",
        "GET\t/ HTTP/1.1\r\n",
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\r\n",
        "GET /\rx HTTP/1.1\r\n",
        "GET / http/1.1\r\n",
        "GET / HTTP/1.1x\r\n",
        "GET / HTTP/11\r\n",
        "GET / HTTP/1.10\r\n",
        "GET\r\n",
        "G(T / HTTP/1.1\r\n",
        "/ HTTP/1.1\r\n",
        "\0GET / HTTP/1.1\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        assert!(
            matches!(refusal(format!("{line}Host: a\r\n\r\n")), BadRequest(_)),
            "{line:?}"
        );
    }
}

#[test]
fn versions_other_than_1_1_and_1_0_are_told_so() {
    for line in [
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/3.0",
        "GET /",
        "PRI * HTTP/2.0",
    ] {
        assert_eq!(
            refusal(format!("{line}\r\nHost: a\r\n\r\n")),
            Fault::VersionNotSupported,
            "{line}"
        );
    }
}

#[test]
fn methods_are_known_by_their_exact_name() {
    for (method, fault) in [
        ("TRACE", MethodNotAllowed),
        ("CONNECT", MethodNotAllowed),
        ("get", MethodUnknown),
        ("GETT", MethodUnknown),
        ("PROPFIND", MethodUnknown),
    ] {
        assert_eq!(
            refusal(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")),
            fault,
            "{method}"
        );
    }
    assert_eq!(
        refusal("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        MethodNotAllowed
    );
}

/// RFC 9112 §3.2: a path, an absolute form, or `*` for OPTIONS.
#[test]
fn targets_have_one_form() {
    for target in [
        "p",
        "*",
        "a.example:80",
        "?q",
        "\\",
        "/a\\b",
        "/#f",
        "/?q#f",
        "/\u{fc}",
        "/?\u{fc}",
        "/\u{7f}",
        "/a\"",
        "/<>",
        "/a|b",
        "/{x}",
        "/^",
        "/`",
        "/?\"",
        "/?<",
        "ftp://a.example/",
        "http:/a.example/",
        "http:///",
        "http://u@a.example/",
        "http://a.example:/",
        "http://a.example:0/",
        "://a.example/",
        "http://a.example#f",
        "/\0",
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert!(matches!(refusal(head), BadRequest(_)), "{target:?}");
    }
}

/// RFC 9112 §3.2.2: the absolute form and Host name the same place.
#[test]
fn an_absolute_form_agrees_with_host() {
    for (target, host) in [
        ("http://a.example/", "a.example"),
        ("http://a.example", "A.EXAMPLE"),
        ("HTTP://a.example?q", "a.example:80"),
        ("https://a.example:443/x", "a.example"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ] {
        admits(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    }
    for (target, host) in [
        ("http://a.example/", "b.example"),
        ("http://a.example/", "a.example:443"),
        ("https://a.example/", "a.example:80"),
        ("http://a.example:8080/", "a.example"),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(
            refusal(head),
            BadRequest("Host differs from the request target")
        );
    }
}

/// RFC 9112 §3.2: one Host, valid.
#[test]
fn host_is_one_and_valid() {
    assert_eq!(refusal("GET / HTTP/1.1\r\n\r\n"), BadRequest("no Host"));
    assert_eq!(
        refusal(with_fields("host: a.example\r\n")),
        BadRequest("more than one Host")
    );
    for host in [
        "a.example:1",
        "a.example:65535",
        "127.0.0.1:80",
        "[::1]",
        "[2001:db8::1]:443",
        "a_b.example.",
        "x",
    ] {
        admits(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    }
    for host in [
        "",
        "a.example:",
        "a.example:0",
        "a.example:65536",
        "a.example:080",
        "a.example:+80",
        "a b",
        "a,b",
        "a/b",
        "a@b",
        "a%2e",
        "::1",
        "[::1",
        "[::1]x",
        "[]",
        "[::g]",
        "[::1%25eth0]",
        "a.example:80:80",
        "\u{fc}",
        ":80",
        "http://a.example",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(refusal(head), BadRequest("malformed Host"), "{host:?}");
    }
    admits(format!(
        "GET / HTTP/1.1\r\nHost: {}\r\n\r\n",
        "a".repeat(254)
    ));
    assert_eq!(
        refusal(format!(
            "GET / HTTP/1.1\r\nHost: {}\r\n\r\n",
            "a".repeat(255)
        )),
        BadRequest("malformed Host")
    );
}

/// RFC 9112 §5: a name, a colon, a value, CRLF; no folding.
#[test]
fn field_lines_have_one_form() {
    for line in [
        "X : 1\r\n",
        " X: 1\r\n",
        "\tfolded\r\n",
        "X\r\n",
        ": 1\r\n",
        "X(: 1\r\n",
        "\u{fc}: 1\r\n",
        "X: 1\n",
        "X: 1\r\r\n",
        "X: a\rb\r\n",
        "X: a\0b\r\n",
        "X: a\u{7f}b\r\n",
        "X: a\u{1b}b\r\n",
        "\n",
        "\rX: 1\r\n",
        "X: 0123456789012345678901234567890123456789\n0123456789012345678901234567890123456789\r\n",
        "X: 0123456789012345678901234567890123456789\r0123456789012345678901234567890123456789\r\n",
        "X: 01234567890123456789012345678901234567890123456789\0\r\n",
        "X: 01234567890123456789012345678901234567890123456789\u{7f}\r\n",
    ] {
        assert!(
            matches!(refusal(with_fields(line)), BadRequest(_)),
            "{line:?}"
        );
    }
}

/// RFC 9112 §6.3, with nothing repaired.
#[test]
fn lengths_have_one_reading() {
    for lines in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length:\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Connection: content-length\r\n",
        "Connection: close, Transfer-Encoding\r\n",
        "Connection: x,\tHOST ,y\r\n",
    ] {
        assert!(
            matches!(refusal(with_fields(lines)), BadRequest(_)),
            "{lines:?}"
        );
    }
    let chunked_on_1_0 = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(
        refusal(chunked_on_1_0),
        BadRequest("Transfer-Encoding on HTTP/1.0")
    );
    assert_eq!(
        refusal("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
        BadRequest("more than one Host")
    );
}

#[test]
fn only_continue_can_be_expected() {
    assert_eq!(
        refusal(with_fields("Expect: 200-ok\r\n")),
        ExpectationFailed
    );
    assert_eq!(
        refusal(with_fields("Expect: 100-continue, x\r\n")),
        ExpectationFailed
    );
    assert_eq!(refusal(with_fields("Expect:\r\n")), ExpectationFailed);
    let twice = with_fields("Expect: 100-continue\r\nExpect: 100-continue\r\n");
    assert_eq!(refusal(twice), BadRequest("more than one Expect"));
}

/// RFC 9112 §2.2: one empty line before a request, not two.
#[test]
fn one_empty_line_is_forgiven() {
    let request = with_fields("");
    let outcome = outcome(format!("\r\n{request}\r\n{request}").as_bytes());
    assert_eq!(outcome.fault, None);
    assert_eq!(
        outcome
            .messages
            .iter()
            .map(|message| &message.bytes)
            .collect::<Vec<_>>(),
        [request.as_bytes(); 2]
    );
    for before in ["\r\n\r\n", "\n", "\r", "\r\n\r", "\r\n\n", " \r\n"] {
        assert!(
            matches!(refusal(format!("{before}{request}")), BadRequest(_)),
            "{before:?}"
        );
    }
}

#[test]
fn a_target_has_a_bound() {
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(len - 1));
    admits(target(8192));
    assert_eq!(refusal(target(8193)), TargetTooLong);
    assert_eq!(refusal(target(20_000)), TargetTooLong);
    assert_eq!(
        refusal(format!("GET /{}", "x".repeat(20_000))),
        TargetTooLong
    );
    assert_eq!(
        refusal(format!("GET /{}\n", "\\".repeat(20_000))),
        TargetTooLong
    );
}

#[test]
fn a_head_has_a_bound() {
    let around = with_fields("X: \r\n").len();
    let head = |len: usize| with_fields(&format!("X: {}\r\n", "x".repeat(len - around)));
    assert_eq!(head(16_384).len(), 16_384);
    admits(head(16_384));
    assert_eq!(refusal(head(16_385)), HeadTooLarge);
    assert_eq!(
        refusal(with_fields(&format!("X: {}\0\r\n", "x".repeat(20_000)))),
        HeadTooLarge
    );
    assert_eq!(
        refusal(with_fields(&"X: x\r\n".repeat(99)).replace("X: x\r\n\r\n", &"x".repeat(20_000))),
        HeadTooLarge
    );
    // What is wrong with a line counts only if the line is within the bound.
    let bad = |len: usize| head(len + 2).replace("x\r\n\r\n", "\0\r\n");
    assert_eq!(bad(16_384).len(), 16_384);
    assert!(matches!(refusal(bad(16_384)), BadRequest(_)));
    assert_eq!(refusal(bad(16_385)), HeadTooLarge);
}

#[test]
fn a_head_has_so_many_fields() {
    admits(with_fields(&"X: x\r\n".repeat(99)));
    assert_eq!(refusal(with_fields(&"X: x\r\n".repeat(100))), HeadTooLarge);
}

/// A head that never ends is neither good nor bad: nothing of it is handed on.
#[test]
fn a_partial_head_is_held() {
    let head = with_fields("X: x\r\n");
    for len in 0..head.len() {
        assert_eq!(
            outcome(&head.as_bytes()[..len]),
            Outcome {
                messages: vec![],
                fault: None
            }
        );
    }
}
