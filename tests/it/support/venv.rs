//! What `tests/run` installs for the tests beside what Debian has.

use std::path::{Path, PathBuf};

/// A file of the virtual environment, by its path there or by the end of it below the packages.
fn find(wanted: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_portcullis"))
        .ancestors()
        .nth(2)
        .expect("the build folder");
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let found = [target, &local]
        .iter()
        .map(|it| it.join("tests-venv").join(wanted))
        .find(|it| it.exists());
    found.unwrap_or_else(|| panic!("target/tests-venv/{wanted} is missing: tests/run makes it"))
}

/// Python with the packages of tests/requirements.txt.
pub(crate) fn python() -> PathBuf {
    find("bin/python")
}

/// The server of Valkey.
pub(crate) fn valkey_server() -> PathBuf {
    find("bin/valkey-server")
}
