//! `audit`: what the audit log asks for.

use super::Audit;
use super::section::Section;
use super::table::{Absent, Kind, List, Many, Nested, Table};
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
    fields: &[&REQUIRE_REASON],
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

pub(super) fn read(root: &Section, walk: &mut Walk) -> Audit {
    let section = root.section(walk, &AUDIT);
    let reasons = section.list(walk, &REQUIRE_REASON);
    Audit {
        require_reason: reasons.into_iter().map(|action| action.value).collect(),
    }
}
