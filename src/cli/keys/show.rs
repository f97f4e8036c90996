//! How keys are shown.

use super::ended::End;
use crate::api::Time;
use crate::api::keys::{Key, KeyCreated, KeyTested, Quota, RateLimit, Revoked};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::{Cell, Sheet, Table, status_tone, to_the_second, visible};
use crate::domain::lifecycle::Grace;
use crate::domain::span::Span;

/// Many keys, a line each.
pub(super) fn keys(keys: &[Key], output: &mut Output) -> Result<(), Failure> {
    if keys.is_empty() {
        return output.note("No keys.");
    }
    let mut table = Table::new(&[
        "ID",
        "NAME",
        "OWNER",
        "ENV",
        "STATUS",
        "FINGERPRINT",
        "CREATED",
        "LAST USED",
    ])
    .sparing(&["FINGERPRINT", "ENV", "CREATED", "LAST USED", "OWNER"]);
    for key in keys {
        let status = match key.badges.as_slice() {
            [] => key.status.clone(),
            badges => format!("{} ({})", key.status, badges.join(", ")),
        };
        table.row(vec![
            Cell::solid(key.id.to_string()),
            Cell::text(&key.name),
            Cell::text(&key.owner.name),
            Cell::solid(&key.env),
            Cell::toned(status, status_tone(&key.status)),
            Cell::maybe(key.fingerprint.as_deref()),
            Cell::day(key.created_at),
            Cell::time(key.last_used_at, "never"),
        ]);
    }
    output.table(&table)
}

/// One key, with all its versions; its tag, and how it ended.
pub(super) fn key(
    key: &Key,
    tag: Option<&str>,
    end: Option<&End>,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut sheet = sheet(key);
    if let Some(end) = end {
        sheet.fact("revoked", format!("{} by {}", end.at, end.by));
        sheet.maybe("because", end.reason.as_ref());
    }
    sheet.maybe("tag", tag);
    output.sheet(&sheet)?;
    let mut table = Table::new(&[
        "VERSION",
        "STATE",
        "FINGERPRINT",
        "CREATED",
        "RETIRES",
        "LAST USED",
    ])
    .sparing(&["CREATED", "LAST USED"]);
    for version in &key.versions {
        table.row(vec![
            Cell::number(version.number.into()),
            Cell::solid(&version.state),
            Cell::solid(&version.fingerprint),
            Cell::time(Some(version.created_at), "-"),
            Cell::time(version.retires_at, "-"),
            Cell::time(version.last_used_at, "never"),
        ]);
    }
    output.line("")?;
    output.table(&table)
}

/// A key that was just made, and its secret: alone on standard output, so that it can go straight into
/// a variable without touching a screen, a file or a history.
pub(super) fn created(key: &Key, secret: &str, output: &mut Output) -> Result<(), Failure> {
    output.note_sheet(&sheet(key))?;
    output.reveal("The secret", LOST, secret, key.id.to_string())?;
    if !output.is_seen() {
        return Ok(());
    }
    output.note(
        "\nKeep it in an environment variable, not in code and not in a command line:\n  \
         read -rs PORTCULLIS_API_KEY && export PORTCULLIS_API_KEY    # then paste it\n\
         or make a key straight into one:\n  \
         export PORTCULLIS_API_KEY=\"$(portcullis keys create …)\"",
    )
}

/// A key that was just rotated, and its new secret, alone on standard output.
pub(super) fn rotated(
    rotated: &KeyCreated,
    secret: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut sheet = Sheet::default();
    sheet.fact("key", called(&rotated.key));
    sheet.maybe("version", rotated.key.version.map(|it| it.to_string()));
    sheet.maybe("fingerprint", rotated.key.fingerprint.as_ref());
    if let Some(old) = &rotated.previous {
        let end = match old.retires_at {
            Some(time) => format!("until {}", to_the_second(time)),
            None => "with no end set".to_owned(),
        };
        let old = format!("version {} ({}), {end}", old.number, old.fingerprint);
        sheet.fact("old secret", old);
    }
    if let Some(sink) = &rotated.sink {
        let end = if sink.delivered {
            "holds the new secret"
        } else {
            "does not hold the new secret yet, the gate goes on trying"
        };
        sheet.fact("sink", format!("`{}` {end}", visible(&sink.name)));
    }
    output.note_sheet(&sheet)?;
    output.reveal("The new secret", LOST, secret, rotated.key.id.to_string())
}

