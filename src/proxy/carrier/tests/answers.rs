//! What endpoints say, and what of it is believed: each rule from both sides.

use http::Method;

use super::script::Act;
use super::*;

/// An answer that is good, and the connection after it too.
async fn check_good(raw: impl AsRef<[u8]>, body: impl AsRef<[u8]>) {
    let raw = raw.as_ref();
    let text = String::from_utf8_lossy(raw);
    let outcome = answer(raw)
        .await
        .unwrap_or_else(|fault| panic!("{text}: {fault}"));
    assert_eq!(outcome.fault, None, "{text}");
    assert_eq!(outcome.body, body.as_ref(), "{text}");
    assert!(outcome.is_reusable, "{text}");
}

/// An answer whose head is refused.
async fn check_invalid(raw: impl AsRef<[u8]>) {
    let raw = raw.as_ref();
    let text = String::from_utf8_lossy(raw);
    match answer(raw).await {
        Err(Fault::Invalid(_)) => {}
        other => panic!("{text}: {other:?}"),
    }
}

/// An answer whose body is refused after `body` of it.
async fn check_invalid_body(raw: impl AsRef<[u8]>, body: &str) {
    let raw = raw.as_ref();
    let text = String::from_utf8_lossy(raw);
    let outcome = answer(raw)
        .await
        .unwrap_or_else(|fault| panic!("{text}: {fault}"));
    assert!(
        matches!(outcome.fault, Some(Fault::Invalid(_))),
        "{text}: {outcome:?}"
    );
    assert_eq!(outcome.body, body.as_bytes(), "{text}");
    assert!(!outcome.is_reusable, "{text}");
}

#[tokio::test]
async fn a_body_ends_where_its_length_or_its_last_chunk_says() {
    for (raw, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nCONTENT-LENGTH:5\r\n\r\nhello", "hello"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: \t 0005 \t\r\n\r\nhello",
            "hello",
        ),
        ("HTTP/1.1 404 \r\ncontent-length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello", "hello"),
        (
            "HTTP/1.1 200 \u{fc}\r\ncontent-length: 5\r\n\r\nhello",
            "hello",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "hello",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n000\r\n\r\n",
            "hello",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nA;x\r\n0123456789\r\na ;y=\"1;2\"\r\n0123456789\r\n0;z\r\n\r\n",
            "01234567890123456789",
        ),
        ("HTTP/1.1 299 Odd\r\nx:\r\ncontent-length: 1\r\n\r\n!", "!"),
        (
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\n!",
            "!",
        ),
    ] {
        check_good(raw, body).await;
    }
}

#[tokio::test]
async fn a_head_that_could_be_read_in_two_ways_is_refused() {
    for raw in [
        // The length, twice or beside chunks.
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello",
        // The length, not a number.
        "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5.0\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775808\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551621\r\n\r\nhello",
        // Codings other than chunked.
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding:\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        // Lines.
        "HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\n",
        "HTTP/1.1 200 OK\r\nx: 1\r content-length: 7\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: 1\r\n folded\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: 1\r\n\tfolded: 1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n x: 1\r\ncontent-length: 0\r\n\r\n",
        // Fields.
        "HTTP/1.1 200 OK\r\nx\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: 1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx y: 1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx\u{fc}: 1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: \0\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\u{1}b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\u{7f}b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: \u{c}a\r\ncontent-length: 0\r\n\r\n",
        // The status line.
        "HTTP/2 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.10 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n",
        "http/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "ICY 200 OK\r\ncontent-length: 0\r\n\r\n",
        " HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1  200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1\t200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n",
        // Bodies where none may be, protocols nobody asked for.
        "HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        // Something else altogether, which never sends an empty line.
        "SSH-2.0-OpenSSH_9.7\r\n",
        "\u{16}\u{3}\u{1}",
        "220 mail.test ESMTP\r\n",
    ] {
        check_invalid(raw).await;
    }
}

#[tokio::test]
async fn a_value_may_have_what_the_rfc_lets_it_have() {
    let raw = b"HTTP/1.1 200 OK\r\nx: \t a\tb \xfc~\"  \r\nX-TWO: 1\r\nx-two:2\r\n!#$%&'*+-.^_`|~09az: v\r\ncontent-length: 0\r\n\r\n";
    let outcome = answer(raw).await.unwrap();
    assert_eq!(outcome.headers["x"].as_bytes(), b"a\tb \xfc~\"");
    let two = outcome.headers.get_all("x-two").iter().collect::<Vec<_>>();
    assert_eq!(two, ["1", "2"]);
    assert_eq!(outcome.headers["!#$%&'*+-.^_`|~09az"], "v");
}

/// RFC 9110 §5.6.2: exactly these bytes make a name.
#[tokio::test]
async fn a_name_is_a_token() {
    for byte in 0..=255_u8 {
        let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let mut raw = b"HTTP/1.1 200 OK\r\nx".to_vec();
        raw.push(byte);
        raw.extend_from_slice(b"y: 1\r\ncontent-length: 0\r\n\r\n");
        // A colon ends the name before: what follows is its value.
        assert_eq!(
            answer(raw).await.is_ok(),
            is_token || byte == b':',
            "{byte:#x}"
        );
    }
}

