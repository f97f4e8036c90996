//! `products`: bundles of permissions and limits that keys are given by name.

use crate::domain::permission::Scope;
use crate::domain::product::{Product, is_product_name};

use super::fault::quoted;
use super::limits::{QUOTAS, RATE_LIMITS, read_quotas, read_rates};
use super::section::{Named, Section};
use super::table::{Absent, Kind, List, Many, Nested, Table};
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
    fields: &[&SCOPES, &RATE_LIMITS, &QUOTAS],
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

pub(super) fn read(root: &Section, walk: &mut Walk) -> Vec<Product> {
    root.named(walk, &PRODUCTS)
        .iter()
        .map(|named| product(named, walk))
        .collect()
}

fn product(named: &Named, walk: &mut Walk) -> Product {
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
        description: None,
        routes: Vec::new(),
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
    }
}