/// What whoever rotates a key should know first.
pub(super) fn before_rotation(key: &Key) -> String {
    let version = match (key.version, &key.fingerprint) {
        (Some(number), Some(fingerprint)) => format!("version {number} ({fingerprint})"),
        _ => "no version".to_owned(),
    };
    format!(
        "{} of {} ({}) has {version}, {}. It gets a new secret; all else about it stays.\n",
        called(key),
        visible(&key.owner.name),
        visible(&key.env),
        last_used(key.last_used_at),
    )
}

/// What a rotation will do. Without a grace all earlier secrets end.
pub(super) fn rotation_review(key: &Key, grace: Option<Grace>, reason: Option<&str>) -> Sheet {
    let mut sheet = Sheet::default();
    sheet.fact("rotates", called(key));
    let old = match grace {
        None => "all earlier ones end at once, whatever they were promised".to_owned(),
        Some(Grace::NONE) => "stops at once".to_owned(),
        Some(grace) => format!("works for {} more", Span(grace.length())),
    };
    sheet.fact("old secret", old);
    sheet.maybe("reason", reason);
    sheet
}

/// What the gate would answer.
pub(super) fn tested(tested: &KeyTested, output: &mut Output) -> Result<(), Failure> {
    let mut sheet = Sheet::default();
    let verdict = match (tested.status, &tested.code) {
        (Some(status), Some(code)) => format!("refused: {status} {code}"),
        _ => "admitted".to_owned(),
    };
    sheet.fact("verdict", verdict);
    sheet.maybe("because", tested.detail.as_ref());
    sheet.maybe("route", tested.route.as_ref());
    sheet.maybe("upstream", tested.upstream.as_ref());
    sheet.maybe("path", tested.path.as_ref());
    sheet.maybe("version", tested.version.map(|it| it.to_string()));
    let limits = tested.limits.iter().map(|limit| {
        let shadow = if limit.enforced { "" } else { ", only counted" };
        let (rate, name) = (&limit.rate, &limit.name);
        format!(
            "{name}: {} left of {rate} burst {}{shadow}",
            limit.remaining, limit.burst
        )
    });
    sheet.list("limits", &limits.collect::<Vec<_>>());
    let quotas = tested.quotas.iter().map(|quota| {
        let soft = if quota.hard { "" } else { ", only counted" };
        let (name, left, limit) = (&quota.name, quota.remaining, quota.limit);
        let per = match &*quota.per {
            "total" => "in all".to_owned(),
            per => format!("per {per}"),
        };
        format!("{name}: {left} left of {limit} {}{soft}", visible(&per))
    });
    sheet.list("quotas", &quotas.collect::<Vec<_>>());
    output.sheet(&sheet)
}

const LOST: &str = "cannot be read again, only replaced";

/// In what standing a key is now.
pub(super) fn standing(key: &Key, output: &mut Output) -> Result<(), Failure> {
    output.line(&format!("{} is {}", called(key), visible(&key.status)))
}

/// A key or a version that was just ended, and how far that has got.
pub(super) fn revoked(
    revoked: &Revoked,
    number: Option<u16>,
    output: &mut Output,
) -> Result<(), Failure> {
    let revocation = &revoked.revocation;
    match number {
        None => standing(&revoked.key, output)?,
        Some(number) => {
            let of = called(&revoked.key);
            output.line(&format!("version {number} of {of} is revoked"))?;
        }
    }
    let mut sheet = Sheet::default();
    sheet.list("refused by", &revocation.applied_on);
    sheet.list("durable on", &revocation.durable_on);
    output.sheet(&sheet)?;
    if output.is_seen() {
        let refused = "refused by: the gates that refuse it already";
        let durable = "durable on: where the revocation outlives a crash";
        output.note(&format!("({refused}; {durable})"))?;
    }
    for node in &revocation.pending {
        let stops_by = match node.stops_by {
            Some(time) => format!("it stops serving by itself by {}", to_the_second(time)),
            None => "it is not known when it stops serving by itself".to_owned(),
        };
        output.note(&format!(
            "warning: {} does not have it yet; {stops_by}",
            visible(&node.node)
        ))?;
    }
    Ok(())
}

