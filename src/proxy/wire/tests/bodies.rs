//! Bodies, and what comes behind them.

use super::*;

fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n{body}")
}

/// The fault of a chunked body of which hyper sees `seen` and then an early end.
fn breaks(body: &str, seen: &str) -> Fault {
    let outcome = outcome(chunked(body).as_bytes());
    assert_eq!(outcome.messages.len(), 1);
    let message = &outcome.messages[0];
    assert_eq!(
        message.bytes.escape_ascii().to_string(),
        chunked(seen).as_bytes().escape_ascii().to_string()
    );
    assert!(!message.whole, "{body:?}");
    outcome.fault.unwrap()
}

#[test]
fn a_length_is_counted_down() {
    admits_with(
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        5,
    );
    admits_with(
        format!(
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0040000\r\n\r\n{}",
            "x".repeat(40_000)
        ),
        40_000,
    );
    let short =
        outcome(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\nhello");
    assert_eq!(
        (
            short.messages[0].whole,
            short.messages[0].content,
            short.fault
        ),
        (false, 5, None)
    );
}

#[test]
fn chunks_pass_unchanged() {
    admits_with(chunked("0\r\n\r\n"), 0);
    admits_with(chunked("5\r\nhello\r\n0\r\n\r\n"), 5);
    admits_with(
        chunked("5;a=b;c=\"d e\"\r\nhello\r\n00A\r\n0123456789\r\n000;x\r\nX: 1\r\nY:\r\n\r\n"),
        15,
    );
    admits_with(
        chunked(&format!("9c40\r\n{}\r\n0\r\n\r\n", "x".repeat(40_000))),
        40_000,
    );
    admits_with(chunked("0000000000000001\r\nx\r\n0\r\n\r\n"), 1);
    admits_with(
        chunked(&format!("1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(1023))),
        1,
    );
}

/// RFC 9112 §7.1, and nothing of a bad line reaches hyper.
#[test]
fn chunk_lines_have_one_form() {
    for line in [
        "\r\n",
        "x\r\n",
        " 5\r\n",
        "5 \r\n",
        "5 ;a\r\n",
        "5\n",
        "5\rx",
        "0x5\r\n",
        "+5\r\n",
        "-5\r\n",
        "5;a\n",
        "5;a\0\r\n",
        "5;a\rb\r\n",
        "5;\u{7f}\r\n",
        "g\r\n",
        "00000000000000005\r\n",
        "10000000000000000\r\n",
        "5,\r\n",
    ] {
        assert!(
            matches!(
                breaks(&format!("{line}hello\r\n0\r\n\r\n"), ""),
                Fault::BadRequest(_)
            ),
            "{line:?}"
        );
    }
    let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(1024));
    assert_eq!(
        breaks(&long, ""),
        Fault::BadRequest("chunk extensions beyond their bound")
    );
}

#[test]
fn chunk_data_ends_with_crlf() {
    for (body, seen) in [
        ("5\r\nhellox\r\n0\r\n\r\n", "5\r\nhello"),
        ("5\r\nhello\n0\r\n\r\n", "5\r\nhello"),
        ("5\r\nhello\rx", "5\r\nhello"),
        ("5\r\nhello\r\n\r\n", "5\r\nhello\r\n"),
        ("1\r\nx\r\n1\r\nyz\r\n0\r\n\r\n", "1\r\nx\r\n1\r\ny"),
    ] {
        assert!(
            matches!(breaks(body, seen), Fault::BadRequest(_)),
            "{body:?}"
        );
    }
}

/// hyper gives up at 16 KiB of extensions in one body; the gate must be first.
#[test]
fn extensions_have_a_bound_over_the_body() {
    let chunk = format!("1;{}\r\nx\r\n", "x".repeat(1023));
    admits_with(chunked(&format!("{}0\r\n\r\n", chunk.repeat(8))), 8);
    let body = format!("{}0\r\n\r\n", chunk.repeat(9));
    assert!(matches!(
        breaks(&body, &chunk.repeat(8)),
        Fault::BadRequest(_)
    ));
}

#[test]
fn trailers_are_as_strict_as_fields() {
    for line in [
        "X : 1\r\n",
        " X: 1\r\n",
        "X\r\n",
        "X: 1\n",
        "X: \0\r\n",
        "Content-Length: 1\r\n",
        "transfer-encoding: chunked\r\n",
        "Host: a\r\n",
        "\n",
        "\r\r\n",
    ] {
        assert!(
            matches!(
                breaks(&format!("0\r\nGood: 1\r\n{line}\r\n"), "0\r\n"),
                Fault::BadRequest(_)
            ),
            "{line:?}"
        );
    }
}

#[test]
fn trailers_have_a_bound() {
    let trailers =
        |len: usize| format!("0\r\nX: {}\r\n\r\n", "x".repeat(len - "X: \r\n\r\n".len()));
    admits(chunked(&trailers(8192)));
    assert_eq!(breaks(&trailers(8193), "0\r\n"), Fault::HeadTooLarge);
    assert_eq!(
        breaks(&format!("0\r\nX: {}", "x".repeat(9000)), "0\r\n"),
        Fault::HeadTooLarge
    );
    admits(chunked(&format!("0\r\n{}\r\n", "X: x\r\n".repeat(100))));
    assert_eq!(
        breaks(&format!("0\r\n{}\r\n", "X: x\r\n".repeat(101)), "0\r\n"),
        Fault::HeadTooLarge
    );
}

/// The next head begins where the body ends, and not an octet elsewhere.
#[test]
fn requests_follow_one_another() {
    let messages = [
        with_fields(""),
        format!(
            "PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\n{}",
            "GET /smuggled HTTP/1.1\r\n\r\nx"
        ),
        chunked("3\r\nGET\r\n0\r\nX: 1\r\n\r\n"),
        with_fields("X: 1\r\n"),
    ];
    let stream = messages.concat();
    let passed = outcome(stream.as_bytes());
    assert_eq!(passed.fault, None);
    assert_eq!(
        passed
            .messages
            .iter()
            .map(|message| &message.bytes[..])
            .collect::<Vec<_>>(),
        messages.each_ref().map(|m| m.as_bytes())
    );
    assert!(passed.messages.iter().all(|message| message.whole));

    let broken = outcome(format!("{stream}GET /\n\n").as_bytes());
    assert_eq!(broken.messages, passed.messages);
    assert_eq!(
        broken.fault,
        Some(Fault::BadRequest("request line ends with a bare LF"))
    );
}
