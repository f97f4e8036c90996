//! Which route a request takes.

use std::time::Duration;

use super::*;
use crate::domain::permission::Methods;
use crate::domain::route::{BODY_MAX, KeySource, Timeouts};
use crate::domain::upstream::{Balance, Endpoint, Upstream};

fn route(name: &str, host: HostMatch, path: PathMatch, methods: &[Method]) -> Route {
    Route {
        name: name.into(),
        host,
        path,
        methods: methods.iter().copied().collect::<Methods>(),
        upstream: "u".into(),
        key: KeySource::Default,
        scopes: vec![],
        envs: vec![],
        rate_limits: vec![],
        cost: 1,
        timeouts: Timeouts::default(),
        body_max: BODY_MAX,
        keeps_encoded_slashes: false,
    }
}

fn table(routes: &[Route]) -> RouteTable {
    let upstream = Upstream {
        name: "u".into(),
        endpoints: vec![Endpoint {
            tls: false,
            host: "127.0.0.1".into(),
            port: 1,
        }],
        balance: Balance::default(),
        health: None,
        idle_max: 1,
        idle_timeout: Duration::from_secs(1),
    };
    let upstreams = vec![Arc::new(UpstreamState::new(upstream, 0))];
    RouteTable::new(routes, upstreams, &LimitBook::default()).unwrap()
}

fn exact(path: &str) -> PathMatch {
    PathMatch::Exact(path.into())
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.into())
}

fn template(path: &str) -> PathMatch {
    PathMatch::Template(path.into())
}

#[track_caller]
fn check(table: &RouteTable, rows: &[(&str, &str, Method, Result<&str, Miss>)]) {
    for (host, path, method, expected) in rows {
        let found = table.find(host, path, *method).map(|state| &*state.name);
        assert_eq!(found, *expected, "{} {host}{path}", method.as_str());
    }
}

#[test]
fn the_most_specific_path_decides() {
    let any = HostMatch::Any;
    let table = table(&[
        route("all", any.clone(), prefix("/"), &[]),
        route("orders", any.clone(), prefix("/v1/orders"), &[]),
        route("special", any.clone(), exact("/v1/orders/special"), &[]),
        route("one", any.clone(), template("/v1/orders/{id}"), &[]),
        route("items", any, template("/v1/orders/{id}/items"), &[]),
    ]);
    let get = Method::Get;
    check(
        &table,
        &[
            ("h", "/", get, Ok("all")),
            ("h", "/x", get, Ok("all")),
            ("h", "/v1/ordersx", get, Ok("all")),
            ("h", "/v1/orders", get, Ok("orders")),
            ("h", "/v1/orders/", get, Ok("orders")),
            ("h", "/v1/orders/special", get, Ok("special")),
            ("h", "/v1/orders/7", get, Ok("one")),
            ("h", "/v1/orders/7/items", get, Ok("items")),
            ("h", "/v1/orders/7/items/2", get, Ok("orders")),
        ],
    );
}

#[test]
fn parameters_of_a_segment_lead_round_no_route() {
    let any = HostMatch::Any;
    let table = table(&[
        route("all", any.clone(), prefix("/"), &[]),
        route("secret", any.clone(), prefix("/secret"), &[]),
        route("deep", any.clone(), exact("/a/secret/b"), &[]),
        route("one", any.clone(), template("/users/{id}"), &[]),
        route("meant", any, exact("/m;v=1"), &[]),
    ]);
    let get = Method::Get;
    check(
        &table,
        &[
            ("h", "/secret;a", get, Ok("secret")),
            ("h", "/secret;", get, Ok("secret")),
            ("h", "/secret;a=1;b/x", get, Ok("secret")),
            ("h", "/secret%3Ba", get, Ok("secret")),
            ("h", "/secret%3B;a/x", get, Ok("secret")),
            ("h", "/a;1/secret;2/b;3", get, Ok("deep")),
            ("h", "/users/7;v=1", get, Ok("one")),
            ("h", "/users/;v=1", get, Ok("all")),
            ("h", "/secre;t", get, Ok("all")),
            ("h", "/secret%3Fa", get, Ok("all")),
            ("h", "/m;v=1", get, Ok("meant")),
            ("h", "/m;v=2", get, Ok("all")),
        ],
    );
}

#[test]
fn a_route_for_one_method_leaves_the_others_to_a_wider_one() {
    let any = HostMatch::Any;
    let table = table(&[
        route("post", any.clone(), prefix("/orders"), &[Method::Post]),
        route("reads", any, prefix("/"), &[Method::Get]),
    ]);
    let get: Methods = [Method::Get].into_iter().collect();
    let both: Methods = [Method::Get, Method::Post].into_iter().collect();
    check(
        &table,
        &[
            ("h", "/orders", Method::Post, Ok("post")),
            ("h", "/orders/1", Method::Get, Ok("reads")),
            ("h", "/orders", Method::Put, Err(Miss::Method(both))),
            ("h", "/x", Method::Post, Err(Miss::Method(get))),
        ],
    );
}

#[test]
fn the_most_specific_host_decides_before_the_path() {
    let table = table(&[
        route("any", HostMatch::Any, prefix("/"), &[]),
        route("deep", HostMatch::Any, exact("/deep"), &[]),
        route(
            "below",
            HostMatch::Below("example.com".into()),
            prefix("/"),
            &[],
        ),
        route(
            "exact",
            HostMatch::Exact("api.example.com".into()),
            prefix("/v1"),
            &[],
        ),
    ]);
    let get = Method::Get;
    check(
        &table,
        &[
            ("other.org", "/deep", get, Ok("deep")),
            ("x.example.com", "/deep", get, Ok("below")),
            ("example.com", "/x", get, Ok("any")),
            ("api.example.com", "/v1/x", get, Ok("exact")),
            ("api.example.com", "/x", get, Ok("below")),
            ("evilexample.com", "/x", get, Ok("any")),
        ],
    );
}

#[test]
fn without_a_route_there_is_no_route() {
    let table = table(&[route("v1", HostMatch::Any, prefix("/v1/"), &[])]);
    let get = Method::Get;
    check(
        &table,
        &[
            ("h", "/v1", get, Err(Miss::Path)),
            ("h", "/v1/", get, Ok("v1")),
            ("h", "/v1/x", get, Ok("v1")),
            ("h", "/", get, Err(Miss::Path)),
        ],
    );
}

#[test]
fn braces_in_a_path_stand_for_themselves() {
    let table = table(&[route("odd", HostMatch::Any, exact("/a{b}"), &[])]);
    check(
        &table,
        &[
            ("h", "/a{b}", Method::Get, Ok("odd")),
            ("h", "/ax", Method::Get, Err(Miss::Path)),
        ],
    );
}
