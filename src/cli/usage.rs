//! `usage KEY_ID`: what a key was used for, through the admin API.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use super::client::Client;
use super::command::Conversation;
use super::failure::Failure;
use super::keys::KeyArgument;
use super::output::Output;
use super::render::{Cell, Sheet, Table, bytes, to_the_second};
use super::values::When;
use crate::api::usage::{Bucket, Usage as Answered};

/// Whose usage, of when, how finely.
#[derive(Debug, Args)]
pub(crate) struct Usage {
    /// The key, by name or id
    #[arg(value_name = "NAME|ID")]
    key: KeyArgument,
    /// From when: a day, a time or how long ago (2026-01-31, 2026-01-31T12:00:00Z, 2h); default: 24 hours ago
    #[arg(long, value_name = "WHEN")]
    from: Option<When>,
    /// Until when: a day, which belongs to it, a time or how long ago; default: now
    #[arg(long, value_name = "WHEN")]
    to: Option<When>,
    /// The width of a line: 1m, 1h or 1d
    #[arg(long, value_parser = ["1m", "1h", "1d"])]
    step: Option<String>,
    /// What to tell apart; several with commas
    #[arg(long, value_delimiter = ',', value_name = "WHAT")]
    by: Vec<By>,
}

/// What counts may be told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Version,
    Status,
    Route,
}

impl Conversation for Usage {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let id = self.key.resolve(client).await?.to_string();
        let answer = client
            .get(&["admin", "keys", &id, "usage"], &self.query())
            .await?;
        if json {
            return output.json(answer.as_json());
        }
        let usage: Answered = answer.read()?;
        output.sheet(&sheet(&usage))?;
        if usage.buckets.is_empty() {
            return output.note("Nothing was counted in that time.");
        }
        output.line("")?;
        output.table(&table(&usage.buckets))
    }
}

impl Usage {
    fn query(&self) -> Vec<(&'static str, String)> {
        let by: Vec<String> = self
            .by
            .iter()
            .filter_map(By::to_possible_value)
            .map(|word| word.get_name().to_owned())
            .collect();
        [
            ("from", self.from.clone().map(When::into_text)),
            ("to", self.to.clone().map(When::into_text)),
            ("step", self.step.clone()),
            ("by", (!by.is_empty()).then(|| by.join(","))),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect()
    }
}

fn sheet(usage: &Answered) -> Sheet {
    let total = &usage.total;
    let mut sheet = Sheet::default();
    sheet.fact("key", usage.key_id.to_string());
    sheet.fact("from", to_the_second(usage.from));
    sheet.fact("to", to_the_second(usage.to));
    let last_used = usage.last_used_at.map(to_the_second);
    sheet.fact("last used", last_used.as_deref().unwrap_or("never"));
    sheet.fact("requests", total.requests.to_string());
    sheet.fact("refused", counts(&total.refused));
    sheet.fact("status", counts(&total.status));
    sheet.fact("cost", total.cost.to_string());
    sheet.fact("bytes in", bytes(total.bytes_in));
    sheet.fact("bytes out", bytes(total.bytes_out));
    sheet
}

/// A line per bucket; versions and routes only where they are told apart.
fn table(buckets: &[Bucket]) -> Table {
    let by_version = buckets.iter().any(|bucket| bucket.version.is_some());
    let by_route = buckets.iter().any(|bucket| bucket.route.is_some());
    let mut header = vec!["START"];
    header.extend(by_version.then_some("VERSION"));
    header.extend(by_route.then_some("ROUTE"));
    header.extend(["REQUESTS", "STATUS", "REFUSED", "COST", "IN", "OUT"]);
    let mut table = Table::new(&header).sparing(&["COST", "IN", "OUT"]);
    for bucket in buckets {
        let mut row = vec![Cell::time(Some(bucket.start), "-")];
        if by_version {
            row.push(
                bucket
                    .version
                    .map_or_else(|| Cell::absent("-"), |number| Cell::number(number.into())),
            );
        }
        if by_route {
            row.push(Cell::maybe(bucket.route.as_deref()));
        }
        row.extend([
            Cell::number(bucket.requests),
            Cell::text(counts(&bucket.status)),
            Cell::text(counts(&bucket.refused)),
            Cell::number(bucket.cost),
            Cell::solid(bytes(bucket.bytes_in)),
            Cell::solid(bytes(bucket.bytes_out)),
        ]);
        table.row(row);
    }
    table
}

/// `2xx 118, 4xx 2`, or a dash.
fn counts(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "-".to_owned();
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    parts.join(", ")
}
