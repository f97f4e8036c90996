//! `products`: bundles of permissions and limits that keys are given by name.

use std::time::Duration;

use crate::domain::lifecycle::is_text;
use crate::domain::permission::Scope;
use crate::domain::product::{Product, is_product_name};
use crate::domain::route::Route;

use super::fault::quoted;
use super::limits::{QUOTAS, RATE_LIMITS, read_quotas, read_rates};
use super::nearest::did_you_mean;
use super::section::{Named, Section};
use super::table::{Absent, Field, Kind, List, Many, Nested, Table};
use super::units::{DAY, SECOND};
use super::walk::Walk;

pub(super) static PRODUCTS: Nested = Nested {
    name: "products",
    many: Many::Named,
    table: &PRODUCT,
    absent: Absent::Means("none"),
    says: "Bundles of permissions and limits that keys are given by name.",
};

static PRODUCT: Table = Table {
    name: "product",
    says: "A bundle of permissions and limits, under a name of 1 to 64 of `a-z 0-9 _ -`.",
    exactly_one: false,
    fields: &[
        &DESCRIPTION,
        &SCOPES,
        &ROUTES,
        &RATE_LIMITS,
        &QUOTAS,
        &MAX_STALENESS,
    ],
};

static DESCRIPTION: Field<String> = Field {
    name: "description",
    kind: Kind::Text {
        what: "at most 1024 characters",
        pattern: None,
        secret: false,
        parse: |text| {
            is_text(text, 0, 1_024)
                .then(|| text.to_owned())
                .ok_or_else(|| "has more than 1024 characters, or control characters".to_owned())
        },
    },
    absent: Absent::Means("none"),
    says: "What it is for.",
};

static MAX_STALENESS: Field<Duration> = Field {
    name: "max_staleness",
    kind: Kind::duration(5 * SECOND, 365 * DAY),
    absent: Absent::Means("as `fleet.max_staleness` says"),
    says: "For how long a gate that lost touch with the store goes on admitting its keys; a key may have its own.",
};

static ROUTES: List<String> = List {
    name: "routes",
    kind: Kind::Text {
        what: "a route's name",
        pattern: None,
        secret: false,
        parse: |text| Ok(text.to_owned()),
    },
    absent: Absent::Means("all"),
    says: "The routes it opens, by name. A key whose products all name routes reaches those alone.",
};

static SCOPES: List<Scope> = List {
    name: "scopes",
    kind: SCOPE,
    absent: Absent::Means("none"),
    says: "What it permits, besides what a key has of its own.",
};

/// A scope's name.
pub(super) const SCOPE: Kind<Scope> = Kind::Text {
    what: "1 to 64 of `a-z A-Z 0-9 . _ : / -`",
    pattern: Some("^[a-zA-Z0-9._:/-]{1,64}$"),
    secret: false,
    parse: |text| {
        text.parse()
            .map_err(|_| format!("{} is not 1 to 64 of `a-z A-Z 0-9 . _ : / -`", quoted(text)))
    },
};

/// `routes` are those of the configuration.
pub(super) fn read(root: &Section, walk: &mut Walk, routes: &[Route]) -> Vec<Product> {
    root.named(walk, &PRODUCTS)
        .iter()
        .map(|named| product(named, walk, routes))
        .collect()
}

fn product(named: &Named, walk: &mut Walk, routes: &[Route]) -> Product {
    let section = &named.section;
    if !is_product_name(&named.name) {
        walk.fault(
            section.path.clone(),
            named.name_at,
            "is not a product's name: 1 to 64 of `a-z 0-9 _ -`",
        );
    }
    Product {
        name: named.name.clone(),
        description: section.read(walk, &DESCRIPTION).map(|read| read.value),
        routes: opened(section, walk, routes),
        scopes: section
            .list(walk, &SCOPES)
            .into_iter()
            .map(|scope| scope.value)
            .collect(),
        rate_limits: read_rates(section, walk)
            .into_iter()
            .map(|(limit, _)| limit)
            .collect(),
        quotas: read_quotas(section, walk),
        max_staleness: section.read(walk, &MAX_STALENESS).map(|read| read.value),
    }
}

/// The routes that a product opens, each once.
fn opened(section: &Section, walk: &mut Walk, routes: &[Route]) -> Vec<String> {
    let named = section.list(walk, &ROUTES);
    // None named means all: an empty list would open what it seems to close.
    section.check_not_empty(walk, ROUTES.name);
    let mut opened: Vec<String> = Vec::with_capacity(named.len());
    for name in named {
        let names = || routes.iter().map(|route| route.name.as_str());
        if !names().any(|known| known == name.value) {
            let near = did_you_mean(&name.value, names());
            let shown = &name.shown;
            walk.fault_of(&name, format!("{shown} is the name of no route{near}"));
        } else if opened.contains(&name.value) {
            walk.fault_of(&name, "is given twice");
        } else {
            opened.push(name.value);
        }
    }
    opened
}
