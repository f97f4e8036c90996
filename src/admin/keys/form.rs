//! From what was asked of a key to settings, with every fault at its place.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use crate::admin::lists::{each, few, once_each};
use crate::admin::rotation::form::plan;
use crate::api::keys::{CreateKey, NewQuota, NewRateLimit, NewRotation, PatchKey, RotateKey};
use crate::control::keys::{KeyChange, NewKey, OwnerChoice, Rotation};
use crate::domain::key::Risk;
use crate::domain::lifecycle::{Earlier, FieldFault, Grace, RotationTerms, most};
use crate::domain::limit::{Enforce, LimitMode, Period, QUOTA_MAX, Quota, Rate, RateLimit};
use crate::domain::owner::OwnerKind;
use crate::domain::patch::SettingsPatch;
use crate::domain::permission::{Method, Methods};
use crate::domain::span::{NotASpan, Span};
use crate::domain::time::{NotATime, Timestamp};

/// What a new key is asked to be.
pub(super) fn create(asked: CreateKey) -> NewKey {
    let mut faults = Vec::new();
    let owner = match (asked.owner_id, asked.owner) {
        (Some(id), None) => match id.parse() {
            Ok(id) => OwnerChoice::Known(id),
            Err(_) => {
                fault(&mut faults, "/owner_id", "form", "not the id of an owner");
                OwnerChoice::Unclear
            }
        },
        (None, Some(owner)) => match OwnerKind::from_word(&owner.kind) {
            Some(kind) => OwnerChoice::Named {
                kind,
                name: owner.name,
            },
            None => {
                fault(&mut faults, "/owner/type", "unknown_word", OWNER_KINDS);
                OwnerChoice::Unclear
            }
        },
        (None, None) => {
            let detail = "a key has an owner: `owner_id`, or `owner` with name and type";
            fault(&mut faults, "/owner_id", "missing", detail);
            OwnerChoice::Unclear
        }
        (Some(_), Some(_)) => {
            let detail = "`owner_id` or `owner`, not both";
            fault(&mut faults, "/owner", "ambiguous", detail);
            OwnerChoice::Unclear
        }
    };
    let change = patch(PatchKey {
        name: Some(asked.name),
        description: Some(asked.description),
        products: Some(asked.products),
        scopes: Some(asked.scopes),
        allowed_methods: Some(asked.allowed_methods),
        allowed_paths: Some(asked.allowed_paths),
        allowed_ips: Some(asked.allowed_ips),
        rate_limits: Some(asked.rate_limits),
        concurrency: Some(asked.concurrency),
        max_staleness: Some(asked.max_staleness),
        quotas: Some(asked.quotas),
        risk: asked.risk,
        expires_at: Some(asked.expires_at),
        metadata: Some(asked.metadata),
        labels: Some(asked.labels),
        protected: Some(asked.protected),
        self_rotation: Some(asked.self_rotation),
        rotation: Some(asked.rotation),
    });
    faults.extend(change.faults);
    NewKey {
        owner,
        env: asked.env,
        settings: change.settings,
        rotation: change.rotation.flatten(),
        faults,
        idempotency: None,
    }
}

