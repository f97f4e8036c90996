//! `store`: where keys are kept.

use std::path::{Path, PathBuf};

use super::StoreChoice;
use super::listeners::FILE;
use super::redis;
use super::section::Section;
use super::table::{Absent, Field, Many, Nested, Table};
use super::walk::Walk;

pub(super) static STORE: Nested = Nested {
    name: "store",
    many: Many::One,
    table: &TABLE,
    absent: Absent::Means("embedded, in `data_dir`"),
    says: "Where keys are kept.",
};

static TABLE: Table = Table {
    name: "store",
    says: "Where keys are kept: on this machine, or in a Redis that several gates share. One of the two.",
    exactly_one: true,
    fields: &[&EMBEDDED, &redis::REDIS],
};

static EMBEDDED: Nested = Nested {
    name: "embedded",
    many: Many::One,
    table: &EMBEDDED_TABLE,
    absent: Absent::Means("as long as there is no `redis`"),
    says: "A file on this machine, for one gate.",
};

static EMBEDDED_TABLE: Table = Table {
    name: "embedded",
    says: "The embedded store.",
    exactly_one: false,
    fields: &[&PATH],
};

static PATH: Field<PathBuf> = Field {
    name: "path",
    kind: FILE,
    absent: Absent::Means("`data_dir`"),
    says: "The directory the file is in.",
};

pub(super) static DATA_DIR: Field<PathBuf> = Field {
    name: "data_dir",
    kind: FILE,
    absent: Absent::Means("the embedded store's path, or `./portcullis-data`"),
    says: "What this gate keeps on its own disk; no two gates share one.",
};

/// Reads `store` and `data_dir`, since each is the other's default.
pub(super) fn read(root: &Section, walk: &mut Walk) -> (StoreChoice, PathBuf) {
    let data_dir = root.read(walk, &DATA_DIR).map(|read| read.value);
    let Some(section) = root.given(walk, &STORE) else {
        let path = data_dir.unwrap_or_else(default_dir);
        return (StoreChoice::Embedded { path: path.clone() }, path);
    };
    let embedded = section.section(walk, &EMBEDDED);
    let path = embedded.read(walk, &PATH).map(|read| read.value);
    if let Some(choice) = redis::read(&section, walk) {
        let data_dir = data_dir.unwrap_or_else(default_dir);
        return (StoreChoice::Redis(Box::new(choice)), data_dir);
    }
    let data_dir = data_dir.or(path.clone()).unwrap_or_else(default_dir);
    let path = path.unwrap_or_else(|| data_dir.clone());
    (StoreChoice::Embedded { path }, data_dir)
}

fn default_dir() -> PathBuf {
    Path::new("./portcullis-data").to_owned()
}
