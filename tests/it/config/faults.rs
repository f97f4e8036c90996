//! Every fault at once, each where it stands, each saying what to do.

use super::{faults, load, minimal};

/// One minimal file with `rest` after its third line has exactly these faults.
fn check(rest: &str, expected: &[&str]) {
    assert_eq!(faults(&minimal(rest)), expected, "{rest}");
}

#[test]
fn faults_of_every_kind_come_at_once_with_line_and_caret() {
    let text = "\
listeners:
  - address: 127.0.0.1
    tsl: {}
upstreams:
  orders: { endpoints: [\"http://10.0.0.5:8000/v1\"], balance: random }
routes:
  - match: { path_prefix: /v1/../x }
    upstream: order
    rate_limits: [{ rate: 1/fortnight, burst: 0 }]
    scopes: orders:read
drain: 30
drain: ${DRAIN}
";
    let shown = load(text).map(|_| ()).unwrap_err().to_string();
    let expected = "\
gate.yaml:2:14: listeners[0].address: `127.0.0.1` is not an address and a port, such as `127.0.0.1:8080` or `[::1]:8080`
     2 |   - address: 127.0.0.1
       |              ^^^^^^^^^
gate.yaml:3:5: listeners[0].tsl: there is no such field; did you mean `tls`?
     3 |     tsl: {}
       |     ^^^
";
    assert!(shown.starts_with(expected), "{shown}");
    for (line, part) in [
        (5, "upstreams.orders.endpoints[0]: must have neither a path"),
        (
            5,
            "upstreams.orders.balance: `random` is not `least_requests` or `round_robin`",
        ),
        (
            7,
            "routes[0].match.path_prefix: `/v1/../x` must not have `.` or `..` as a segment",
        ),
        (
            8,
            "routes[0].upstream: there is no upstream `order`; did you mean `orders`?",
        ),
        (
            9,
            "routes[0].rate_limits[0].rate: `fortnight` is not `second`, `minute`, `hour` or `day`",
        ),
        (9, "routes[0].rate_limits[0].burst: must be at least 1"),
        (10, "routes[0].scopes: must be a list, not a single value"),
        (11, "drain: `30` is not a duration"),
        (12, "the environment has no DRAIN"),
        (12, "drain: is given twice, first in line 11"),
    ] {
        assert!(
            shown
                .lines()
                .any(|shown| shown.starts_with(&format!("gate.yaml:{line}:"))
                    && shown.contains(part)),
            "{part}\n{shown}"
        );
    }
    assert_eq!(shown.matches("\n       | ").count(), 12, "{shown}");
}

#[test]
fn what_is_no_configuration_at_all_says_so() {
    for text in ["", "# nothing\n", "---\n"] {
        assert_eq!(
            faults(text),
            ["1:1 : is empty; it needs at least `listeners`, `upstreams` and `routes`"]
        );
    }
    assert_eq!(
        faults("- a\n"),
        ["1:1 : must be a map of fields, not a list"]
    );
    assert_eq!(
        faults("text"),
        ["1:1 : must be a map of fields, not a single value"]
    );
    assert_eq!(
        faults("drain: 1s\n"),
        [
            "1:1 listeners: is missing",
            "1:1 upstreams: is missing",
            "1:1 routes: is missing",
        ]
    );
    assert_eq!(faults("a: [1\nb: 2\n").len(), 1);
    assert_eq!(
        faults("drain: 1s\n---\ndrain: 1s\n"),
        ["3:1 : a configuration is one YAML document"]
    );
}

#[test]
fn a_file_that_is_not_there_is_one_fault_without_a_place() {
    let faults = portcullis::config::load(std::path::Path::new("/nowhere/gate.yaml"), &|_| None)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(faults.faults.len(), 1);
    assert!(
        faults
            .to_string()
            .starts_with("/nowhere/gate.yaml: cannot be read: ")
    );
}

#[test]
fn addresses_of_the_gate_are_its_own() {
    check(
        "admin: { address: 127.0.0.1:8080 }",
        &["4:19 admin.address: is also the address of listeners[0]"],
    );
    check(
        "admin: { address: 127.0.0.1:8000 }",
        &[
            "2:33 upstreams.api.endpoints[0]: leads to this gate itself: it is the address of the admin API",
        ],
    );
    let twice = minimal("").replace("8080 }]", "8080 }, { address: 0.0.0.0:8080 }]");
    assert_eq!(
        faults(&twice),
        ["1:53 listeners[1].address: is also the address of listeners[0]"]
    );
    let default = minimal("").replace("127.0.0.1:8080", "127.0.0.1:9900");
    assert_eq!(
        faults(&default),
        ["1:1 admin.address: is also the address of listeners[0]"]
    );
}

#[test]
fn an_admin_address_without_a_port_is_one_fault() {
    check(
        "admin: { address: 127.0.0.1 }",
        &[
            "4:19 admin.address: `127.0.0.1` is not an address and a port, such as `127.0.0.1:8080` or `[::1]:8080`",
        ],
    );
}

#[test]
fn a_redis_is_reached_in_exactly_one_way() {
    check(
        "store: { redis: { prefix: x } }",
        &["4:17 store.redis: must have exactly one of `urls`, `sentinel`, `cluster`"],
    );
    check(
        "store: { redis: { urls: [\"redis://a\"], cluster: { urls: [\"redis://b\"] } } }",
        &["4:17 store.redis: must have exactly one of `urls`, `sentinel`, `cluster`"],
    );
    check(
        "store: { redis: { urls: [\"redis://a\", \"redis://b\"] } }",
        &[
            "4:39 store.redis.urls[1]: is a second address; several belong below `sentinel` or `cluster`",
        ],
    );
    check(
        "store: { redis: { urls: [\"redis://a\"] }, embedded: { path: x } }",
        &["4:42 store: must have exactly one of `embedded`, `redis`"],
    );
    check(
        "store: { redis: { urls: [\"http://a\"], username: x } }",
        &[
            "4:26 store.redis.urls[0]: must begin with `redis://`, or `rediss://` for TLS",
            "4:39 store.redis.username: needs a `password`",
        ],
    );
}

#[test]
fn sentinels_and_nodes_have_addresses_that_are_spoken_to_alike() {
    check(
        "store: { redis: { sentinel: { username: x } } }",
        &[
            "4:29 store.redis.sentinel.master: is missing",
            "4:29 store.redis.sentinel.urls: is missing",
            "4:31 store.redis.sentinel.username: needs a `password`",
        ],
    );
    check(
        "store: { redis: { cluster: { urls: [] } } }",
        &["4:36 store.redis.cluster.urls: must have at least one"],
    );
    check(
        "store: { redis: { cluster: { urls: [\"redis://a/0\", \"rediss://b\", \"redis://c/1\"] } } }",
        &[
            "4:52 store.redis.cluster.urls[1]: must begin as the first address does",
            "4:66 store.redis.cluster.urls[2]: may have no database: there is only the first",
        ],
    );
    check(
        "store: { redis: { sentinel: { master: m, urls: [\"redis://u:p@a\", \"redis://b\"] } } }",
        &["4:66 store.redis.sentinel.urls[1]: must have the user and the password of the first"],
    );
}

#[test]
fn tls_towards_a_redis_is_looked_at_before_it_is_used() {
    check(
        "store: { redis: { urls: [\"redis://a\"], tls: { cert: Cargo.toml } } }",
        &[
            "4:40 store.redis.tls: is not used: the addresses must begin with `rediss://`",
            "4:47 store.redis.tls.cert: needs a `key`",
            "4:53 store.redis.tls.cert: holds no certificate in PEM",
        ],
    );
    check(
        "store: { redis: { urls: [\"rediss://a\"], tls: { ca: nowhere.pem } } }",
        &[
            "4:52 store.redis.tls.ca: the file cannot be read: No such file or directory (os error 2)",
        ],
    );
}

#[test]
fn a_route_that_cannot_be_told_from_another_is_refused() {
    let routes = |routes: &str| {
        faults(&format!(
            "listeners: [{{ address: 127.0.0.1:8080 }}]\n\
             upstreams: {{ api: {{ endpoints: [\"http://127.0.0.1:8000\"] }} }}\n\
             routes:\n{routes}"
        ))
    };
    assert_eq!(
        routes(
            "- { name: a, match: { path: /x, methods: [GET] }, upstream: api }\n\
             - { name: b, match: { path: /x, methods: [POST] }, upstream: api }\n\
             - { name: c, match: { path_prefix: /x }, upstream: api }\n"
        ),
        Vec::<String>::new(),
        "other methods and other kinds of path are other requests"
    );
    assert_eq!(
        routes(
            "- { name: a, match: { path_template: \"/x/{a}\" }, upstream: api }\n\
             - { name: b, match: { path_template: \"/x/{b}\", methods: [GET] }, upstream: api }\n"
        ),
        ["5:14 routes[1].match: fits the same requests as the route `a`"]
    );
    assert_eq!(
        routes(
            "- { match: { path: /x }, upstream: api }\n\
             - { match: { path_prefix: /x }, upstream: api }\n"
        ),
        [
            "5:3 routes[1].name: is also the name of the route in line 4 by default; give it a `name` of its own"
        ]
    );
    assert_eq!(
        routes("- { match: { path_prefix: /.portcullis/me }, upstream: api }\n"),
        [
            "4:27 routes[0].match.path_prefix: is the gate's own: paths below `/.portcullis/` are never forwarded"
        ]
    );
    assert_eq!(
        routes("- { match: { path_prefix: /x, path: /x }, upstream: api }\n"),
        ["4:31 routes[0].match.path: cannot stand beside `path_prefix`"]
    );
}

#[test]
fn what_a_route_asks_of_a_key_must_make_sense() {
    let route = |rest: &str| {
        faults(&minimal("").replace("upstream: api }", &format!("upstream: api, {rest} }}")))
            .into_iter()
            .map(|fault| {
                fault
                    .split_once(' ')
                    .map(|(_, rest)| rest.to_owned())
                    .unwrap_or_default()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        route("key: none, scopes: [a]"),
        ["routes[0].scopes: asks something of a key, but `key: none` asks for none"]
    );
    assert_eq!(
        route("key: { header: Host }"),
        ["routes[0].key.header: `Host` cannot carry a key: the field has a meaning of its own"]
    );
    assert_eq!(
        route("key: { header: X-A, cookie: b }"),
        ["routes[0].key: must have exactly one of `header`, `cookie`, `query`"]
    );
    assert_eq!(
        route("key: nnoe"),
        ["routes[0].key: `nnoe` is not `default` or `none`; did you mean `none`?"]
    );
    assert_eq!(
        route("envs: [lvie]"),
        ["routes[0].envs[0]: `lvie` is not among `keys.envs`; did you mean `live`?"]
    );
    assert_eq!(
        route("scopes: [\"a b\", \"\"]"),
        [
            "routes[0].scopes[0]: `a b` is not 1 to 64 of `a-z A-Z 0-9 . _ : / -`",
            "routes[0].scopes[1]: is empty; it must be 1 to 64 of `a-z A-Z 0-9 . _ : / -`",
        ]
    );
    assert_eq!(
        route("cost: 21, rate_limits: [{ rate: 100/minute, burst: 20 }, { rate: 100/hour }]"),
        ["routes[0].rate_limits[0]: lets 20 pass at once, so no request of `cost: 21` ever does"]
    );
}

#[test]
fn bounds_are_kept_on_both_sides() {
    for (field, least, most) in [
        ("bounds: { fields_max: N }", "1", "1000"),
        ("bounds: { failures_per_minute: N }", "1", "1000000"),
        ("workers: N", "1", "1024"),
    ] {
        let number = |text: &str| text.parse::<u64>().unwrap_or(0);
        for (value, right) in [
            (number(least) - 1, false),
            (number(least), true),
            (number(most), true),
            (number(most) + 1, false),
        ] {
            let rest = field.replace('N', &value.to_string());
            assert_eq!(faults(&minimal(&rest)).is_empty(), right, "{rest}");
        }
    }
    check(
        "bounds: { target_max: 32KiB }",
        &["4:11 bounds.target_max: is larger than `head_max`, of which the target is a part"],
    );
    check("drain: 61m", &["4:8 drain: must be at most 1h"]);
    check(
        "workers: 99999999999999999999999",
        &["4:10 workers: must be at most 1024"],
    );
}

#[test]
fn only_true_and_false_are_switches() {
    for word in ["yes", "on", "True", "1", "y"] {
        let found = faults(&minimal(&format!("admin: {{ open_metrics: {word} }}")));
        assert_eq!(found.len(), 1, "{word}");
        assert!(
            found[0].contains("is not `true` or `false`"),
            "{}",
            found[0]
        );
    }
    check("admin: { open_metrics: true }", &[]);
}

#[test]
fn a_quota_begins_on_a_day_its_period_has() {
    for (quota, right) in [
        ("per: month, on_day: 31", true),
        ("per: month, on_day: 32", false),
        ("per: week, on_day: 7", true),
        ("per: week, on_day: 8", false),
        ("per: day, on_day: 1", false),
        ("per: total", true),
        ("per: year", false),
    ] {
        let rest = format!("products: {{ p: {{ quotas: [{{ limit: 1, {quota} }}] }} }}");
        assert_eq!(faults(&minimal(&rest)).is_empty(), right, "{quota}");
    }
}

#[test]
fn a_product_opens_routes_there_are() {
    let product = |routes: &str| format!("products: {{ p: {{ routes: {routes} }} }}");
    check(&product("[/]"), &[]);
    for (routes, fault) in [
        (
            "[orders]",
            "products.p.routes[0]: `orders` is the name of no route",
        ),
        (
            "[/, //]",
            "products.p.routes[1]: `//` is the name of no route; did you mean `/`?",
        ),
        ("[/, /]", "products.p.routes[1]: is given twice"),
        ("[]", "products.p.routes: must have at least one"),
    ] {
        let found = faults(&minimal(&product(routes)));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(fault), "{found:?}");
    }
}

/// A gate that was cut off may admit an ended secret until it is stale.
#[test]
fn a_tombstone_outlives_the_stalest_gate() {
    let kept = |kept: &str, stale: &str| {
        let rest =
            format!("keys: {{ tombstones_kept: {kept} }}\nfleet: {{ max_staleness: {stale} }}");
        faults(&minimal(&rest))
    };
    assert_eq!(kept("2d", "47h"), Vec::<String>::new());
    for (span, stale) in [("2d", "2d"), ("2d", "30d"), ("1d", "24h")] {
        let found = kept(span, stale);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("keys.tombstones_kept: must be longer than `fleet.max_staleness`"),
            "{found:?}"
        );
    }
    let found = faults(&minimal("keys: { tombstones_kept: 23h }"));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_health_check_is_answered_before_the_next() {
    let health = |health: &str| {
        faults(&minimal("").replace("8000\"] }", &format!("8000\"], health: {{ {health} }} }}")))
    };
    assert_eq!(health("path: /h, interval: 1s"), Vec::<String>::new());
    assert_eq!(
        health("path: /h, interval: 1s, timeout: 1s"),
        Vec::<String>::new()
    );
    assert_eq!(health("path: /h, interval: 1s, timeout: 1001ms").len(), 1);
    assert_eq!(health("interval: 1s").len(), 1, "a path is needed");
}

#[test]
fn merge_keys_are_named_for_what_they_are() {
    let found = faults(&minimal("bounds:\n  <<: { fields_max: 3 }\n"));
    assert_eq!(
        found,
        [
            "5:3 bounds.<<: there is no such field; merge keys are not read here, write the fields out"
        ]
    );
}

#[test]
fn what_is_only_unwise_is_a_warning() {
    let warnings = |text: &str| load(text).map(|config| config.warnings).unwrap_or_default();
    let open = warnings(&minimal("admin: { address: 0.0.0.0:9900, token: short }"));
    assert_eq!(open.len(), 2, "{open:?}");
    assert!(open[0].starts_with("admin.address: the admin API speaks no TLS"));
    assert!(open[1].starts_with("admin.token: has fewer than 20 characters"));
    let unused = minimal("").replace(
        "8000\"] } }",
        "8000\"] }, old: { endpoints: [\"http://old\"] } }",
    );
    assert_eq!(warnings(&unused), ["upstreams.old: no route leads to it"]);
}
