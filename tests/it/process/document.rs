//! The admin API, called by what its document says: by Schemathesis, with data that the schemas allow and data that
//! they do not, in chains of what was made before. A fault is an answer of 5xx, one that the document does not have,
//! or data that was taken though no schema allows it.
//!
//! By hand with more of it: `PORTCULLIS_FUZZ_EXAMPLES=500 PORTCULLIS_FUZZ_SEED=3 cargo test --test it --
//! process::document --nocapture` makes more than 20,000 calls.
#![expect(clippy::disallowed_methods, reason = "more of it is the same test")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::gate::{Setup, TOKEN};
use crate::support::venv;

/// The most data that are made up for a call, besides those at the edges of each schema.
const EXAMPLES: &str = "4";
/// Where what is made up begins.
const SEED: &str = "20260131";

// S4-07
#[test]
fn whatever_is_called_by_the_document_is_answered_by_the_document() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let setup = Setup::in_memory(nowhere, PRODUCTS);
    let gate = setup.start();
    let of = |name: &str, otherwise: &str| {
        std::env::var(format!("PORTCULLIS_FUZZ_{name}")).unwrap_or(otherwise.to_owned())
    };
    let (examples, seed) = (of("EXAMPLES", EXAMPLES), of("SEED", SEED));
    println!("seed {seed}, {examples} examples a call");
    let report = setup.path().join("report.json");
    let output = Command::new(venv::python())
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_api"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env(
            "HYPOTHESIS_STORAGE_DIRECTORY",
            setup.path().join("hypothesis"),
        )
        .args([
            "-m",
            "schemathesis.cli",
            "--config-file",
            "schemathesis.toml",
            "run",
        ])
        .arg(format!("http://{}/openapi.json", gate.admin))
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--max-examples", &examples, "--seed", &seed])
        .args(["--no-shrink", "--report", "json"])
        .arg("--report-json-path")
        .arg(&report)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "seed {seed}\n{said}\n{told}");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["complete"], true, "{said}");
    assert_eq!(report["failures"], Value::Array(Vec::new()), "{said}");
    let calls = report["test_cases"]["generated"].as_u64().unwrap();
    println!("{calls} calls");
    assert!(calls >= 2_000, "only {calls} calls\n{said}");
    gate.terminate();
}

/// What keys may be given, so that there is something to name.
const PRODUCTS: &str = "products: { starter: { scopes: [orders:read] } }";
