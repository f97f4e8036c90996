//! `audit`: what the audit log asks for.

use std::time::Duration;

use super::Audit;
use super::section::Section;
use super::table::{Absent, Field, Kind, List, Many, Nested, Table};
use super::units::{DAY, GIB, HOUR, MIB};
use super::walk::Walk;
use crate::domain::audit::Action;

pub(super) static AUDIT: Nested = Nested {
    name: "audit",
    many: Many::One,
    table: &TABLE,
    absent: Absent::Means("each of its defaults"),
    says: "What the audit log asks for.",
};

static TABLE: Table = Table {
    name: "audit",
    says: "What the audit log asks for.",
    exactly_one: false,
    fields: &[&REQUIRE_REASON, &REQUESTS_KEPT, &REQUESTS_MAX],
};

static REQUIRE_REASON: List<Action> = List {
    name: "require_reason",
    kind: Kind::Word(&[
        ("rotate", Action::KeyRotation),
        ("revoke", Action::KeyRevocation),
        ("disable", Action::OwnerDisable),
    ]),
    absent: Absent::Means("none"),
    says: "What is refused without a reason: rotating a key, revoking a key or a version, disabling an owner.",
};

static REQUESTS_KEPT: Field<Duration> = Field {
    name: "requests_kept",
    kind: Kind::duration(HOUR, 400 * DAY),
    absent: Absent::Default("7d"),
    says: "How long requests are kept on this gate's disk, for the audit log.",
};

static REQUESTS_MAX: Field<usize> = Field {
    name: "requests_max",
    kind: Kind::memory(MIB, 1_024 * GIB),
    absent: Absent::Default("1GiB"),
    says: "How much of that disk they may take; beyond it the oldest go, however young.",
};

pub(super) fn read(root: &Section, walk: &mut Walk) -> Audit {
    let section = root.section(walk, &AUDIT);
    let reasons = section.list(walk, &REQUIRE_REASON);
    Audit {
        require_reason: reasons.into_iter().map(|action| action.value).collect(),
        requests_kept: section.get(walk, &REQUESTS_KEPT),
        requests_max: section.get(walk, &REQUESTS_MAX) as u64,
    }
}
