//! `bounds` and `deadlines`: what a client may send, and how long it may take.

use std::time::Duration;

use super::section::Section;
use super::table::{Absent, Field, Kind, Many, Nested, Table};
use super::units::{DAY, HOUR, KIB, MIB, MINUTE};
use super::walk::Walk;
use super::{Bounds, Deadlines};

pub(super) static BOUNDS: Nested = Nested {
    name: "bounds",
    many: Many::One,
    table: &BOUNDS_TABLE,
    absent: Absent::Means("each of its defaults"),
    says: "What a client may send.",
};

static BOUNDS_TABLE: Table = Table {
    name: "bounds",
    says: "What a client may send. What exceeds it is refused before it costs anything.",
    exactly_one: false,
    fields: &[
        &TARGET_MAX,
        &HEAD_MAX,
        &FIELDS_MAX,
        &CONNECTIONS_MAX,
        &CONNECTIONS_PER_ADDRESS_MAX,
        &REQUESTS_PER_CONNECTION_MAX,
        &STREAMS_MAX,
        &BODY_RATE_MIN,
        &FAILURES_PER_MINUTE,
    ],
};

static TARGET_MAX: Field<usize> = Field {
    name: "target_max",
    kind: Kind::memory(64, 64 * KIB),
    absent: Absent::Default("8KiB"),
    says: "The longest request target; a longer one is 414.",
};

static HEAD_MAX: Field<usize> = Field {
    name: "head_max",
    kind: Kind::memory(KIB, MIB),
    absent: Absent::Default("16KiB"),
    says: "The largest head; a larger one is 431.",
};

static FIELDS_MAX: Field<usize> = Field {
    name: "fields_max",
    kind: Kind::number(1, 1_000),
    absent: Absent::Default("100"),
    says: "The most header fields; more are 431.",
};

static CONNECTIONS_MAX: Field<usize> = Field {
    name: "connections_max",
    kind: Kind::number(1, 10_000_000),
    absent: Absent::Default("10000"),
    says: "The most connections at once; the next one is closed as soon as it is accepted.",
};

static CONNECTIONS_PER_ADDRESS_MAX: Field<usize> = Field {
    name: "connections_per_address_max",
    kind: Kind::number(1, 10_000_000),
    absent: Absent::Default("256"),
    says: "The most connections at once from one address (IPv6: one /64).",
};

static REQUESTS_PER_CONNECTION_MAX: Field<u32> = Field {
    name: "requests_per_connection_max",
    kind: Kind::count(1, u32::MAX),
    absent: Absent::Default("10000"),
    says: "After how many requests a connection is closed, so that load spreads anew.",
};

static STREAMS_MAX: Field<u32> = Field {
    name: "streams_max",
    kind: Kind::count(1, 10_000),
    absent: Absent::Default("100"),
    says: "The most streams at once on one HTTP/2 connection.",
};

static BODY_RATE_MIN: Field<u64> = Field {
    name: "body_rate_min",
    kind: Kind::size(0, MIB),
    absent: Absent::Default("1KiB"),
    says: "The least a body must bring a second, of the time its client is waited for, once that is 5 s; a slower one is 408. It is not asked for once the answer has begun; `0B` turns it off.",
};

static FAILURES_PER_MINUTE: Field<u32> = Field {
    name: "failures_per_minute",
    kind: Kind::count(1, 1_000_000),
    absent: Absent::Default("60"),
    says: "The most wrong credentials a minute from one address (IPv6: one /64); more are 429. A right one is never refused for them.",
};

pub(super) static DEADLINES: Nested = Nested {
    name: "deadlines",
    many: Many::One,
    table: &DEADLINES_TABLE,
    absent: Absent::Means("each of its defaults"),
    says: "How long a client may take.",
};

static DEADLINES_TABLE: Table = Table {
    name: "deadlines",
    says: "How long a client may take. Upstreams have `timeouts`, by route.",
    exactly_one: false,
    fields: &[&HANDSHAKE, &PREFACE, &HEAD, &BODY_IDLE, &IDLE, &WRITE_STALL],
};

static HANDSHAKE: Field<Duration> = Field {
    name: "handshake",
    kind: Kind::duration(100, 10 * MINUTE),
    absent: Absent::Default("10s"),
    says: "For the TLS handshake.",
};

static PREFACE: Field<Duration> = Field {
    name: "preface",
    kind: Kind::duration(100, 10 * MINUTE),
    absent: Absent::Default("5s"),
    says: "For what an HTTP/2 connection begins with: preface and settings.",
};

static HEAD: Field<Duration> = Field {
    name: "head",
    kind: Kind::duration(100, 10 * MINUTE),
    absent: Absent::Default("10s"),
    says: "For a whole head, from its first byte.",
};

static BODY_IDLE: Field<Duration> = Field {
    name: "body_idle",
    kind: Kind::duration(100, HOUR),
    absent: Absent::Default("30s"),
    says: "For the next bytes of a body.",
};

static IDLE: Field<Duration> = Field {
    name: "idle",
    kind: Kind::duration(100, DAY),
    absent: Absent::Default("60s"),
    says: "For the next request on a connection that is kept.",
};

static WRITE_STALL: Field<Duration> = Field {
    name: "write_stall",
    kind: Kind::duration(100, HOUR),
    absent: Absent::Default("30s"),
    says: "For taking more of a response, by a connection or an HTTP/2 stream.",
};

pub(super) fn read_bounds(root: &Section, walk: &mut Walk) -> Bounds {
    let section = root.section(walk, &BOUNDS);
    let bounds = Bounds {
        target_max: section.get(walk, &TARGET_MAX),
        head_max: section.get(walk, &HEAD_MAX),
        fields_max: section.get(walk, &FIELDS_MAX),
        connections_max: section.get(walk, &CONNECTIONS_MAX),
        connections_per_address_max: section.get(walk, &CONNECTIONS_PER_ADDRESS_MAX),
        requests_per_connection_max: section.get(walk, &REQUESTS_PER_CONNECTION_MAX),
        streams_max: section.get(walk, &STREAMS_MAX),
        body_rate_min: section.get(walk, &BODY_RATE_MIN),
        failures_per_minute: section.get(walk, &FAILURES_PER_MINUTE),
    };
    if bounds.target_max > bounds.head_max {
        walk.fault(
            section.path_of(TARGET_MAX.name),
            section.at_of(TARGET_MAX.name),
            "is larger than `head_max`, of which the target is a part",
        );
    }
    bounds
}

pub(super) fn read_deadlines(root: &Section, walk: &mut Walk) -> Deadlines {
    let section = root.section(walk, &DEADLINES);
    Deadlines {
        handshake: section.get(walk, &HANDSHAKE),
        preface: section.get(walk, &PREFACE),
        head: section.get(walk, &HEAD),
        body_idle: section.get(walk, &BODY_IDLE),
        idle: section.get(walk, &IDLE),
        write_stall: section.get(walk, &WRITE_STALL),
    }
}
