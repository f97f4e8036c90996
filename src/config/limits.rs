//! Rate limits and quotas, as routes and products have them.

use std::num::NonZeroU32;

use crate::domain::limit::{
    Enforce, LimitMode, Period, QUOTA_MAX, Quota, RATE_MAX, Rate, RateLimit,
};

use super::section::Section;
use super::table::{Absent, Field, Kind, Many, Nested, Table};
use super::units::Unit;
use super::walk::Walk;

pub(super) static RATE_LIMITS: Nested = Nested {
    name: "rate_limits",
    many: Many::List,
    table: &RATE_LIMIT,
    absent: Absent::Means("none"),
    says: "How many requests may pass; each of the limits must allow one.",
};

static RATE_LIMIT: Table = Table {
    name: "rate limit",
    says: "A rate, and how many may pass at once (GCRA).",
    exactly_one: false,
    fields: &[&RATE, &BURST, &MODE, &ENFORCE],
};

static RATE: Field<Rate> = Field {
    name: "rate",
    kind: Kind::Text {
        what: "a rate, such as `100/minute`; units are `second`, `minute`, `hour` and `day`",
        pattern: Some("^[0-9]+/(second|minute|hour|day)$"),
        secret: false,
        parse: |text| text.parse().map_err(|error| format!("{error}")),
    },
    absent: Absent::Fault,
    says: "How many in what time, such as `100/minute`; units are `second`, `minute`, `hour` and `day`.",
};

static BURST: Field<NonZeroU32> = Field {
    name: "burst",
    kind: Kind::Number {
        unit: Unit::Count,
        min: 1,
        max: RATE_MAX as u64,
        make: |number| {
            u32::try_from(number)
                .ok()
                .and_then(NonZeroU32::new)
                .unwrap_or(NonZeroU32::MIN)
        },
    },
    absent: Absent::Means("the rate's number"),
    says: "The most that passes at once.",
};

static MODE: Field<LimitMode> = Field {
    name: "mode",
    kind: Kind::Word(&[
        ("local", LimitMode::Local),
        ("shared", LimitMode::Shared),
        ("strict", LimitMode::Strict),
    ]),
    absent: Absent::Default("shared"),
    says: "Who counts where several gates do: each for itself, all together, or all together and asked each time.",
};

static ENFORCE: Field<Enforce> = Field {
    name: "enforce",
    kind: Kind::Word(&[("on", Enforce::On), ("shadow", Enforce::Shadow)]),
    absent: Absent::Default("on"),
    says: "`shadow` counts and reports what it would have refused, and refuses nothing.",
};

pub(super) static QUOTAS: Nested = Nested {
    name: "quotas",
    many: Many::List,
    table: &QUOTA,
    absent: Absent::Means("none"),
    says: "Allowances per calendar period.",
};

static QUOTA: Table = Table {
    name: "quota",
    says: "An allowance per calendar period, in UTC.",
    exactly_one: false,
    fields: &[&LIMIT, &PER, &ON_DAY, &HARD],
};

static LIMIT: Field<u64> = Field {
    name: "limit",
    kind: Kind::Number {
        unit: Unit::Count,
        min: 1,
        max: QUOTA_MAX,
        make: |number| number,
    },
    absent: Absent::Fault,
    says: "How much.",
};

static PER: Field<Period> = Field {
    name: "per",
    kind: Kind::Word(&[
        ("day", Period::Day),
        ("week", Period::Week),
        ("month", Period::Month),
        ("total", Period::Total),
    ]),
    absent: Absent::Fault,
    says: "In which period; `total` is for ever.",
};

static ON_DAY: Field<u32> = Field {
    name: "on_day",
    kind: Kind::count(1, 31),
    absent: Absent::Means("the first"),
    says: "On which day the period begins: 1–31 of a month, 1–7 of a week, Monday first.",
};

static HARD: Field<bool> = Field {
    name: "hard",
    kind: Kind::SWITCH,
    absent: Absent::Default("true"),
    says: "Whether it refuses when it is spent.",
};

/// The rate limits of a route or a product, each with the section it stood in.
pub(super) fn read_rates<'n>(
    section: &Section<'n>,
    walk: &mut Walk,
) -> Vec<(RateLimit, Section<'n>)> {
    section
        .sections(walk, &RATE_LIMITS)
        .into_iter()
        .filter_map(|section| {
            let rate = section.read(walk, &RATE);
            let burst = section.read(walk, &BURST);
            let mode = section.get(walk, &MODE);
            let enforce = section.get(walk, &ENFORCE);
            let limit = RateLimit::new(rate?.value);
            let limit = RateLimit {
                burst: burst.map_or(limit.burst, |burst| burst.value),
                mode,
                enforce,
                ..limit
            };
            Some((limit, section))
        })
        .collect()
}

/// The quotas of a product.
pub(super) fn read_quotas(section: &Section, walk: &mut Walk) -> Vec<Quota> {
    section
        .sections(walk, &QUOTAS)
        .iter()
        .filter_map(|section| quota(section, walk))
        .collect()
}

fn quota(section: &Section, walk: &mut Walk) -> Option<Quota> {
    let limit = section.read(walk, &LIMIT);
    let per = section.read(walk, &PER);
    let on_day = section.read(walk, &ON_DAY);
    let hard = section.get(walk, &HARD);
    let per = per?.value;
    if let Some(day) = &on_day {
        match per {
            Period::Month => {}
            Period::Week if day.value <= 7 => {}
            Period::Week => walk.fault_of(day, "must be at most 7, the Sunday of a week"),
            Period::Day | Period::Total => {
                walk.fault_of(day, "is for quotas per `week` or `month`");
            }
        }
    }
    Some(Quota {
        limit: limit?.value,
        per,
        on_day: on_day.and_then(|day| u8::try_from(day.value).ok()),
        hard,
    })
}
