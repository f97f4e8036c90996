//! From what was asked of a product to what it bundles, with every fault at its place.

use crate::admin::keys::form::{quotas, rate_limits, staleness};
use crate::admin::lists::{each, few, once_each};
use crate::api::products::{CreateProduct, PatchProduct};
use crate::control::products::ProductPatch;
use crate::domain::lifecycle::{FieldFault, most};

/// What a new product is asked to be.
pub(super) fn create(asked: CreateProduct) -> (ProductPatch, Vec<FieldFault>) {
    patch(PatchProduct {
        name: Some(asked.name),
        description: Some(asked.description),
        scopes: Some(asked.scopes),
        routes: Some(asked.routes),
        rate_limits: Some(asked.rate_limits),
        quotas: Some(asked.quotas),
        max_staleness: Some(asked.max_staleness),
    })
}

/// What a product is asked to become.
pub(super) fn patch(asked: PatchProduct) -> (ProductPatch, Vec<FieldFault>) {
    let mut faults = Vec::new();
    let scopes = few(asked.scopes, "/scopes", most::SCOPES, &mut faults);
    let routes = few(asked.routes, "/routes", most::ROUTES, &mut faults);
    let limits = few(
        asked.rate_limits,
        "/rate_limits",
        most::RATE_LIMITS,
        &mut faults,
    );
    let quota_list = few(asked.quotas, "/quotas", most::QUOTAS, &mut faults);
    let patch = ProductPatch {
        name: asked.name,
        description: asked.description,
        scopes: each(scopes, "/scopes", &mut faults, |text| {
            text.parse()
                .map_err(|_| "a scope is 1 to 64 of a-z A-Z 0-9 . _ : / -".to_owned())
        })
        .map(once_each),
        routes: routes.map(once_each),
        rate_limits: limits.map(|limits| rate_limits(&limits, &mut faults)),
        quotas: quota_list.map(|asked| quotas(&asked, &mut faults)),
        max_staleness: staleness(asked.max_staleness, &mut faults),
    };
    (patch, faults)
}
