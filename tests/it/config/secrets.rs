//! No secret of a configuration stands in what is said about it.

use portcullis::config;

use super::{load, minimal};

const CANARY: &str = "c4n4ry";

fn said(text: &str) -> String {
    let env = |name: &str| (name == "CANARY").then(|| CANARY.to_owned());
    match config::load_text(text, "gate.yaml", &env) {
        Err(faults) => faults.to_string(),
        Ok(config) => format!("{:?}", config.warnings),
    }
}

#[test]
fn no_value_from_the_environment_is_shown() {
    for rest in [
        "drain: ${CANARY}",
        "drain: 1${CANARY}",
        "admin: { open_metrics: \"${CANARY}\" }",
        "admin: { address: \"${CANARY}\" }",
        "keys: { pepper: { id: 1, key: \"${CANARY}\" } }",
        "seal: { key: \"${CANARY}\" }",
        "store: { redis: { urls: [\"${CANARY}\"] } }",
        "products: { p: { rate_limits: [{ rate: \"1/${CANARY}\" }] } }",
        "trusted_proxies: [\"${CANARY}\"]",
        "access_log: { to: \"/nowhere/${CANARY}\" }",
        "keys: { envs: [\"${CANARY}!\"] }",
        "traces: { endpoint: \"ftp://${CANARY}\" }",
        "traces: { endpoint: \"http://${CANARY}@collector/v1/traces\" }",
        "traces: { endpoint: \"http://a\", authorization: \"${CANARY}ü\" }",
    ] {
        let said = said(&minimal(rest));
        assert!(said.contains("gate.yaml:4:"), "{rest}: {said}");
        assert!(!said.contains(CANARY), "{said}");
    }
    let named = minimal("").replace("upstream: api }", "upstream: \"${CANARY}\" }");
    assert!(!said(&named).contains(CANARY), "{}", said(&named));
}

#[test]
fn no_secret_of_the_file_is_shown_beside_a_fault_in_its_line() {
    for rest in [
        "admin: { token: c4n4ry, x: 1 }",
        "admin: { tokne: c4n4ry }",
        "admin: { token: \"c4n4ry ü\" }",
        "admin: c4n4ry",
        "keys: { pepper: { id: 0, key: c4n4ry } }",
        "keys: { pepper: c4n4ry }",
        "seal: c4n4ry",
        "seal: { key: c4n4ry, previous: [c4n4ry] }",
        "store: { redis: { urls: [\"redis://:c4n4ry@host/x\"] } }",
        "store: { redis: { urls: \"redis://:c4n4ry@host\" } }",
        "store: { redis: { password: c4n4ry, urls: [\"redis://a\"], z: 1 } }",
        "stroe: { redis: { password: c4n4ry } }",
        "traces: { endpoint: \"http://me:c4n4ry@collector/v1/traces\" }",
        "traces: { endpoint: \"http://c4n4ry@collector/v1/traces\" }",
        "traces: { endpoint: \"http://collector/v1/traces?token=c4n4ry\" }",
        "traces: { endpoint: \"http://a\", authorization: \"Bearer c4n4ry ü\" }",
        "traces: { endpoint: \"http://a\", authorization: \"Bearer c4n4ry\", x: 1 }",
        "traces: { endpoint: \"http://a\", authorisation: \"Bearer c4n4ry\" }",
        "admin: { token: c4n4ry",
        "seal: { key: c4n4ry }}",
    ] {
        let said = said(&minimal(rest));
        assert!(said.contains("gate.yaml:"), "{rest}: {said}");
        assert!(!said.contains(CANARY), "{said}");
    }
    let user = minimal("").replace("http://127", "http://me:c4n4ry@127");
    assert!(!said(&user).contains(CANARY), "{}", said(&user));
}

#[test]
fn debug_of_a_configuration_shows_no_key() {
    let key = "Y2Fu".repeat(10) + "Y2E=";
    let text = minimal(&format!(
        "keys: {{ pepper: {{ id: 1, key: {key} }} }}\nseal: {{ key: {key} }}\n\
         traces: {{ endpoint: \"http://collector/v1/traces\", authorization: \"Bearer {key}\" }}\n"
    ));
    let config = load(&text).unwrap_or_else(|faults| panic!("{faults}"));
    let shown = format!("{:?} {:?} {:?}", config.keys, config.seal, config.traces);
    assert!(shown.contains("http://collector/v1/traces"), "{shown}");
    assert!(
        !shown.contains(&key) && !shown.contains("99, 97, 110"),
        "{shown}"
    );
}

#[test]
fn a_pepper_replaces_plain_hashes_step_by_step() {
    let key = "Y2Fu".repeat(10) + "Y2E=";
    let rest = |keys: &str| minimal(&format!("keys: {{ {} }}", keys.replace('K', &key)));
    let hasher = |keys: &str| {
        load(&rest(keys))
            .unwrap_or_else(|faults| panic!("{faults}"))
            .keys
            .hasher
    };
    let both = hasher("pepper: { id: 7, key: K }, previous_pepper: none");
    assert_eq!(both.hash(b"x").pepper, 7);
    assert_eq!(both.other_hash(b"x").map(|hash| hash.pepper), Some(0));
    let rotated = hasher("pepper: { id: 8, key: K }, previous_pepper: { id: 7, key: K }");
    assert_eq!(rotated.other_hash(b"x").map(|hash| hash.pepper), Some(7));
    assert!(
        load(&rest(
            "pepper: { id: 7, key: K }, previous_pepper: { id: 7, key: K }"
        ))
        .is_err()
    );
    assert!(load(&rest("previous_pepper: none")).is_err());
    assert!(
        load(&rest("pepper: { id: 1 }")).is_err(),
        "an empty key is no pepper"
    );
}
