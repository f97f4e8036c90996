//! The decision on a request allocates nothing: counted, not measured.
//!
//! A binary of its own, because the counter replaces the process's allocator.
#![cfg(test)]

use std::sync::Arc;

use portcullis::domain::id::{KeyId, OwnerId};
use portcullis::domain::key::KeySettings;
use portcullis::domain::lifecycle::{Birth, create};
use portcullis::domain::limit::{Period, Quota, RateLimit};
use portcullis::domain::permission::{Method, Methods};
use portcullis::domain::route::{BODY_MAX, HostMatch, KeySource, PathMatch, Route, Timeouts};
use portcullis::domain::secret::{Hasher, Secret};
use portcullis::domain::time::Timestamp;
use portcullis::proxy::admit::{self, Asked, Known, Permit};
use portcullis::state::grants::GrantBook;
use portcullis::state::keys::KeyCache;
use portcullis::state::limiter::LimitBook;
use portcullis::state::quotas::{Charge, charge};

const NOW_NS: u64 = 1_000_000_000;
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

struct Gate {
    keys: KeyCache,
    hasher: Hasher,
    route: Route,
    limits: Vec<portcullis::state::limiter::NamedLimit>,
    secret: Secret,
}

fn gate() -> Gate {
    let limits = Arc::<LimitBook>::default();
    let mut book = GrantBook::new(vec![], Arc::clone(&limits));
    let hasher = Hasher::default();
    let id = KeyId::from_random([7; 10]);
    let secret = Secret::generate("pk", "live", id, |bytes| {
        bytes.fill(11);
        Ok::<(), std::convert::Infallible>(())
    });
    let secret = secret.unwrap();
    let birth = Birth {
        id,
        owner: OwnerId::from_random([2; 10]),
        env: "live".into(),
        hash: hasher.hash(secret.reveal().as_bytes()),
        fingerprint: secret.fingerprint(),
        created_by: "tok_x".into(),
    };
    let rate = |text: &str| RateLimit::new(text.parse().unwrap());
    let settings = KeySettings {
        scopes: vec!["orders:read".parse().unwrap()],
        allowed_paths: vec!["/v1".into()],
        allowed_ips: vec!["203.0.113.0/24".parse().unwrap()],
        rate_limits: vec![rate("1000000/second"), rate("1000000/hour")],
        concurrency: Some(10),
        quotas: vec![
            quota(Period::Month, true),
            quota(Period::Week, false),
            quota(Period::Total, true),
        ],
        ..KeySettings::named("k")
    };
    let key = create(birth, settings, Timestamp::from_millis(1));
    let keys = KeyCache::default();
    keys.put(&key, book.grants(&key));
    let route = Route {
        name: "orders".into(),
        host: HostMatch::Any,
        path: PathMatch::Prefix("/v1/orders".into()),
        methods: Methods::default(),
        upstream: "u".into(),
        key: KeySource::Default,
        scopes: vec!["orders:read".parse().unwrap()],
        envs: vec!["live".into()],
        rate_limits: vec![rate("1000000/minute")],
        cost: 1,
        timeouts: Timeouts::default(),
        body_max: BODY_MAX,
        keeps_encoded_slashes: false,
    };
    let limits = limits.named("route-orders", &route.rate_limits);
    Gate {
        keys,
        hasher,
        route,
        limits,
        secret,
    }
}

fn quota(per: Period, hard: bool) -> Quota {
    Quota {
        limit: 1_000_000,
        per,
        on_day: None,
        hard,
    }
}

fn decide(gate: &Gate, credential: &[u8]) -> bool {
    let known = admit::authenticate(&gate.keys, &gate.hasher, "pk", credential);
    let Ok(Known { entry, version, .. }) = known else {
        return false;
    };
    let asked = Asked {
        method: Method::Get,
        path: "/v1/orders/7",
        address: [203, 0, 113, 7].into(),
    };
    let may = entry.admits(&version, Timestamp::from_millis(2)).is_ok()
        && admit::authorise(&entry, &gate.route, &asked).is_ok();
    let permit = Permit::take(entry.slot(), entry.grants.concurrency);
    let limits = entry.grants.limits.iter().chain(&gate.limits);
    let spending = admit::spend(entry.slot(), limits, gate.route.cost, NOW_NS);
    let (quotas, cost) = (&entry.grants.quotas, u64::from(gate.route.cost));
    let charged = charge(entry.slot(), quotas, cost, NOW, None);
    may && permit.is_ok() && spending.refusal.is_none() && matches!(charged, Charge::Paid { .. })
}

#[test]
fn the_decision_on_a_request_allocates_nothing() {
    let gate = gate();
    let secret = gate.secret.reveal().as_bytes().to_vec();
    let mut mistyped = secret.clone();
    mistyped[20] ^= 1;
    // A key's first request makes its slot, the first limit and quota beyond two a place for more.
    assert!(!decide(&gate, &secret));
    let known = admit::authenticate(&gate.keys, &gate.hasher, "pk", &secret).unwrap();
    let entry = known.entry;
    for named in &entry.grants.quotas {
        let account = entry.slot().account(named.id);
        account.deposit(named.span(NOW).first_day, 10_000, 10_000);
    }
    assert!(decide(&gate, &secret));

    let counted = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            assert!(decide(&gate, &secret));
            assert!(!decide(&gate, &mistyped));
            assert!(!decide(&gate, b"another form of credential"));
        }
    });
    assert_eq!(counted.count_total, 0, "allocations in 3,000 decisions");
}
