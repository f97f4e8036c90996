//! What keys may name: the products and scopes there are, as of the revision a change is made against.

use std::collections::HashSet;

use crate::control::ControlError;
use crate::control::keys::KeyService;
use crate::domain::key::{Key, KeySettings};
use crate::domain::lifecycle::{self, Bounds, FieldFault};
use crate::domain::owner::OwnerKind;
use crate::domain::permission::Scope;
use crate::domain::policy::Demands;
use crate::domain::product::Product;
use crate::domain::rules::RuleSet;
use crate::domain::time::Timestamp;

/// What keys may name, and what is asked of them.
pub(in crate::control) struct Ground {
    /// The rules that the store keeps.
    pub(in crate::control) rules: RuleSet,
    products: Vec<Product>,
    /// Empty where nobody names any: then scopes are the upstream's own business.
    scopes: HashSet<Scope>,
}

impl Ground {
    /// Everything that is wrong with a key's settings on this ground.
    pub(in crate::control) fn faults(
        &self,
        settings: &KeySettings,
        before: Option<&KeySettings>,
        now: Timestamp,
    ) -> Vec<FieldFault> {
        let products = &self.products;
        let mut faults = lifecycle::faults(settings, before, Bounds { products, now });
        let is_kept = |scope| before.is_some_and(|before| before.scopes.contains(scope));
        for (at, scope) in settings.scopes.iter().enumerate() {
            if !self.scopes.is_empty() && !self.scopes.contains(scope) && !is_kept(scope) {
                faults.push(FieldFault::new(
                    format!("/scopes/{at}"),
                    "unknown_scope",
                    "no route, product or policy names this scope",
                ));
            }
        }
        faults
    }
}

impl Ground {
    /// What the policies ask of a key.
    pub(in crate::control) fn demands(&self, key: &Key) -> Demands {
        Demands::on(&self.rules.policies, key)
    }

    /// What the policies do not let a key have, or want it to have.
    pub(in crate::control) fn demanded(
        &self,
        key: &Key,
        owner: Option<OwnerKind>,
    ) -> Vec<FieldFault> {
        self.demands(key).faults(key, owner, &self.products)
    }
}

impl KeyService {
    /// What keys may name now.
    ///
    /// # Errors
    /// What the store returns.
    pub(in crate::control) async fn ground(&self) -> Result<Ground, ControlError> {
        let rules = self.store.rules().await?;
        let products = rules.products_beside(&self.rules.products);
        let of_products = products.iter().flat_map(|product| &product.scopes);
        let of_policies = rules
            .policies
            .iter()
            .filter_map(|policy| policy.terms.allowed_scopes.as_ref())
            .flatten();
        let scopes = of_products
            .chain(of_policies)
            .chain(&self.rules.scopes)
            .cloned()
            .collect();
        Ok(Ground {
            rules,
            products,
            scopes,
        })
    }
}
