//! What the gate says when it cannot start: the cause, and exit code 1; and nothing is changed.

use std::net::TcpListener;

use super::gate::{Setup, Upstream};

#[test]
fn a_busy_port_is_named() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let upstream = Upstream::start(0);
    let setup = Setup::new(upstream.address, "");
    let text = std::fs::read_to_string(setup.config()).unwrap();
    let busy = text.replacen("127.0.0.1:0", &address.to_string(), 1);
    std::fs::write(setup.config(), busy).unwrap();
    let (code, said) = setup.fails_to_start();
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains(&format!("cannot listen on {address}")),
        "{said}"
    );
}

#[test]
fn a_data_directory_in_use_is_named() {
    let upstream = Upstream::start(0);
    let setup = Setup::new(upstream.address, "");
    let _first = setup.start();
    let (code, said) = setup.fails_to_start();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("data") && said.contains("in use"), "{said}");
}

#[test]
fn a_damaged_store_is_left_as_it_is() {
    let upstream = Upstream::start(0);
    let setup = Setup::new(upstream.address, "");
    setup.start().terminate();
    let file = setup.path().join("data/portcullis.db");
    let damaged = b"this is no store".repeat(512);
    std::fs::write(&file, &damaged).unwrap();
    let (code, said) = setup.fails_to_start();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("portcullis.db"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), damaged);
}

#[test]
fn a_broken_configuration_starts_nothing_and_says_everything() {
    let upstream = Upstream::start(0);
    let setup = Setup::new(upstream.address, "wokers: 2\ndrain: soon\n");
    let (code, said) = setup.fails_to_start();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("wokers") && said.contains("drain"), "{said}");
    assert!(!setup.path().join("data").exists());
}