/// What whoever revokes a key should know first.
pub(super) fn revocation_warning(key: &Key, number: Option<u16>) -> String {
    let version = number.and_then(|number| key.versions.iter().find(|it| it.number == number));
    let used = last_used(version.map_or(key.last_used_at, |version| version.last_used_at));
    let which = match (number, version) {
        (None, _) => String::new(),
        (Some(number), None) => format!("version {number} of "),
        (Some(number), Some(version)) => {
            format!("version {number} ({}) of ", visible(&version.fingerprint))
        }
    };
    format!(
        "{which}{} of {} ({}, {used}) stops working at once, for ever. This cannot be undone.",
        called(key),
        visible(&key.owner.name),
        visible(&key.env),
    )
}

fn last_used(time: Option<Time>) -> String {
    match time {
        Some(time) => format!("last used {}", to_the_second(time)),
        None => "never used".to_owned(),
    }
}

/// `key_… (name)`.
fn called(key: &Key) -> String {
    format!("{} ({})", key.id, visible(&key.name))
}

fn sheet(key: &Key) -> Sheet {
    let time = |time| to_the_second(time);
    let mut sheet = Sheet::default();
    sheet.fact("id", key.id.to_string());
    sheet.fact("name", &key.name);
    sheet.maybe("description", key.description.as_ref());
    sheet.fact(
        "owner",
        format!("{} ({}, {})", key.owner.name, key.owner.kind, key.owner.id),
    );
    sheet.fact("status", &key.status);
    sheet.list("badges", &key.badges);
    sheet.fact("env", &key.env);
    sheet.list("products", &key.products);
    sheet.list("scopes", &key.scopes);
    sheet.list("methods", &key.allowed_methods);
    sheet.list("paths", &key.allowed_paths);
    sheet.list("addresses", &key.allowed_ips);
    let limits: Vec<String> = key.rate_limits.iter().map(limit).collect();
    sheet.list("rate limits", &limits);
    let quotas: Vec<String> = key.quotas.iter().map(quota).collect();
    sheet.list("quotas", &quotas);
    sheet.maybe("concurrency", key.concurrency.map(|most| most.to_string()));
    sheet.maybe("out of touch", key.max_staleness.as_ref());
    let labels: Vec<String> = key
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    sheet.list("labels", &labels);
    sheet.fact(
        "created",
        format!("{} by {}", time(key.created_at), key.created_by),
    );
    sheet.maybe("last rotated", key.last_rotated_at.map(time));
    sheet.fact(
        "last used",
        key.last_used_at.map_or_else(|| "never".to_owned(), time),
    );
    sheet.fact(
        "expires",
        key.expires_at.map_or_else(|| "never".to_owned(), time),
    );
    sheet.maybe("fingerprint", key.fingerprint.as_ref());
    sheet
}

/// `10/second burst 20`, and what of it is not as usual.
fn limit(limit: &RateLimit) -> String {
    let mut text = format!("{} burst {}", limit.rate, limit.burst);
    if limit.mode != "shared" {
        text.push_str(&format!(" {}", limit.mode));
    }
    if limit.enforce != "on" {
        text.push_str(&format!(" {}", limit.enforce));
    }
    text
}

/// `412 of 1000 per day, renews 2026-01-02 00:00:00`, and what of it is not as usual.
fn quota(quota: &Quota) -> String {
    let used = quota
        .used
        .map_or_else(|| "?".to_owned(), |used| used.to_string());
    let mut text = match quota.per.as_str() {
        "total" => format!("{used} of {} in all", quota.limit),
        per => format!("{used} of {} per {per}", quota.limit),
    };
    if let Some(renews_at) = quota.renews_at {
        text.push_str(&format!(", renews {}", to_the_second(renews_at)));
    }
    if !quota.hard {
        text.push_str(", soft");
    }
    text
}
