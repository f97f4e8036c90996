//! What is said, and what is left behind, when a port is taken.

use std::net::TcpListener;

use serde_json::json;

use super::canned::run;

/// The flag or the field that says where else, and no folder that a later start would find.
#[test]
fn a_gate_whose_port_is_taken_names_the_field_and_leaves_nothing_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let folder = data.to_str().unwrap();
    let free = "127.0.0.1:0";
    for (gate, admin, flag) in [
        (&*address, free, "--listen"),
        (free, &*address, "--admin-listen"),
    ] {
        let line = [
            "quickstart",
            "--data-dir",
            folder,
            "--listen",
            gate,
            "--admin-listen",
            admin,
        ];
        let said = run(&line, &[]).ends(1).stderr;
        assert!(said.contains(&format!("{flag} ADDRESS")), "{said}");
        assert!(said.contains(&address), "{said}");
        assert!(!data.exists(), "{flag}");
    }
    let config = json!({
        "listeners": [{"address": free}], "admin": {"address": address},
        "store": {"embedded": {"path": folder}},
        "upstreams": {"api": {"endpoints": ["http://127.0.0.1:1"]}},
        "routes": [{"name": "api", "match": {"path_prefix": "/"}, "upstream": "api"}],
    });
    let path = files.path().join("gate.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    let said = run(&["serve", "--config", path.to_str().unwrap()], &[])
        .ends(1)
        .stderr;
    assert!(said.contains("`admin.address`"), "{said}");
    assert!(!data.exists());
}