/// What a key is asked to become.
pub(super) fn patch(asked: PatchKey) -> KeyChange {
    let mut faults = Vec::new();
    let rotation = asked.rotation.map(|wanted| {
        let NewRotation {
            interval_days,
            keep_previous,
            grace,
        } = wanted?;
        let grace = grace.as_deref();
        let pointer = "/rotation";
        Some(plan(
            interval_days,
            keep_previous,
            grace,
            pointer,
            &mut faults,
        ))
    });
    // Counted before anything is looked at: what a list costs does not depend on what a caller sends.
    let products = few(asked.products, "/products", most::PRODUCTS, &mut faults);
    let scopes = few(asked.scopes, "/scopes", most::SCOPES, &mut faults);
    let methods = few(
        asked.allowed_methods,
        "/allowed_methods",
        most::METHODS,
        &mut faults,
    );
    let paths = few(
        asked.allowed_paths,
        "/allowed_paths",
        most::PATHS,
        &mut faults,
    );
    let networks = few(
        asked.allowed_ips,
        "/allowed_ips",
        most::NETWORKS,
        &mut faults,
    );
    let limits = few(
        asked.rate_limits,
        "/rate_limits",
        most::RATE_LIMITS,
        &mut faults,
    );
    let quota_list = few(asked.quotas, "/quotas", most::QUOTAS, &mut faults);
    let labels = few(asked.labels, "/labels", most::LABELS, &mut faults);
    let settings = SettingsPatch {
        name: asked.name,
        description: asked.description,
        products: products.map(once_each),
        scopes: each(scopes, "/scopes", &mut faults, |text| {
            text.parse().map_err(|_| SCOPE.to_owned())
        })
        .map(once_each),
        allowed_methods: each(methods, "/allowed_methods", &mut faults, |token| {
            Method::from_token(token).ok_or_else(|| METHOD.to_owned())
        })
        .map(Methods::from_iter),
        allowed_paths: paths.map(once_each),
        allowed_ips: each(networks, "/allowed_ips", &mut faults, |text| {
            network(text).ok_or_else(|| NETWORK.to_owned())
        })
        .map(once_each),
        rate_limits: limits.map(|limits| rate_limits(&limits, &mut faults)),
        concurrency: asked.concurrency,
        max_staleness: staleness(asked.max_staleness, &mut faults),
        quotas: quota_list.map(|asked| quotas(&asked, &mut faults)),
        risk: asked.risk.and_then(|word| {
            let risk = Risk::from_word(&word);
            if risk.is_none() {
                fault(
                    &mut faults,
                    "/risk",
                    "unknown_word",
                    "`high`, `standard` or `low`",
                );
            }
            risk
        }),
        expires_at: asked.expires_at.map(|end| time(end, &mut faults)),
        metadata: asked.metadata,
        labels,
        protected: asked.protected,
        self_rotation: asked.self_rotation,
    };
    KeyChange {
        settings,
        rotation,
        faults,
    }
}

/// For how long a gate out of touch is to be trusted.
pub(in crate::admin) fn staleness(
    asked: Option<Option<String>>,
    faults: &mut Vec<FieldFault>,
) -> Option<Option<Duration>> {
    let text = match asked? {
        None => return Some(None),
        Some(text) => text,
    };
    match text.parse() {
        Ok(Span(length)) => Some(Some(length)),
        Err(NotASpan) => {
            fault(faults, "/max_staleness", "form", STALENESS);
            None
        }
    }
}

/// How a key is asked to be rotated.
pub(in crate::admin) fn rotation(asked: &RotateKey) -> Rotation {
    let mut faults = Vec::new();
    let grace = asked.grace.as_ref().map(|text| match text.parse() {
        Ok(Span(length)) => Grace::new(length).unwrap_or_else(|| {
            fault(&mut faults, "/grace", "too_long", "a grace is at most 72h");
            Grace::MAX
        }),
        Err(NotASpan) => {
            fault(&mut faults, "/grace", "form", GRACE);
            Grace::NONE
        }
    });
    let earlier = match (asked.revoke_earlier, grace) {
        (true, None | Some(Grace::NONE)) => Earlier::Revoke,
        (true, Some(_)) => {
            let detail = "earlier secrets end now, or after a grace, not both";
            fault(&mut faults, "/revoke_earlier", "ambiguous", detail);
            Earlier::Revoke
        }
        (false, grace) => Earlier::Retire(grace.unwrap_or_default()),
    };
    let expires_at = asked.expires_at.clone();
    let expires_at = expires_at.map(|end| time(end, &mut faults));
    Rotation {
        terms: RotationTerms {
            earlier,
            expires_at,
        },
        faults,
        ..Rotation::default()
    }
}

/// The end of a key, if it is to have one.
fn time(text: Option<String>, faults: &mut Vec<FieldFault>) -> Option<Timestamp> {
    text?
        .parse()
        .map_err(|NotATime| fault(faults, "/expires_at", "form", TIME))
        .ok()
}

