//! Configuration: what loads, what does not, and what is said about it.

mod documents;
mod faults;
mod mutants;
mod sample;
mod secrets;

use portcullis::config::{self, Config, Faults};

/// The sample of the specification, as written there.
const SAMPLE: &str = include_str!("sample.yaml");

/// The least that loads, with `rest` after it.
fn minimal(rest: &str) -> String {
    format!(
        "listeners: [{{ address: 127.0.0.1:8080 }}]\n\
         upstreams: {{ api: {{ endpoints: [\"http://127.0.0.1:8000\"] }} }}\n\
         routes: [{{ match: {{ path_prefix: / }}, upstream: api }}]\n\
         {rest}"
    )
}

fn load(text: &str) -> Result<Config, Faults> {
    config::load_text(text, "gate.yaml", &|_| None)
}

/// The faults of a text, each as `line:column path: message`.
fn faults(text: &str) -> Vec<String> {
    match load(text) {
        Ok(_) => Vec::new(),
        Err(faults) => faults
            .faults
            .iter()
            .map(|fault| {
                let place = fault.place.expect("what was read has a place");
                format!(
                    "{}:{} {}: {}",
                    place.line, place.column, fault.path, fault.message
                )
            })
            .collect(),
    }
}

/// The sample with certificates that exist, and the folder they exist in.
fn sample_with_certificates() -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = rcgen::generate_simple_self_signed(vec!["api.example.com".to_owned()])
        .expect("a certificate");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("api.pem"), made.cert.pem()).expect("a file");
    std::fs::write(at("api.key"), made.signing_key.serialize_pem()).expect("a file");
    let text = SAMPLE.replace("config/tls/", &format!("{}/", folder.path().display()));
    (text, folder)
}
