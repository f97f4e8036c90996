//! The rules for alerts: right, tested, and each with something to do about it.

use std::collections::BTreeSet;
use std::process::Command;

use portcullis::domain::refusal::RefusalCode;
use serde_json::Value;

use super::{asked, file, metrics, read};

fn rules() -> Vec<Value> {
    let rules: Value = serde_yaml::from_str(&read("config/observability/alerts.yml")).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

fn name(rule: &Value) -> &str {
    rule["alert"].as_str().unwrap()
}

#[test]
fn prometheus_takes_the_rules_and_they_do_what_their_tests_say() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["alerts.yml", "alerts.test.yml", "prometheus.yml"] {
        std::fs::copy(file(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("portcullis-token"), "token").unwrap();
    for line in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
        ["check", "config", "prometheus.yml"],
    ] {
        let output = Command::new("promtool")
            .args(line)
            .current_dir(folder.path())
            .output()
            .expect("promtool is there: apt-get install prometheus");
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line:?}: {said}{complained}");
    }
}

#[test]
fn every_rule_is_shown_to_fire_and_to_be_silent() {
    let tests: Value = serde_yaml::from_str(&read("config/observability/alerts.test.yml")).unwrap();
    let cases = tests["tests"].as_array().unwrap();
    let expecting = |fires: bool| -> BTreeSet<&str> {
        let cases = cases
            .iter()
            .flat_map(|case| case["alert_rule_test"].as_array().unwrap());
        let cases = cases.filter(|case| case["exp_alerts"].is_array() == fires);
        cases
            .map(|case| case["alertname"].as_str().unwrap())
            .collect()
    };
    let rules = rules();
    let names: BTreeSet<&str> = rules.iter().map(name).collect();
    assert!(names.len() > 30, "{names:?}");
    assert_eq!(expecting(true), names);
    assert_eq!(expecting(false), names);
}

#[test]
fn every_rule_asks_for_what_there_is_and_says_what_to_do() {
    let metrics = metrics();
    let operations = read("docs/operations.md");
    let alarms: String = [
        "src/app/gate.rs",
        "src/store/redis/follow.rs",
        "src/store/redis/repair.rs",
        "src/store/redis/tell.rs",
    ]
    .map(read)
    .concat();
    for rule in rules() {
        let name = name(&rule);
        let expression = rule["expr"].as_str().unwrap();
        let asked = asked(expression);
        assert!(asked.is_subset(&metrics), "{name}: {asked:?}");
        assert!(!asked.is_empty() || expression.starts_with("up{"), "{name}");
        for code in values(expression, "code") {
            assert!(
                RefusalCode::ALL.iter().any(|it| it.as_str() == code),
                "{name}: {code}"
            );
        }
        for alarm in values(expression, "alarm") {
            assert!(alarms.contains(&format!("\"{alarm}\"")), "{name}: {alarm}");
        }
        for annotation in ["summary", "description"] {
            assert!(
                rule["annotations"][annotation]
                    .as_str()
                    .is_some_and(|it| it.len() > 20),
                "{name}"
            );
        }
        assert!(
            matches!(rule["labels"]["severity"].as_str(), Some("page" | "ticket")),
            "{name}"
        );
        let runbook = rule["annotations"]["runbook"].as_str().unwrap();
        assert_eq!(
            runbook,
            format!("docs/operations.md#{}", name.to_lowercase())
        );
        assert!(
            operations.contains(&format!("\n### {name}\n")),
            "{name}: no section in operations.md"
        );
    }
}

/// The values that a query compares a label with.
fn values(expression: &str, label: &str) -> Vec<String> {
    let mut found = Vec::new();
    for operator in ["=\"", "=~\""] {
        for rest in expression.split(&format!("{label}{operator}")).skip(1) {
            let text = rest.split('"').next().unwrap();
            found.extend(text.split('|').map(str::to_owned));
        }
    }
    found
}
