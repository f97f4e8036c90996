//! The dashboard for Grafana: each of its queries, at a Prometheus that scrapes two gates over one Redis.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::prometheus::Prometheus;
use super::{asked, metrics, read};
use crate::process::gate::{Client, Gate, Setup, TOKEN, Upstream, metrics as exposed};
use crate::support::patience::until;
use crate::support::redis::RedisServer;

/// What shows nothing while nothing is wrong, or where something is not configured.
const EMPTY: &[&str] = &["Alarms raised", "Certificates end in"];

/// The title and the queries of each panel, with what Grafana fills in filled in.
fn panels() -> Vec<(String, Vec<String>)> {
    let dashboard: Value =
        serde_json::from_str(&read("config/observability/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let panels = panels.filter(|panel| panel["type"] != "row");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let filled = |query: String| {
        query
            .replace("$job", "portcullis")
            .replace("$gate", ".*")
            .replace("$__rate_interval", "5s")
    };
    panels
        .map(|panel| {
            let queries = panel["targets"].as_array().unwrap().iter();
            let queries = queries.map(|target| filled(text(&target["expr"])));
            (text(&panel["title"]), queries.collect())
        })
        .collect()
}

#[test]
fn every_panel_asks_for_what_there_is_and_every_metric_is_shown() {
    let metrics = metrics();
    let mut shown = BTreeSet::new();
    for (title, queries) in panels() {
        assert!(!queries.is_empty(), "{title}");
        for query in queries {
            assert!(!query.contains('$'), "{title}: {query}");
            let asked = asked(&query);
            assert!(asked.is_subset(&metrics), "{title}: {asked:?}");
            shown.extend(asked);
        }
    }
    assert_eq!(shown, metrics);
}

#[test]
fn every_panel_shows_something_of_gates_that_serve() {
    let (upstream, redis) = (Upstream::start(0), RedisServer::start());
    let folder = tempfile::tempdir().unwrap();
    let sink = format!(
        "bounds: {{ failures_per_minute: 100000 }}\n\
         sinks: {{ files: {{ kind: file, path: '{}/{{id}}.json' }} }}",
        folder.path().display()
    );
    let setups = ["gate-1", "gate-2"]
        .map(|node| Setup::over_redis(upstream.address, &redis.url(), node, &sink));
    let gates: Vec<Gate> = setups.iter().map(Setup::start).collect();
    let (_, secret) = gates[0].create_key("watched");
    let admins: Vec<_> = gates.iter().map(|gate| gate.admin).collect();
    let prometheus = Prometheus::scraping(&admins, TOKEN);

    // The metrics themselves are as Prometheus would have them.
    let text = exposed(gates[0].admin);
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let checked = check.wait_with_output().unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );

    until("the second gate has the key", || {
        gates[1].status(&secret) == 200
    });
    for (title, queries) in panels() {
        let queries: Vec<String> = match EMPTY.contains(&&*title) {
            true => {
                queries
                    .iter()
                    .for_each(|query| drop(prometheus.query(query)));
                continue;
            }
            false => queries,
        };
        for query in queries {
            until(&format!("{title}: {query}"), || {
                for gate in &gates {
                    Client::new(gate.address, &secret).unwrap().send(5).unwrap();
                    assert_eq!(gate.status("pk_live_unknown"), 401);
                }
                !prometheus.query(&query).is_empty()
            });
        }
    }
}
