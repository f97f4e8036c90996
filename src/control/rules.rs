//! The rules in force: products, policies and automatic rotation, held whole in memory.
//!
//! Written by [`super::sync`] as the feed brings them, read by whoever applies them. What decides on a
//! change reads the store itself, at the revision that the change is made against.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::domain::change::Write;
use crate::domain::product::Product;
use crate::domain::rules::RuleSet;

/// The rules in force.
#[derive(Debug)]
pub struct RuleBook {
    configured: Vec<Product>,
    kept: RwLock<Arc<RuleSet>>,
}

impl RuleBook {
    /// A book of the products in the configuration; the store's rules come to it.
    #[must_use]
    pub fn new(configured: Vec<Product>) -> Self {
        Self {
            configured,
            kept: RwLock::default(),
        }
    }

    /// The rules that the store keeps, as of now.
    #[must_use]
    pub fn kept(&self) -> Arc<RuleSet> {
        Arc::clone(&self.kept.read())
    }

    /// The products in the configuration.
    #[must_use]
    pub fn configured(&self) -> &[Product] {
        &self.configured
    }

    /// The products that keys may name.
    #[must_use]
    pub fn products(&self) -> Vec<Product> {
        self.kept().products_beside(&self.configured)
    }

    /// Takes in what a change writes; whether any of it is about rules.
    pub(in crate::control) fn apply(&self, writes: &[Write]) -> bool {
        let mut kept = self.kept.write();
        let mut changed = None;
        for write in writes {
            // Few changes are about rules, so the set is copied only for those that are.
            if is_rule(write) {
                changed
                    .get_or_insert_with(|| RuleSet::clone(&kept))
                    .apply(write);
            }
        }
        match changed {
            Some(changed) => {
                *kept = Arc::new(changed);
                true
            }
            None => false,
        }
    }

    /// Takes the rules of the store instead of those here.
    pub(in crate::control) fn replace(&self, kept: RuleSet) {
        *self.kept.write() = Arc::new(kept);
    }
}

const fn is_rule(write: &Write) -> bool {
    match write {
        Write::Product(_) | Write::Policy(_) | Write::RotationRule(_) | Write::Gone(_) => true,
        Write::Key(_)
        | Write::Owner(_)
        | Write::Token(_)
        | Write::Receipt(_)
        | Write::Checkpoint(_)
        | Write::Erasure(_)
        | Write::Event(_) => false,
    }
}
