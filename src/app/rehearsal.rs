//! What the gate would answer a request with a key: the gate's own steps in the gate's own order, but
//! nothing is taken, counted or sent.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::header::HOST;

use crate::admin::gate::{KeyTested, LimitLeft, QuotaLeft, TestRequest};
use crate::control::keys::QuotaStanding;
use crate::domain::key::Key;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::route::KeySource;
use crate::domain::time::Reading;
use crate::proxy::admit::{self, Asked};
use crate::proxy::{LastHost, Plane, Target};
use crate::state::keys::KeyEntry;
use crate::state::limiter::NamedLimit;
use crate::state::routes::{Miss, RouteState};

/// Goes through a request with the current secret of `key` at `now`, when its quotas stand so.
pub(crate) fn rehearse(
    plane: &Plane,
    key: &Key,
    request: &TestRequest,
    quotas: &[QuotaStanding],
    now: Reading,
) -> KeyTested {
    let mut told = KeyTested {
        admitted: false,
        status: None,
        code: None,
        detail: None,
        route: None,
        upstream: None,
        path: None,
        version: key.current().map(|version| version.number),
        limits: Vec::new(),
        quotas: Vec::new(),
    };
    match pass(plane, key, request, quotas, now, &mut told) {
        Ok(()) => told.admitted = true,
        Err(No { refusal, detail }) => {
            let code = refusal.code;
            told.status = Some(code.status());
            told.code = Some(code.as_str().to_owned());
            let words = refusal.detail.unwrap_or(code.title());
            told.detail = Some(detail.unwrap_or_else(|| words.to_owned()));
        }
    }
    told
}

/// A refusal, and more words for it than a stranger would get.
struct No {
    refusal: Refusal,
    detail: Option<String>,
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            detail: None,
        }
    }
}

impl From<RefusalCode> for No {
    fn from(code: RefusalCode) -> Self {
        Refusal::new(code).into()
    }
}

fn pass(
    plane: &Plane,
    key: &Key,
    request: &TestRequest,
    quotas: &[QuotaStanding],
    now: Reading,
    told: &mut KeyTested,
) -> Result<(), No> {
    let target = target(plane, request)?;
    told.path = Some(target.path.to_string());
    let route = route(plane, &target)?;
    told.route = Some(route.route.name.clone());
    told.upstream = Some(route.route.upstream.clone());
    if route.route.key == KeySource::None {
        told.version = None;
        told.limits = limits(route.limits.iter(), &route, None, now);
        return ensure_left(&told.limits, &route);
    }

    if let Some(code) = plane.readiness.refusal() {
        return Err(code.into());
    }
    // A key that the gate does not have yet is one whose change has not come here.
    let current = key.current().ok_or(RefusalCode::NotReady)?;
    let (entry, version) = plane
        .keys
        .find(&current.hash)
        .ok_or(RefusalCode::NotReady)?;
    entry.admits(&version, now.wall)?;
    plane.readiness.ensure_fresh(&entry.grants, now.mono_ns)?;
    let asked = Asked {
        method: target.method,
        path: &target.path,
        address: request.address.unwrap_or_else(|| some_address(&entry)),
    };
    admit::authorise(&entry, &route.route, &asked).map_err(|code| No {
        refusal: code.into(),
        detail: lacking(code, &entry, &route),
    })?;
    if let Some(most) = entry.grants.concurrency
        && entry.slot().in_flight() >= plane.fleet.part_of(most)
    {
        return Err(RefusalCode::ConcurrencyExceeded.into());
    }
    let own = entry.grants.limits.iter();
    told.limits = limits(own.chain(&route.limits), &route, Some(&entry), now);
    told.quotas = quotas.iter().map(quota_left).collect();
    ensure_left(&told.limits, &route)?;
    ensure_allowed(&told.quotas, &route)
}

