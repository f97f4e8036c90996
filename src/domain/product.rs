//! Products: bundles of permissions and limits that keys are given by name.

use std::time::Duration;

use super::id::ProductId;
use super::limit::{Quota, RateLimit};
use super::permission::Scope;
use super::time::Timestamp;

/// A bundle of permissions and limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Product {
    /// What keys name it by: `[a-z0-9_-]{1,64}`.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Scopes it grants, besides a key's own.
    pub scopes: Vec<Scope>,
    /// Names of the routes it opens; none named: all. A key whose products all name routes reaches those
    /// alone, see [`Reach`].
    pub routes: Vec<String>,
    /// Limits it sets, each counted per key, after the key's own.
    pub rate_limits: Vec<RateLimit>,
    /// Quotas it sets, each counted per key.
    pub quotas: Vec<Quota>,
    /// For how long a gate that lost touch with the store goes on admitting its keys; `None`: as the gate says.
    pub max_staleness: Option<Duration>,
}

/// A product that was made over the admin API. Those of the file are part of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptProduct {
    /// Names it for ever; its name may change.
    pub id: ProductId,
    /// What it bundles.
    pub product: Product,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Which routes a key reaches by its products.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reach {
    /// Every route, as far as scopes go.
    #[default]
    All,
    /// These, sorted by name.
    Routes(Vec<String>),
}

impl Reach {
    /// What the products of a key open together, each `None` where it is gone.
    ///
    /// A key without products is bound to no route. One that has any reaches what they name, and all if
    /// one of them names none. A product that is gone opens nothing: were it passed over, taking away the
    /// only product of a key would open every route to it.
    pub fn of<'a>(products: impl IntoIterator<Item = Option<&'a Product>>) -> Self {
        let mut routes = Vec::new();
        let mut has_any = false;
        for product in products {
            has_any = true;
            match product {
                Some(product) if product.routes.is_empty() => return Self::All,
                Some(product) => routes.extend(product.routes.iter().cloned()),
                None => {}
            }
        }
        if !has_any {
            return Self::All;
        }
        routes.sort();
        routes.dedup();
        Self::Routes(routes)
    }

    /// Whether the route of this name is reached.
    #[must_use]
    pub fn covers(&self, route: &str) -> bool {
        match self {
            Self::All => true,
            Self::Routes(routes) => routes
                .binary_search_by(|known| known.as_str().cmp(route))
                .is_ok(),
        }
    }
}

/// Whether a text may name a product, a route or an upstream.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/{}*:".contains(&byte))
}

/// Whether a text may name a product: `[a-z0-9_-]{1,64}`.
#[must_use]
pub fn is_product_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(routes: &[&str]) -> Product {
        Product {
            routes: routes.iter().map(ToString::to_string).collect(),
            ..Product::default()
        }
    }

    #[test]
    fn a_key_reaches_what_its_products_name_together() {
        let (orders, users, any) = (product(&["orders"]), product(&["users"]), product(&[]));
        let covers = |products: &[Option<&Product>]| {
            let reach = Reach::of(products.iter().copied());
            ["orders", "users", "other"].map(|route| reach.covers(route))
        };
        assert_eq!(covers(&[]), [true, true, true]);
        assert_eq!(covers(&[Some(&orders)]), [true, false, false]);
        assert_eq!(covers(&[Some(&users), Some(&orders)]), [true, true, false]);
        assert_eq!(covers(&[Some(&orders), Some(&any)]), [true, true, true]);
        assert_eq!(covers(&[None]), [false, false, false]);
        assert_eq!(covers(&[None, Some(&orders)]), [true, false, false]);
        assert_eq!(covers(&[None, Some(&any)]), [true, true, true]);
    }

    #[test]
    fn a_products_name_is_lower_case_and_short() {
        for (name, fits) in [
            ("starter", true),
            ("a", true),
            ("pro_2-x", true),
            ("", false),
            ("Starter", false),
            ("a b", false),
            ("é", false),
        ] {
            assert_eq!(is_product_name(name), fits, "{name}");
        }
        assert!(is_product_name(&"a".repeat(64)));
        assert!(!is_product_name(&"a".repeat(65)));
    }
}