pub(in crate::admin) fn rate_limits(
    asked: &[NewRateLimit],
    faults: &mut Vec<FieldFault>,
) -> Vec<RateLimit> {
    let mut limits = Vec::with_capacity(asked.len());
    for (at, limit) in asked.iter().enumerate() {
        let place = |field| format!("/rate_limits/{at}/{field}");
        let rate = limit.rate.parse::<Rate>().map_err(|error| {
            faults.push(FieldFault::new(place("rate"), "form", error.to_string()));
        });
        let burst = limit.burst.map(NonZeroU32::new);
        if burst == Some(None) {
            let detail = "a burst is at least 1";
            faults.push(FieldFault::new(place("burst"), "too_small", detail));
        }
        let mode = limit.mode.as_deref().map(LimitMode::from_word);
        if mode == Some(None) {
            let detail = "`local`, `shared` or `strict`";
            faults.push(FieldFault::new(place("mode"), "unknown_word", detail));
        }
        let enforce = limit.enforce.as_deref().map(Enforce::from_word);
        if enforce == Some(None) {
            let detail = "`on` or `shadow`";
            faults.push(FieldFault::new(place("enforce"), "unknown_word", detail));
        }
        if let Ok(rate) = rate {
            limits.push(RateLimit {
                burst: burst.flatten().unwrap_or(rate.count),
                mode: mode.flatten().unwrap_or_default(),
                enforce: enforce.flatten().unwrap_or_default(),
                ..RateLimit::new(rate)
            });
        }
    }
    limits
}

pub(in crate::admin) fn quotas(asked: &[NewQuota], faults: &mut Vec<FieldFault>) -> Vec<Quota> {
    let mut quotas = Vec::with_capacity(asked.len());
    for (at, quota) in asked.iter().enumerate() {
        let place = |field| format!("/quotas/{at}/{field}");
        let Some(per) = Period::from_word(&quota.per) else {
            let detail = "`day`, `week`, `month` or `total`";
            faults.push(FieldFault::new(place("per"), "unknown_word", detail));
            continue;
        };
        let quota = Quota {
            limit: quota.limit,
            per,
            on_day: quota.on_day,
            hard: quota.hard.unwrap_or(true),
        };
        if !(1..=QUOTA_MAX).contains(&quota.limit) {
            let detail = format!("a quota allows 1 to {QUOTA_MAX}");
            faults.push(FieldFault::new(place("limit"), "out_of_range", detail));
        }
        if !quota.has_its_day() {
            let detail = "1 to 7 of a week, 1 to 31 of a month, of no other period";
            faults.push(FieldFault::new(place("on_day"), "out_of_range", detail));
        }
        quotas.push(quota);
    }
    quotas
}

/// A network, or an address for the network of that one. A v4 address mapped into v6 is the v4 address,
/// as it is when requests are judged; bits beyond the prefix are cleared.
fn network(text: &str) -> Option<IpNet> {
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text.parse::<IpNet>().ok()?,
    };
    if let IpNet::V6(v6) = net
        && let Some(mapped) = v6.addr().to_ipv4_mapped()
    {
        let length = v6.prefix_len().checked_sub(96)?;
        return Ipv4Net::new(mapped, length)
            .ok()
            .map(|v4| v4.trunc().into());
    }
    Some(net.trunc())
}

fn fault(faults: &mut Vec<FieldFault>, pointer: &str, code: &'static str, detail: &str) {
    faults.push(FieldFault::new(pointer, code, detail));
}