#[tokio::test]
async fn chunks_are_exact() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (chunks, body) in [
        ("\r\nhello\r\n0\r\n\r\n", ""),
        ("x\r\nhello\r\n0\r\n\r\n", ""),
        ("5 \r\nhello\r\n0\r\n\r\n", ""),
        (" 5\r\nhello\r\n0\r\n\r\n", ""),
        ("+5\r\nhello\r\n0\r\n\r\n", ""),
        ("0x5\r\nhello\r\n0\r\n\r\n", ""),
        ("5,\r\nhello\r\n0\r\n\r\n", ""),
        ("5\nhello\r\n0\r\n\r\n", ""),
        ("5\r\r\nhello\r\n0\r\n\r\n", ""),
        ("5;a\rb\r\nhello\r\n0\r\n\r\n", ""),
        ("5;a\0\r\nhello\r\n0\r\n\r\n", ""),
        ("8000000000000000\r\nhello", ""),
        ("10000000000000005\r\nhello\r\n0\r\n\r\n", ""),
        ("5\r\nhello0\r\n\r\n", "hello"),
        ("5\r\nhello\n0\r\n\r\n", "hello"),
        ("5\r\nhello\rx0\r\n\r\n", "hello"),
        ("5\r\nhello!\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n0\r\n\n", "hello"),
        ("5\r\nhello\r\n0\r\nx\r\n\r\n", "hello"),
        ("5\r\nhello\r\n0\r\nx: 1\r\n y\r\n\r\n", "hello"),
        ("5\r\nhello\r\n0\r\nx: \0\r\n\r\n", "hello"),
    ] {
        check_invalid_body(format!("{HEAD}{chunks}"), body).await;
    }
    let most = "x".repeat(1022);
    check_good(format!("{HEAD}1;{most}\r\n!\r\n0\r\n\r\n"), "!").await;
    check_invalid_body(format!("{HEAD}1;{most}x\r\n!\r\n0\r\n\r\n"), "").await;
    check_invalid_body(format!("{HEAD}1;{most}xxx"), "").await;
}

#[tokio::test]
async fn chunk_extensions_have_a_bound_over_the_whole_answer() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("1;{}\r\n!\r\n", "x".repeat(1023 - 512));
    let good = format!("{head}{}0\r\n\r\n", chunk.repeat(32));
    check_good(good, "!".repeat(32)).await;
    let bad = format!("{head}{}0\r\n\r\n", chunk.repeat(33));
    check_invalid_body(bad, &"!".repeat(32)).await;
}

#[tokio::test]
async fn trailers_come_after_the_body_without_what_may_not_be_there() {
    let raw = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n1\r\n!\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\nset-cookie: a\r\n\r\n";
    for outcome in [
        answer(raw).await.unwrap(),
        answer_and_close(raw).await.unwrap(),
    ] {
        assert_eq!(outcome.body, b"!");
        let trailers = outcome.trailers.unwrap();
        assert_eq!(
            (trailers.len(), &trailers["x-sum"]),
            (1, &HeaderValue::from_static("7"))
        );
        assert!(outcome.is_reusable);
    }
    let big = |size| {
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx:{}\r\n\r\n",
            "y".repeat(size)
        )
    };
    check_good(big(16 * 1024 - 6), "").await;
    check_invalid_body(big(16 * 1024 - 5), "").await;
}

#[tokio::test]
async fn a_head_is_bounded() {
    let sized = |size: usize| {
        let frame = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx:\r\n\r\n";
        let pad = "y".repeat(size - frame.len());
        frame.replace("x:", &format!("x:{pad}"))
    };
    check_good(sized(64 * 1024), "").await;
    check_invalid(sized(64 * 1024 + 1)).await;
    // Without end, it is not read on forever.
    check_invalid("HTTP/1.1 200 OK\r\nx: ".to_owned() + &"y".repeat(64 * 1024)).await;
    let many = |count: usize| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{}\r\n",
            "x: y\r\n".repeat(count - 1)
        )
    };
    check_good(many(256), "").await;
    check_invalid(many(257)).await;
}

#[tokio::test]
async fn interim_answers_are_passed_over_up_to_eight() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    check_good(interim.repeat(4) + last, "ok").await;
    check_invalid(interim.repeat(4) + "HTTP/1.1 102 Processing\r\n\r\n" + last).await;
    // The fields of an interim answer are not the answer's.
    assert!(
        !answer(interim.to_owned() + last)
            .await
            .unwrap()
            .headers
            .contains_key("link")
    );
}

#[tokio::test]
async fn some_answers_have_no_body_whatever_they_say() {
    for raw in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        check_good(raw, "").await;
        let outcome = answer(raw.to_owned() + "more").await.unwrap();
        assert!(outcome.body.is_empty() && !outcome.is_reusable, "{raw}");
    }
    for fields in [
        "content-length: 5\r\n",
        "transfer-encoding: chunked\r\n",
        "",
    ] {
        let raw = format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes();
        let outcome = ask(Method::HEAD, vec![Act::Give(raw)]).await.unwrap();
        assert!(outcome.body.is_empty() && outcome.is_reusable, "{fields}");
    }
    let both =
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    assert!(ask(Method::HEAD, vec![Act::Give(both)]).await.is_err());
}

