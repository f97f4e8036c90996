//! No secret appears in any output: canaries are put where secrets pass, and everything is searched.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use super::gate::{Gate, PATIENCE, Setup, TOKEN, Upstream};

/// S3-20: neither a secret nor a token reaches a log, the store's files, a metric, an answer or the
/// upstream; but for the one answer that shows a new secret.
#[test]
fn no_secret_appears_in_any_output() {
    let upstream = Upstream::start(1 << 20);
    let pepper = "Q0FOQVJZUEVQUEVSQ0FOQVJZUEVQUEVSQ0FOQVJZUEVQUEVS";
    let more = format!("keys: {{ pepper: {{ id: 1, key: '{pepper}' }} }}\n");
    let setup = Setup::new(upstream.address, &more);
    let gate = setup.start();
    let (key, secret) = gate.create_key("canary");
    let (_, made) = gate.admin_call("POST", "/admin/tokens", r#"{"name":"t","role":"viewer"}"#);
    let token = made["secret"].as_str().unwrap().to_owned();
    let wrong = format!("{secret}x");

    let mut answers = String::new();
    for credential in [
        format!("x-api-key: {secret}"),
        format!("x-api-key: {wrong}"),
        format!("authorization: Bearer {secret}"),
        format!("authorization: Bearer {secret}\r\nx-api-key: {secret}"),
        format!("x_api_key: {secret}"),
        format!("x-api-key: {secret}\r\nbroken line"),
        format!("x-api-key : {secret}"),
    ] {
        answers += &exchange(&gate, "/x", &credential);
        answers += &exchange(&gate, "/a/../b", &credential);
    }
    for path in [
        "/admin/keys",
        "/admin/tokens",
        "/admin/status",
        "/admin/users",
    ] {
        answers += &gate.admin_call("GET", path, "").1.to_string();
    }
    answers += &gate
        .admin_call("PATCH", &format!("/admin/keys/{key}"), r#"{"name":"n"}"#)
        .1
        .to_string();
    answers += &metrics(&gate);
    answers += &gate
        .admin_call("DELETE", &format!("/admin/keys/{key}?reason=x"), "")
        .1
        .to_string();
    answers += &exchange(&gate, "/x", &format!("x-api-key: {secret}"));
    assert!(answers.contains("key_revoked") && answers.contains("portcullis_ready"));

    let said = gate.terminate();
    let mut outputs = vec![("answers".to_owned(), answers.into_bytes())];
    outputs.push(("standard error".to_owned(), said.into_bytes()));
    outputs.push(("upstream".to_owned(), upstream.seen.lock().unwrap().clone()));
    assert!(!outputs[2].1.is_empty());
    files(setup.path(), &mut outputs);
    assert!(
        outputs
            .iter()
            .any(|(name, _)| name.ends_with("portcullis.db"))
    );
    assert!(
        outputs
            .iter()
            .any(|(name, bytes)| name.ends_with("access.log") && !bytes.is_empty())
    );
    for canary in [&secret, &token, TOKEN, "CANARYPEPPER"] {
        for (name, bytes) in &outputs {
            let found = bytes
                .windows(canary.len())
                .any(|bytes| bytes == canary.as_bytes());
            assert!(!found, "a secret is in {name}");
        }
    }
}

fn exchange(gate: &Gate, path: &str, fields: &str) -> String {
    let host = gate.address;
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\nconnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    answer
}

fn metrics(gate: &Gate) -> String {
    let mut stream = TcpStream::connect(gate.admin).unwrap();
    let host = gate.admin;
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Every file below `directory` but the configuration, with what is in it.
fn files(directory: &Path, outputs: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, outputs);
        } else if path.extension().is_none_or(|kind| kind != "yaml") {
            outputs.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}
