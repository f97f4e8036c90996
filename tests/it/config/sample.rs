//! The sample of the specification loads as written.

use std::time::Duration;

use portcullis::config::{AccessLog, RedisSite, StoreChoice};
use portcullis::domain::limit::Period;
use portcullis::domain::permission::Method;
use portcullis::domain::route::{HostMatch, KeySource, PathMatch};
use portcullis::domain::upstream::Balance;

use super::{SAMPLE, faults, load, minimal, sample_with_certificates};

#[test]
fn the_sample_means_what_it_says() {
    let (text, _folder) = sample_with_certificates();
    let config = load(&text).unwrap_or_else(|faults| panic!("{faults}"));

    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:8080");
    assert!(config.listeners[0].tls.is_none() && !config.listeners[0].h2c);
    let tls = config.listeners[1].tls.as_ref().expect("TLS");
    assert!(tls.certificates[0].cert.ends_with("api.pem"));
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:9900");
    assert!(config.admin.token.is_none(), "an empty token is none");
    let StoreChoice::Embedded { path } = &config.store else {
        panic!("{:?}", config.store);
    };
    assert_eq!(path.to_str(), Some("./portcullis-data"));
    assert_eq!(config.node.as_deref(), Some("gate-1"));
    assert!(config.seal.is_none(), "an empty key is none");
    assert_eq!(config.access_log, AccessLog::Stdout);
    assert_eq!(config.fleet.max_nodes, None);
    assert_eq!(config.fleet.lease_wait, Duration::from_millis(25));
    assert_eq!(config.fleet.max_staleness, Duration::from_secs(86_400));

    let orders = &config.upstreams[0];
    assert_eq!(orders.endpoints[1].to_string(), "10.0.0.6:8000");
    assert_eq!(orders.balance, Balance::LeastRequests);
    let health = orders.health.as_ref().expect("a health check");
    assert_eq!((health.unhealthy_after, health.healthy_after), (3, 2));
    assert_eq!(health.timeout, Duration::from_secs(2));

    let route = &config.routes[0];
    assert_eq!(route.host, HostMatch::Exact("api.example.com".into()));
    assert_eq!(route.path, PathMatch::Prefix("/v1/orders".into()));
    assert_eq!(
        route.methods.iter().collect::<Vec<_>>(),
        [Method::Get, Method::Post]
    );
    assert_eq!(route.key, KeySource::Default);
    assert_eq!(route.scopes[0].as_str(), "orders:read");
    assert_eq!(route.rate_limits[0].rate.to_string(), "100/minute");
    assert_eq!(route.rate_limits[0].burst.get(), 20);
    let open = &config.routes[1];
    assert_eq!(
        (open.name.as_str(), &open.key),
        ("/public", &KeySource::None)
    );

    let starter = &config.products[0];
    assert_eq!(starter.quotas[0].per, Period::Month);
    assert!(starter.quotas[0].hard);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn a_certificate_that_is_not_there_is_the_samples_only_fault() {
    let found = faults(SAMPLE);
    assert_eq!(found.len(), 2, "{found:#?}");
    for (fault, field) in found.iter().zip(["cert", "key"]) {
        assert!(
            fault.contains(&format!(
                "listeners[1].tls.certificates[0].{field}: the file cannot be read"
            )),
            "{fault}"
        );
    }
}

#[test]
fn a_file_without_a_certificate_is_no_certificate() {
    let (text, folder) = sample_with_certificates();
    std::fs::write(folder.path().join("api.pem"), "nothing").expect("a file");
    let key = folder.path().join("api.key");
    let half: String = std::fs::read_to_string(&key)
        .expect("a file")
        .chars()
        .take(60)
        .collect();
    std::fs::write(key, half).expect("a file");
    let found = faults(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("holds no certificate"), "{}", found[0]);
    assert!(found[1].contains("private key"), "{}", found[1]);
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = load(&minimal("")).unwrap_or_else(|faults| panic!("{faults}"));
    let seconds = Duration::from_secs;

    assert_eq!(config.workers, None);
    assert_eq!(config.data_dir.to_str(), Some("./portcullis-data"));
    assert_eq!(
        (config.keys.prefix.as_str(), config.keys.envs.len()),
        ("pk", 2)
    );
    assert_eq!(config.keys.envs, ["live", "test"]);
    assert_eq!(config.drain, seconds(30));
    assert!(!config.legacy_rate_limit_headers && !config.admin.open_metrics);
    let bounds = &config.bounds;
    assert_eq!((bounds.target_max, bounds.head_max), (8_192, 16_384));
    assert_eq!((bounds.fields_max, bounds.streams_max), (100, 100));
    assert_eq!(bounds.body_rate_min, 1_024);
    assert_eq!(bounds.connections_per_address_max, 256);
    assert_eq!(bounds.requests_per_connection_max, 10_000);
    assert_eq!(bounds.failures_per_minute, 60);
    let deadlines = &config.deadlines;
    assert_eq!(
        (deadlines.handshake, deadlines.head),
        (seconds(10), seconds(10))
    );
    assert_eq!(
        (deadlines.body_idle, deadlines.idle),
        (seconds(30), seconds(60))
    );
    assert_eq!(
        (deadlines.write_stall, deadlines.preface),
        (seconds(30), seconds(5))
    );
    assert_eq!(config.fleet.forget, seconds(600));
    assert_eq!(config.fleet.fallback_after, Duration::ZERO);
    let route = &config.routes[0];
    assert_eq!((route.name.as_str(), route.cost), ("/", 1));
    assert_eq!(route.body_max, portcullis::domain::route::BODY_MAX);
    assert_eq!(
        route.timeouts,
        portcullis::domain::route::Timeouts::default()
    );
    assert!(!route.keeps_encoded_slashes && route.methods.is_any());
    assert_eq!(route.key, KeySource::Default, "a key is asked for");
    assert!(config.upstreams[0].health.is_none());
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn the_embedded_store_and_the_data_folder_are_each_others_default() {
    let paths = |rest: &str| {
        let config = load(&minimal(rest)).unwrap_or_else(|faults| panic!("{faults}"));
        let StoreChoice::Embedded { path } = config.store else {
            panic!("not embedded");
        };
        (
            path.display().to_string(),
            config.data_dir.display().to_string(),
        )
    };
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(paths("data_dir: a"), pair("a", "a"));
    assert_eq!(paths("store: { embedded: { path: b } }"), pair("b", "b"));
    assert_eq!(
        paths("store: { embedded: { path: b } }\ndata_dir: a"),
        pair("b", "a")
    );
}

#[test]
fn a_redis_has_its_own_fields() {
    let text = minimal(
        "store: { redis: { urls: [\"rediss://cache:6380/2\"], username: gate, password: \"${P}\", prefix: x } }",
    );
    let env = |name: &str| (name == "P").then(|| "hunter2".to_owned());
    let config = portcullis::config::load_text(&text, "gate.yaml", &env)
        .unwrap_or_else(|faults| panic!("{faults}"));
    let StoreChoice::Redis(redis) = config.store else {
        panic!("not Redis");
    };
    let RedisSite::Standalone { url } = &redis.site else {
        panic!("not standalone: {:?}", redis.site);
    };
    assert_eq!(url.as_str(), "rediss://cache:6380/2");
    assert_eq!(redis.username.as_deref(), Some("gate"));
    assert_eq!(
        redis.password.as_ref().map(|text| text.as_str()),
        Some("hunter2")
    );
    assert_eq!(redis.prefix, "x");
}

#[test]
fn a_redis_may_be_watched_by_sentinels_or_be_a_cluster() {
    let load = |redis: &str| {
        let text = minimal(&format!("store: {{ redis: {{ {redis} }} }}"));
        let config = portcullis::config::load_text(&text, "gate.yaml", &|_| None);
        match config.unwrap_or_else(|faults| panic!("{faults}")).store {
            StoreChoice::Redis(redis) => redis.site,
            StoreChoice::Embedded { .. } => panic!("not Redis"),
        }
    };
    let urls = |urls: &[zeroize::Zeroizing<String>]| {
        urls.iter().map(|url| url.to_string()).collect::<Vec<_>>()
    };

    let site = load(
        "sentinel: { master: m, urls: [\"redis://a:26379\", \"redis://b:26379\"], password: p }, password: q",
    );
    let RedisSite::Sentinel(sentinel) = site else {
        panic!("not sentinels: {site:?}");
    };
    assert_eq!(sentinel.master, "m");
    assert_eq!(urls(&sentinel.urls), ["redis://a:26379", "redis://b:26379"]);
    assert_eq!(sentinel.password.unwrap().as_str(), "p");

    let site = load("cluster: { urls: [\"rediss://a:7000\", \"rediss://b:7000\"] }");
    let RedisSite::Cluster { urls: nodes } = site else {
        panic!("no cluster: {site:?}");
    };
    assert_eq!(urls(&nodes), ["rediss://a:7000", "rediss://b:7000"]);
}

#[test]
fn a_key_may_be_read_from_one_other_place() {
    for (written, meant) in [
        ("default", KeySource::Default),
        ("none", KeySource::None),
        ("null", KeySource::Default),
        ("{ header: X-Auth }", KeySource::Header("x-auth".into())),
        ("{ cookie: session }", KeySource::Cookie("session".into())),
        ("{ query: api_key }", KeySource::Query("api_key".into())),
    ] {
        let text = minimal("").replace(
            "upstream: api }",
            &format!("upstream: api, key: {written} }}"),
        );
        let config = load(&text).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(config.routes[0].key, meant, "{written}");
    }
}

#[test]
fn an_alias_stands_for_what_it_names() {
    let text = minimal(
        "products:\n  a: { rate_limits: &limits [{ rate: 1/second }] }\n  b: { rate_limits: *limits }\n",
    );
    let config = load(&text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(
        config.products[0].rate_limits,
        config.products[1].rate_limits
    );
    assert_eq!(config.products[1].rate_limits.len(), 1);
}
