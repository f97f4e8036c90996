//! What operators watch gates with: rules and dashboards in config/observability, against Prometheus itself.

mod dashboard;
mod prometheus;
mod rules;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of config/observability.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/observability")
        .join(name)
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The metrics that docs/metrics.md has, which are the gate's own table.
fn metrics() -> BTreeSet<String> {
    let page = read("docs/metrics.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `portcullis_"));
    let names = rows.filter_map(|row| Some(format!("portcullis_{}", row.split_once("` | ")?.0)));
    names.filter(|name| !name.contains(['{', ' '])).collect()
}

/// The metrics that a query asks for, each as it is declared.
fn asked(query: &str) -> BTreeSet<String> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let names = words.filter(|word| word.starts_with("portcullis_"));
    let declared = names.map(|name| {
        let histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix));
        histogram.unwrap_or(name).to_owned()
    });
    declared.collect()
}
