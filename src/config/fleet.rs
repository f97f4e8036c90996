//! `fleet`: behaviour among several gates.

use std::time::Duration;

use super::Fleet;
use super::section::Section;
use super::table::{Absent, Field, Kind, Many, Nested, Table};
use super::units::{DAY, HOUR, SECOND};
use super::walk::Walk;

pub(super) static FLEET: Nested = Nested {
    name: "fleet",
    many: Many::One,
    table: &TABLE,
    absent: Absent::Means("each of its defaults"),
    says: "Behaviour among several gates that share a Redis.",
};

static TABLE: Table = Table {
    name: "fleet",
    says: "Behaviour among several gates that share a Redis.",
    exactly_one: false,
    fields: &[
        &MAX_NODES,
        &FORGET,
        &LEASE_WAIT,
        &FALLBACK_AFTER,
        &MAX_STALENESS,
    ],
};

static MAX_NODES: Field<u32> = Field {
    name: "max_nodes",
    kind: Kind::count(1, 10_000),
    absent: Absent::Means("as many as were seen"),
    says: "How many gates there will ever be at once; a gate cut off then spends no more than its part of a limit.",
};

static FORGET: Field<Duration> = Field {
    name: "forget",
    kind: Kind::duration(10 * SECOND, 7 * DAY),
    absent: Absent::Default("10m"),
    says: "After how long the share of a silent gate is given to the others.",
};

static LEASE_WAIT: Field<Duration> = Field {
    name: "lease_wait",
    kind: Kind::duration(0, SECOND),
    absent: Absent::Default("25ms"),
    says: "How long a request may wait for its limit's tokens.",
};

static FALLBACK_AFTER: Field<Duration> = Field {
    name: "fallback_after",
    kind: Kind::duration(0, HOUR),
    absent: Absent::Default("0s"),
    says: "After how much silence of the store a gate spends its share of the limits; 3s never admits too much.",
};

static MAX_STALENESS: Field<Duration> = Field {
    name: "max_staleness",
    kind: Kind::duration(10 * SECOND, 365 * DAY),
    absent: Absent::Default("24h"),
    says: "After how long without the store a gate answers 503 `stale`.",
};

pub(super) fn read(root: &Section, walk: &mut Walk) -> Fleet {
    let section = root.section(walk, &FLEET);
    Fleet {
        max_nodes: section.read(walk, &MAX_NODES).map(|read| read.value),
        forget: section.get(walk, &FORGET),
        lease_wait: section.get(walk, &LEASE_WAIT),
        fallback_after: section.get(walk, &FALLBACK_AFTER),
        max_staleness: section.get(walk, &MAX_STALENESS),
    }
}
