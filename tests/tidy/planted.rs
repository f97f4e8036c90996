//! Planted faults: each rule is shown what it must catch, and what it must let pass.

use super::source::Source;
use super::{faults_of, has_bare_todo, names_a_port};

/// Asserts that `code` at `path` has one fault for each of `expected`, in any order.
fn check(path: &str, code: &str, expected: &[&str]) {
    let text = format!("//! A sentence.\n{code}\n");
    let faults = faults_of(&Source::new(path, &text));
    assert_eq!(faults.len(), expected.len(), "{path}: {code}: {faults:?}");
    for part in expected {
        assert!(
            faults.iter().any(|fault| fault.contains(part)),
            "{code}: {faults:?}"
        );
    }
}

#[test]
fn an_edge_that_the_table_lacks_is_found_however_it_is_written() {
    let no_store = "`proxy` must not import `store`";
    check(
        "src/proxy/forward.rs",
        "use crate::store::Store;",
        &[no_store],
    );
    check(
        "src/proxy/forward.rs",
        "use crate::{domain::id, store::{self, Store}};",
        &[no_store],
    );
    check(
        "src/proxy/forward.rs",
        "fn f() { crate::store::open(); }",
        &[no_store],
    );
    check(
        "src/proxy/forward.rs",
        "use crate::{\n    state,\n    store,\n};",
        &[no_store],
    );
    check(
        "src/proxy/forward.rs",
        "#[cfg(test)]\nmod tests { use crate::store::x; }",
        &[no_store],
    );
    check(
        "src/domain/key.rs",
        "use crate::config::Config;",
        &["`domain` must not import `config`"],
    );
    check(
        "src/main.rs",
        "use portcullis::store;",
        &["`main` must not import `store`"],
    );
    check("src/main.rs", "use portcullis::cli;", &[]);
}

#[test]
fn an_edge_of_the_table_passes() {
    check(
        "src/proxy/forward.rs",
        "use crate::{domain::{id, key}, state::store_of_slots};",
        &[],
    );
    check(
        "src/proxy/forward.rs",
        "use crate::proxy::body; pub(crate) fn f() {}",
        &[],
    );
    check(
        "src/proxy/forward.rs",
        "// crate::store\nconst S: &str = \"crate::store::x\";",
        &[],
    );
    check(
        "src/proxy/forward.rs",
        "const S: &str = r#\"\"crate::store\"#; /* /* */ crate::store */",
        &[],
    );
}

#[test]
fn a_room_outside_the_table_is_found() {
    check("src/attic/mod.rs", "", &["`attic` is not in the table"]);
    check("src/lib.rs", "pub mod domain;", &[]);
    check("src/lib.rs", "pub use domain::key::Key;", &["no re-export"]);
}

#[test]
fn super_stays_in_its_room() {
    check("src/store/redis/feed.rs", "use super::super::record;", &[]);
    check(
        "src/store/redis/feed.rs",
        "use super::super::super::proxy;",
        &["`super` leaves"],
    );
    check(
        "src/store/mod.rs",
        "#[cfg(test)]\nmod tests { use super::*; }",
        &[],
    );
    check(
        "src/store/mod.rs",
        "use super::domain;",
        &["`super` leaves"],
    );
    check(
        "src/store/mod.rs",
        "mod a { use super::super::domain; }",
        &["`super` leaves"],
    );
    check(
        "src/store/mod.rs",
        "pub(super) struct S<'super_>(&'super_ u8);",
        &[],
    );
}

#[test]
fn looks_are_checked() {
    let long = |lines: usize| "//! A sentence.\n".repeat(lines);
    let faults = |lines: usize| faults_of(&Source::new("src/state/keys.rs", &long(lines))).len();
    assert_eq!((faults(499), faults(500)), (0, 1));
    assert_eq!(
        faults_of(&Source::new("src/state/keys.rs", "use std::fs;\n")).len(),
        1
    );
    check("src/state/utils.rs", "", &["`utils` is a drawer"]);
    check("src/state/core/mod.rs", "", &["`core` is a drawer"]);
    check(
        "tests/it/support/helpers.rs",
        "",
        &["`helpers` is a drawer"],
    );
}

#[test]
fn unfinished_work_is_found() {
    let word = concat!("TO", "DO");
    assert!(has_bare_todo(&format!("// {word}: later")));
    assert!(has_bare_todo(&format!("// {word}(#): later")));
    assert!(!has_bare_todo(&format!("// {word}(#12): later")));
    check(
        "src/state/keys.rs",
        &format!("// {word}"),
        &["without the number"],
    );
    check(
        "src/state/keys.rs",
        &format!("const S: &str = \"{word}\";"),
        &[],
    );
    check("src/state/keys.rs", "fn f() { todo!() }", &["unfinished"]);
    check(
        "src/state/keys.rs",
        "fn f() { unimplemented!(); }",
        &["unfinished"],
    );
}