fn target(plane: &Plane, request: &TestRequest) -> Result<Target, No> {
    let host = request.host.as_deref().unwrap_or(SOME_HOST);
    let made = http::Request::builder()
        .method(request.method.as_str())
        .uri(&request.path)
        .header(HOST, host)
        .body(());
    let made = made.map_err(|_| RefusalCode::BadRequest)?;
    Ok(Target::of(
        &made,
        plane.bounds.target_max,
        &LastHost::default(),
    )?)
}

fn route(plane: &Plane, target: &Target) -> Result<Arc<RouteState>, No> {
    if target.is_the_gates_own() {
        return Err(No {
            refusal: RefusalCode::NoRoute.into(),
            detail: Some("paths below `/.portcullis/` are the gate's own".to_owned()),
        });
    }
    match plane
        .routes
        .find(&target.host.name, &target.path, target.method)
    {
        Ok(route) => {
            target.ensure_slashes_fit(&route.route, &plane.routes)?;
            Ok(Arc::clone(route))
        }
        Err(Miss::Path) => Err(RefusalCode::NoRoute.into()),
        Err(Miss::Method(_)) => Err(RefusalCode::MethodNotAllowed.into()),
    }
}

/// An address the key may be used from, where none was asked about.
fn some_address(entry: &KeyEntry) -> IpAddr {
    let allowed = entry.grants.ips.first();
    allowed.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), ipnet::IpNet::addr)
}

/// What it lacks, in words that help.
fn lacking(code: RefusalCode, entry: &KeyEntry, route: &RouteState) -> Option<String> {
    if code != RefusalCode::ScopeMissing {
        return None;
    }
    let wanted = route.route.scopes.iter();
    let missing: Vec<&str> = wanted
        .filter(|scope| !entry.grants.hold(std::slice::from_ref(scope)))
        .map(|scope| scope.as_str())
        .collect();
    Some(format!("the key lacks {}", missing.join(", ")))
}

fn limits<'a>(
    named: impl Iterator<Item = &'a NamedLimit>,
    route: &RouteState,
    entry: Option<&KeyEntry>,
    now: Reading,
) -> Vec<LimitLeft> {
    let slot = entry.map_or(&route.slot, KeyEntry::slot);
    named
        .map(|limit| {
            let level = limit.level(slot, now.mono_ns);
            LimitLeft {
                name: limit.name.to_string(),
                rate: limit.limit.rate.to_string(),
                burst: limit.limit.burst.get(),
                remaining: level.remaining,
                whole_in_ms: u64::try_from(level.whole_in.as_millis()).unwrap_or(u64::MAX),
                enforced: limit.is_enforced(),
            }
        })
        .collect()
}

fn ensure_left(limits: &[LimitLeft], route: &RouteState) -> Result<(), No> {
    let cost = route.route.cost;
    match limits.iter().find(|it| it.enforced && it.remaining < cost) {
        None => Ok(()),
        Some(spent) => Err(No {
            refusal: RefusalCode::RateLimited.into(),
            detail: Some(format!("`{}` has {} left", spent.name, spent.remaining)),
        }),
    }
}

fn quota_left(standing: &QuotaStanding) -> QuotaLeft {
    let quota = &standing.quota;
    let spent = standing.used.unwrap_or(standing.seen);
    QuotaLeft {
        name: standing.name.to_string(),
        limit: quota.limit,
        per: quota.per.as_str().to_owned(),
        remaining: quota.limit.saturating_sub(spent),
        renews_at: standing.renews_at.map(Into::into),
        hard: quota.hard,
    }
}

fn ensure_allowed(quotas: &[QuotaLeft], route: &RouteState) -> Result<(), No> {
    let cost = u64::from(route.route.cost);
    match quotas.iter().find(|it| it.hard && it.remaining < cost) {
        None => Ok(()),
        Some(spent) => Err(No {
            refusal: RefusalCode::QuotaExhausted.into(),
            detail: Some(format!("`{}` has {} left", spent.name, spent.remaining)),
        }),
    }
}

/// Stands for a host that no route names (RFC 2606 §2).
const SOME_HOST: &str = "any.invalid";