const GRACE: &str = "a grace is one number and `ms`, `s`, `m` or `h`, like `24h`";
const STALENESS: &str = "a length of time is one number and `ms`, `s`, `m`, `h` or `d`, like `30s`";
const OWNER_KINDS: &str = "`user`, `team` or `system`";
const SCOPE: &str = "a scope is 1 to 64 of a-z A-Z 0-9 . _ : / -";
const METHOD: &str = "GET, HEAD, POST, PUT, DELETE, PATCH or OPTIONS";
const NETWORK: &str = "an address or a network, like 10.0.0.0/8 or 2001:db8::/32";
const TIME: &str = "a time is like 2026-01-31T12:00:00.000Z";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_fault_is_told_at_its_place() {
        let asked = CreateKey {
            name: "k".into(),
            scopes: vec!["ok".into(), "not ok".into()],
            allowed_methods: vec!["get".into()],
            allowed_ips: vec!["10.0.0.0/8".into(), "10.0.0.0/33".into()],
            rate_limits: vec![NewRateLimit {
                rate: "1/fortnight".into(),
                burst: Some(0),
                mode: Some("global".into()),
                enforce: Some("off".into()),
            }],
            quotas: vec![
                NewQuota {
                    limit: 0,
                    per: "week".into(),
                    on_day: Some(8),
                    hard: None,
                },
                NewQuota {
                    limit: 1,
                    per: "year".into(),
                    on_day: None,
                    hard: None,
                },
            ],
            risk: Some("extreme".into()),
            expires_at: Some("tomorrow".into()),
            ..CreateKey::default()
        };
        let found = create(asked).faults;
        let pointers: Vec<&str> = found.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/owner_id",
                "/scopes/1",
                "/allowed_methods/0",
                "/allowed_ips/1",
                "/rate_limits/0/rate",
                "/rate_limits/0/burst",
                "/rate_limits/0/mode",
                "/rate_limits/0/enforce",
                "/quotas/0/limit",
                "/quotas/0/on_day",
                "/quotas/1/per",
                "/risk",
                "/expires_at",
            ]
        );
    }

    // S2-12
    #[test]
    fn a_list_that_is_too_long_is_counted_and_not_looked_at() {
        let many = |count: usize| (0..count).map(|at| format!("bad {at}")).collect::<Vec<_>>();
        let asked = PatchKey {
            products: Some(many(most::PRODUCTS + 1)),
            scopes: Some(many(most::SCOPES + 1)),
            allowed_methods: Some(many(most::METHODS + 1)),
            allowed_paths: Some(many(most::PATHS + 1)),
            allowed_ips: Some(many(most::NETWORKS + 1)),
            ..PatchKey::default()
        };
        let read = patch(asked);
        let found: Vec<(&str, &str)> = read
            .faults
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.code))
            .collect();
        assert_eq!(
            found,
            [
                ("/products", "too_many"),
                ("/scopes", "too_many"),
                ("/allowed_methods", "too_many"),
                ("/allowed_paths", "too_many"),
                ("/allowed_ips", "too_many"),
            ]
        );
        assert_eq!(read.settings.allowed_paths, None);
        let asked = PatchKey {
            allowed_paths: Some(many(most::PATHS)),
            ..PatchKey::default()
        };
        assert_eq!(patch(asked).faults, []);
    }

    #[test]
    fn a_network_is_kept_as_requests_are_judged_by_it() {
        for (text, expected) in [
            ("10.1.2.3", Some("10.1.2.3/32")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("::ffff:10.1.2.3", Some("10.1.2.3/32")),
            ("::ffff:10.1.2.3/104", Some("10.0.0.0/8")),
            ("2001:db8::1", Some("2001:db8::1/128")),
            ("::ffff:0:0/80", None),
            ("10.1.2", None),
            ("", None),
        ] {
            let read = network(text).map(|net| net.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    // S2-12
    #[test]
    fn a_grace_is_read_on_both_sides_of_its_bounds() {
        let read = |grace: Option<&str>, revoke_earlier| {
            let Rotation { terms, faults, .. } = rotation(&RotateKey {
                grace: grace.map(str::to_owned),
                revoke_earlier,
                ..RotateKey::default()
            });
            let found = faults
                .first()
                .map(|fault| (fault.pointer.clone(), fault.code));
            match found {
                None => Ok(terms.earlier),
                Some(fault) => Err(fault),
            }
        };
        let retire = |hours: u64| {
            let grace = Grace::new(Duration::from_secs(hours * 3_600));
            Ok(Earlier::Retire(grace.unwrap()))
        };
        assert_eq!(read(None, false), retire(24));
        assert_eq!(read(Some("0s"), false), retire(0));
        assert_eq!(read(Some("72h"), false), retire(72));
        assert_eq!(read(Some("3d"), false), retire(72));
        let too_long = Err(("/grace".to_owned(), "too_long"));
        assert_eq!(read(Some("259200001ms"), false), too_long);
        let no_grace = Err(("/grace".to_owned(), "form"));
        for text in ["", "soon", "-1h", "24", "1w"] {
            assert_eq!(read(Some(text), false), no_grace, "{text}");
        }
        assert_eq!(read(None, true), Ok(Earlier::Revoke));
        assert_eq!(read(Some("0s"), true), Ok(Earlier::Revoke));
        let both = Err(("/revoke_earlier".to_owned(), "ambiguous"));
        assert_eq!(read(Some("1h"), true), both);
    }

    #[test]
    fn what_is_left_out_is_not_touched() {
        let read = patch(PatchKey::default());
        assert!(read.faults.is_empty());
        assert_eq!(read.settings, SettingsPatch::default());
        assert_eq!(read.rotation, None);
    }
}
