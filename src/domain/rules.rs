//! All the rules there are besides the configuration's: few, and so held whole.

use super::change::{Gone, Write};
use super::policy::Policy;
use super::product::{KeptProduct, Product};
use super::rotation::RotationRule;

/// Products, policies and rules of automatic rotation, each in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleSet {
    /// The products that were made over the admin API.
    pub products: Vec<KeptProduct>,
    /// The policies.
    pub policies: Vec<Policy>,
    /// The rules of automatic rotation.
    pub rotation: Vec<RotationRule>,
}

impl RuleSet {
    /// The products that keys may name: those of the configuration, then those made here. Of two of one
    /// name the configuration's counts.
    #[must_use]
    pub fn products_beside(&self, configured: &[Product]) -> Vec<Product> {
        let is_free = |name: &str| configured.iter().all(|product| product.name != name);
        let kept = self.products.iter().map(|kept| &kept.product);
        let kept = kept.filter(|product| is_free(&product.name));
        configured.iter().chain(kept).cloned().collect()
    }

    /// Takes in what a change writes; whether that is about rules at all.
    pub fn apply(&mut self, write: &Write) -> bool {
        match write {
            Write::Product(product) => put(&mut self.products, product, |kept| kept.id),
            Write::Policy(policy) => put(&mut self.policies, policy, |kept| kept.id),
            Write::RotationRule(rule) => put(&mut self.rotation, rule, |kept| kept.id),
            Write::Gone(Gone::Product(id)) => self.products.retain(|kept| kept.id != *id),
            Write::Gone(Gone::Policy(id)) => self.policies.retain(|kept| kept.id != *id),
            Write::Gone(Gone::RotationRule(id)) => self.rotation.retain(|kept| kept.id != *id),
            Write::Key(_)
            | Write::Owner(_)
            | Write::Token(_)
            | Write::Receipt(_)
            | Write::Checkpoint(_)
            | Write::Erasure(_)
            | Write::Event(_) => return false,
        }
        true
    }
}

/// Puts `new` in the place of what has its id, or where the order wants it.
fn put<T: Clone, I: Ord>(kept: &mut Vec<T>, new: &T, id: impl Fn(&T) -> I) {
    match kept.binary_search_by_key(&id(new), &id) {
        Ok(at) => {
            if let Some(old) = kept.get_mut(at) {
                old.clone_from(new);
            }
        }
        Err(at) => kept.insert(at, new.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ProductId;
    use crate::domain::product::Product;
    use crate::domain::time::Timestamp;

    fn product(id: u8, name: &str) -> KeptProduct {
        KeptProduct {
            id: ProductId::from_random([id; 10]),
            product: Product {
                name: name.into(),
                ..Product::default()
            },
            created_at: Timestamp::from_millis(1),
        }
    }

    #[test]
    fn what_is_written_replaces_what_had_its_id_and_what_is_gone_is_gone() {
        let mut rules = RuleSet::default();
        for (id, name) in [(3, "c"), (1, "a"), (2, "b"), (1, "z")] {
            assert!(rules.apply(&Write::Product(product(id, name))));
        }
        let names = |rules: &RuleSet| {
            let names = rules.products.iter().map(|kept| kept.product.name.clone());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&rules), "z b c");
        let gone = Write::Gone(Gone::Product(ProductId::from_random([2; 10])));
        assert!(rules.apply(&gone) && rules.apply(&gone));
        assert_eq!(names(&rules), "z c");
    }

    #[test]
    fn a_product_of_the_configuration_comes_before_one_of_its_name() {
        let mut rules = RuleSet::default();
        for (id, name) in [(1, "starter"), (2, "pro")] {
            rules.apply(&Write::Product(product(id, name)));
        }
        let configured = Product {
            name: "starter".into(),
            description: Some("of the file".into()),
            ..Product::default()
        };
        let products = rules.products_beside(std::slice::from_ref(&configured));
        assert_eq!(products.len(), 2);
        assert_eq!(products[0], configured);
        assert_eq!(products[1].name, "pro");
    }
}