#[test]
fn the_front_of_a_folder_decides_nothing() {
    let front = |code: &str, expected: &[&str]| {
        check("src/store/mod.rs", &format!("mod error;\n{code}"), expected);
    };
    let found = "the front of a folder decides nothing";
    front("fn f(a: bool) -> u8 { if a { 1 } else { 2 } }", &[found]);
    front("fn f() { for _ in 0..2 {} }", &[found]);
    front("fn f(a: u8) { match a { _ => () } }", &[found]);
    front(
        "impl Debug for S { fn fmt(&self) -> R { write!(f, \"if\") } }",
        &[],
    );
    front("pub(in crate::store) trait T { fn f(&self); }", &[]);
    front("#[cfg(test)]\nmod tests { fn f() { if true {} } }", &[]);
    let decision = "fn f(a: bool) -> u8 { if a { 1 } else { 2 } }";
    check("src/store/local.rs", decision, &[]);
    check(
        "src/store/mod.rs",
        &format!("{decision}\n#[cfg(test)]\nmod tests;"),
        &[],
    );
}

#[test]
fn tasks_are_spawned_in_one_place() {
    check(
        "src/control/flush.rs",
        "fn f() { tokio::spawn(x); }",
        &["a task without a name"],
    );
    check(
        "src/control/flush.rs",
        "fn f() { tokio::task::spawn(x); }",
        &["a task without a name"],
    );
    check("src/app/tasks.rs", "fn f() { tokio::spawn(x); }", &[]);
    check(
        "src/control/flush.rs",
        "#[cfg(test)]\nmod tests { fn f() { tokio::spawn(x); } }",
        &[],
    );
    check(
        "src/control/flush.rs",
        "fn f() { tasks.spawn(\"flush\", x); }",
        &[],
    );
    check(
        "src/control/flush.rs",
        "fn f() { tokio::task::spawn_blocking(x); }",
        &[],
    );
    check(
        "src/control/flush.rs",
        "fn f() { spawn_local(x); }",
        &["`spawn_local` belongs"],
    );
    check(
        "src/proxy/connection.rs",
        "fn f() { tokio::task::spawn_local(x); }",
        &[],
    );
}

#[test]
fn a_lint_is_expected_and_never_allowed() {
    check(
        "src/store/error.rs",
        "#[allow(dead_code)]\nfn f() {}",
        &["`allow` hides"],
    );
    check(
        "src/store/error.rs",
        "#![allow(dead_code)]",
        &["`allow` hides"],
    );
    check(
        "src/store/error.rs",
        "#[expect(dead_code, reason = \"x\")]\nfn f() { allow(1) }",
        &[],
    );
}

#[test]
fn the_domain_has_no_wire_form() {
    check(
        "src/domain/key.rs",
        "#[derive(Serialize)]\nstruct S;",
        &["no wire form"],
    );
    check("src/api/keys.rs", "#[derive(Serialize)]\nstruct S;", &[]);
}

#[test]
fn a_test_neither_sleeps_nor_names_a_port() {
    let address = |port: u16| format!("const A: &str = \"http://127.0.0.1:{port}/\";");
    check(
        "tests/it/proxy/http1.rs",
        "fn f() { sleep(SECOND).await }",
        &["sleeps"],
    );
    check(
        "tests/it/support/clock.rs",
        "fn f() { sleep(SECOND).await }",
        &[],
    );
    check(
        "src/state/keys.rs",
        "#[cfg(test)]\nmod tests { fn f() { sleep(x) } }",
        &["sleeps"],
    );
    check("src/state/keys.rs", "fn f() { sleep(x) }", &[]);
    for path in ["tests/it/process/gate.rs", "tests/it/support/clock.rs"] {
        let parks = "fn f() { std::thread::park_timeout(SECOND) }";
        check(path, parks, &["a sleep by another name"]);
    }
    check(
        "tests/it/support/patience.rs",
        "fn f() { std::thread::park_timeout(SECOND) }",
        &[],
    );
    check(
        "tests/it/process/gate.rs",
        "fn f() { while !g() { std::thread::yield_now() } }",
        &["who spins"],
    );
    check(
        "tests/it/proxy/http1.rs",
        "async fn f() { tokio::task::yield_now().await }",
        &[],
    );
    check(
        "tests/it/proxy/http1.rs",
        &address(8080),
        &["a port of this machine"],
    );
    check("tests/it/proxy/http1.rs", &address(0), &[]);
    check("tests/it/proxy/http1.rs", &address(80), &[]);
    check("tests/it/config/faults.rs", &address(8080), &[]);
    check("tests/it/support/gateway.rs", &address(8080), &[]);
    check(
        "tests/it/proxy/http1.rs",
        "#[test]\n#[ignore]\nfn f() {}",
        &["ignored without a reason"],
    );
    check(
        "tests/it/proxy/http1.rs",
        "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
        &[],
    );
    assert!(names_a_port(&format!("localhost:{}", 1024)));
    assert!(!names_a_port(&format!("localhost:{}", 1023)));
    assert!(!names_a_port("localhost:{port}"));
}

#[test]
fn characters_and_lifetimes_are_told_apart() {
    let code = "fn f<'a>(s: &'a str) -> char { let c = '\"'; let d = '\\''; crate::store::x(); c }";
    check("src/proxy/body.rs", code, &["must not import `store`"]);
    check(
        "src/proxy/body.rs",
        "const B: &[u8] = b\"\\\"\"; // \"\nuse crate::store::S;",
        &["`store`"],
    );
}