#[tokio::test]
async fn a_connection_is_used_again_only_if_the_endpoint_means_to() {
    for (head, is_reusable) in [
        ("HTTP/1.1 200 OK\r\n", true),
        ("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n", true),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n", false),
        (
            "HTTP/1.1 200 OK\r\nConnection: Keep-Alive,\t CLOSE\r\n",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nconnection: x\r\nconnection: close\r\n",
            false,
        ),
        ("HTTP/1.0 200 OK\r\n", false),
        ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n", true),
        (
            "HTTP/1.0 200 OK\r\nconnection: keep-alive, close\r\n",
            false,
        ),
    ] {
        let outcome = answer(format!("{head}content-length: 1\r\n\r\n!"))
            .await
            .unwrap();
        assert_eq!(
            (outcome.body.as_slice(), outcome.is_reusable),
            (b"!".as_slice(), is_reusable),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_body_without_end_ends_with_the_connection() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n",
    ] {
        let outcome = answer_and_close(format!("{head}all of it")).await.unwrap();
        assert_eq!(
            (outcome.body.as_slice(), outcome.fault),
            (b"all of it".as_slice(), None)
        );
        assert!(!outcome.is_reusable);
        let broken = vec![
            Act::Give(format!("{head}all").into_bytes()),
            Act::Break(std::io::ErrorKind::ConnectionReset),
        ];
        let outcome = ask(Method::GET, broken).await.unwrap();
        assert_eq!(
            (outcome.body.as_slice(), outcome.fault),
            (b"all".as_slice(), Some(Fault::Cut))
        );
    }
}

#[tokio::test]
async fn bytes_after_an_answer_do_not_spoil_it_but_the_connection() {
    for raw in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        for more in ["!", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"] {
            let outcome = answer(format!("{raw}{more}")).await.unwrap();
            assert_eq!(
                (outcome.body.as_slice(), outcome.fault),
                (b"ok".as_slice(), None)
            );
            assert!(!outcome.is_reusable);
        }
    }
}

/// Cut anywhere, an answer is never taken for a whole one.
#[tokio::test]
async fn an_answer_that_is_cut_is_cut() {
    for raw in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n!",
    ] {
        for at in 0..raw.len() {
            let (now, _) = raw.split_at(at);
            let expected = if at == 0 { Fault::Closed } else { Fault::Cut };
            match answer_and_close(now).await {
                Err(fault) => assert_eq!(fault, expected, "{now}"),
                Ok(outcome) => {
                    assert_eq!(outcome.fault, Some(Fault::Cut), "{now}");
                    assert!(!outcome.is_reusable && outcome.trailers.is_none());
                }
            }
        }
    }
}

/// How an answer is cut into packets makes no difference.
#[tokio::test]
async fn an_answer_is_the_same_in_any_pieces() {
    for raw in [
        "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello and more",
        "HTTP/1.1 103 Early\r\nx: y\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\nz: w\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx y\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello!\r\n",
        "HTTP/1.1 200 OK\r\nx: y\nz: w\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 204 No\r\n\r\n",
    ] {
        let whole = answer_and_close(raw).await;
        let same = |outcome: &Result<Outcome, Fault>, how: &str| match (outcome, &whole) {
            // Bytes that come later are found before the next exchange: see `is_quiet`.
            (Ok(outcome), Ok(whole)) => assert_eq!(
                Outcome {
                    is_reusable: false,
                    ..outcome.clone()
                },
                Outcome {
                    is_reusable: false,
                    ..whole.clone()
                },
                "{how} {raw}"
            ),
            _ => assert_eq!(outcome, &whole, "{how} {raw}"),
        };
        let give = |bytes: &[u8]| Act::Give(bytes.to_vec());
        for at in 1..raw.len() {
            let (a, b) = raw.as_bytes().split_at(at);
            same(
                &ask(Method::GET, vec![give(a), Act::Pause, give(b), Act::Close]).await,
                "halves",
            );
        }
        for size in [1, 2, 3, 7] {
            let mut acts = Vec::new();
            for piece in raw.as_bytes().chunks(size) {
                acts.extend([give(piece), Act::Pause]);
            }
            acts.push(Act::Close);
            same(&ask(Method::GET, acts).await, "pieces");
        }
    }
}

#[tokio::test]
async fn what_is_for_this_connection_alone_is_not_delivered() {
    let raw = "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nconnection: x-hop\r\ntransfer-encoding: chunked\r\nx-hop: 1\r\n\r\n0\r\n\r\n";
    let headers = answer(raw).await.unwrap().headers;
    let names = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    assert_eq!(
        names.collect::<Vec<_>>(),
        [("connection", "x-hop"), ("x-hop", "1")]
    );
}
