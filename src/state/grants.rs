//! What keys may do, in the form a request asks: one [`Grants`] for all keys that may do the same.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;

use crate::domain::key::{Key, KeySettings};
use crate::domain::limit::{Quota, RateLimit};
use crate::domain::permission::{Methods, Scope};
use crate::domain::product::{Product, Reach};
use crate::domain::staleness;
use crate::state::limiter::{LimitBook, NamedLimit, policy};
use crate::state::quotas::{NamedQuota, QuotaBook};

/// What a key may do and how much of it.
#[derive(Debug)]
pub struct Grants {
    /// The environment it was made for, as the upstream is told.
    pub env: HeaderValue,
    /// Its scopes and its products', sorted.
    pub scopes: Vec<Scope>,
    /// The same in one line, as the upstream is told.
    pub scopes_line: HeaderValue,
    /// Methods it may use.
    pub methods: Methods,
    /// Paths it may reach; none named: all.
    pub paths: Vec<String>,
    /// Routes it reaches by its products.
    pub reach: Reach,
    /// Addresses it may be used from; none named: all.
    pub ips: Vec<IpNet>,
    /// Its limits, then its products'.
    pub limits: Vec<NamedLimit>,
    /// Its quotas, then its products'.
    pub quotas: Vec<Arc<NamedQuota>>,
    /// Limits and quotas, as `RateLimit-Policy` has them.
    pub policy: Option<HeaderValue>,
    /// The most of its requests in flight at once, here.
    pub concurrency: Option<u32>,
    /// After how long out of touch with the store it is refused, where that is sooner than the gate stops.
    pub max_staleness: Option<Duration>,
}

impl Default for Grants {
    /// Permits nothing, limits nothing.
    fn default() -> Self {
        Self {
            env: HeaderValue::from_static(""),
            scopes: Vec::new(),
            scopes_line: HeaderValue::from_static(""),
            methods: Methods::default(),
            paths: Vec::new(),
            reach: Reach::default(),
            ips: Vec::new(),
            limits: Vec::new(),
            quotas: Vec::new(),
            policy: None,
            concurrency: None,
            max_staleness: None,
        }
    }
}

impl Grants {
    /// Whether every scope of `wanted` is held.
    #[must_use]
    pub fn hold(&self, wanted: &[Scope]) -> bool {
        wanted
            .iter()
            .all(|scope| self.scopes.binary_search(scope).is_ok())
    }
}

/// Makes grants, and gives the same one to all keys that may do the same.
#[derive(Debug)]
pub struct GrantBook {
    products: Vec<Product>,
    limits: Arc<LimitBook>,
    quotas: QuotaBook,
    known: HashMap<Terms, Weak<Grants>>,
    /// When the book was last rid of what nobody holds: at this size.
    swept_at: usize,
}

impl GrantBook {
    /// A book that reads product names by `products`.
    #[must_use]
    pub fn new(products: Vec<Product>, limits: Arc<LimitBook>) -> Self {
        Self {
            products,
            limits,
            quotas: QuotaBook::default(),
            known: HashMap::new(),
            swept_at: SWEEP_MIN,
        }
    }

    /// Reads product names by `products` from now on; what keys that name one that is now another may do.
    #[must_use = "the cache still has the grants of before"]
    pub fn set_products(&mut self, products: Vec<Product>) -> Regrants {
        let before = std::mem::replace(&mut self.products, products);
        let named = |products: &[Product], name: &str| {
            let found = products.iter().find(|product| product.name == name);
            found.cloned()
        };
        let is_other = |name: &String| named(&before, name) != named(&self.products, name);
        let affected: Vec<(Terms, Arc<Grants>)> = self
            .known
            .iter()
            .filter(|(terms, _)| terms.products.iter().any(is_other))
            .filter_map(|(terms, grants)| Some((terms.clone(), grants.upgrade()?)))
            .collect();
        let mut regrants = Regrants::default();
        for (terms, old) in affected {
            let new = Arc::new(self.make(&terms));
            self.known.insert(terms, Arc::downgrade(&new));
            regrants.0.insert(Arc::as_ptr(&old).addr(), (old, new));
        }
        regrants
    }

    /// What `key` may do. A product that is gone grants nothing, and takes no limit away.
    pub fn grants(&mut self, key: &Key) -> Arc<Grants> {
        let terms = Terms::of(key);
        if let Some(known) = self.known.get(&terms).and_then(Weak::upgrade) {
            return known;
        }
        if self.known.len() >= self.swept_at {
            self.known.retain(|_, grants| grants.strong_count() > 0);
            self.swept_at = (self.known.len() * 2).max(SWEEP_MIN);
        }
        let grants = Arc::new(self.make(&terms));
        self.known.insert(terms, Arc::downgrade(&grants));
        grants
    }

    fn make(&self, terms: &Terms) -> Grants {
        let products: Vec<Option<&Product>> = terms
            .products
            .iter()
            .map(|name| self.products.iter().find(|product| product.name == *name))
            .collect();
        let reach = Reach::of(products.iter().copied());
        let mut scopes = terms.scopes.clone();
        let mut limits = self.limits.named("key", &terms.rate_limits);
        let mut quotas = self.quotas.named("key", &terms.quotas);
        let named = products.iter().copied().flatten();
        let max_staleness = staleness::set_by(terms.max_staleness, named);
        for product in products.into_iter().flatten() {
            scopes.extend(product.scopes.iter().cloned());
            let owner = format!("product-{}", product.name);
            limits.extend(self.limits.named(&owner, &product.rate_limits));
            quotas.extend(self.quotas.named(&owner, &product.quotas));
        }
        scopes.sort();
        scopes.dedup();
        let line = scopes
            .iter()
            .map(Scope::as_str)
            .collect::<Vec<_>>()
            .join(" ");
        Grants {
            // Environments and scopes are of characters that a field value may have.
            env: HeaderValue::from_str(&terms.env).unwrap_or(HeaderValue::from_static("")),
            scopes_line: HeaderValue::from_str(&line).unwrap_or(HeaderValue::from_static("")),
            scopes,
            methods: terms.methods,
            paths: terms.paths.clone(),
            reach,
            ips: terms.ips.clone(),
            policy: policy(&limits, &quotas),
            limits,
            quotas,
            concurrency: terms.concurrency,
            max_staleness,
        }
    }
}

/// Grants that others take the place of, since a product changed.
#[derive(Debug, Default)]
pub struct Regrants(HashMap<usize, (Arc<Grants>, Arc<Grants>)>);

impl Regrants {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What takes the place of `grants`, if anything does. The old ones are held here, so that an address
    /// names them alone.
    #[must_use]
    pub fn instead_of(&self, grants: &Arc<Grants>) -> Option<Arc<Grants>> {
        let (_, new) = self.0.get(&Arc::as_ptr(grants).addr())?;
        Some(Arc::clone(new))
    }
}

/// The part of a key that its grants are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Terms {
    env: String,
    products: Vec<String>,
    scopes: Vec<Scope>,
    methods: Methods,
    paths: Vec<String>,
    ips: Vec<IpNet>,
    rate_limits: Vec<RateLimit>,
    quotas: Vec<Quota>,
    concurrency: Option<u32>,
    max_staleness: Option<Duration>,
}

impl Terms {
    fn of(key: &Key) -> Self {
        let KeySettings {
            products,
            scopes,
            allowed_methods,
            allowed_paths,
            allowed_ips,
            rate_limits,
            quotas,
            concurrency,
            max_staleness,
            ..
        } = &key.settings;
        Self {
            env: key.env.clone(),
            products: products.clone(),
            scopes: scopes.clone(),
            methods: *allowed_methods,
            paths: allowed_paths.clone(),
            ips: allowed_ips.clone(),
            rate_limits: rate_limits.clone(),
            quotas: quotas.clone(),
            concurrency: *concurrency,
            max_staleness: *max_staleness,
        }
    }
}

impl Hash for Terms {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.env.hash(state);
        self.products.hash(state);
        self.scopes.hash(state);
        self.rate_limits.hash(state);
        self.quotas.hash(state);
        self.paths.hash(state);
        self.ips.hash(state);
    }
}

/// The fewest terms that are worth looking through for ones nobody holds.
const SWEEP_MIN: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{KeyId, OwnerId};
    use crate::domain::lifecycle::{Birth, create};
    use crate::domain::secret::{Fingerprint, KeyHash};
    use crate::domain::time::Timestamp;

    fn key(byte: u8, settings: KeySettings) -> Key {
        let birth = Birth {
            id: KeyId::from_random([byte; 10]),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            hash: KeyHash {
                pepper: 0,
                digest: [byte; 32],
            },
            fingerprint: Fingerprint::from_bytes([1; 6]),
            created_by: "tok_x".into(),
        };
        create(birth, settings, Timestamp::from_millis(1))
    }

    #[test]
    fn keys_that_may_do_the_same_share_their_grants() {
        let product = Product {
            name: "starter".into(),
            scopes: vec!["orders:read".parse().unwrap()],
            rate_limits: vec![RateLimit::new("10/second".parse().unwrap())],
            ..Product::default()
        };
        let mut book = GrantBook::new(vec![product], Arc::default());
        let settings = KeySettings {
            products: vec!["starter".into(), "gone".into()],
            scopes: vec!["orders:write".parse().unwrap()],
            ..KeySettings::named("a")
        };
        let first = book.grants(&key(1, settings.clone()));
        let second = book.grants(&key(
            2,
            KeySettings {
                name: "b".into(),
                ..settings
            },
        ));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(first.scopes_line, "orders:read orders:write");
        assert_eq!(first.limits.len(), 1);
        assert!(!Arc::ptr_eq(
            &first,
            &book.grants(&key(3, KeySettings::named("a")))
        ));
    }

    #[test]
    fn a_product_that_changes_gives_other_grants_to_those_that_name_it_and_to_no_others() {
        let product = |name: &str, scope: &str| Product {
            name: name.into(),
            scopes: vec![scope.parse().unwrap()],
            ..Product::default()
        };
        let given = |name: &str| KeySettings {
            products: vec![name.into()],
            ..KeySettings::named("k")
        };
        let (a, b) = (product("a", "a:1"), product("b", "b:1"));
        let mut book = GrantBook::new(vec![a, b.clone()], Arc::default());
        let of_a = book.grants(&key(1, given("a")));
        let of_b = book.grants(&key(2, given("b")));

        let regrants = book.set_products(vec![product("a", "a:2"), b.clone()]);

        let new = regrants.instead_of(&of_a).unwrap();
        assert_eq!(new.scopes_line, "a:2");
        assert!(regrants.instead_of(&of_b).is_none());
        assert!(Arc::ptr_eq(&new, &book.grants(&key(3, given("a")))));
        let regrants = book.set_products(vec![b]);
        let gone = regrants.instead_of(&new).unwrap();
        assert_eq!(gone.scopes_line, "");
        assert!(!gone.reach.covers("orders"));
    }
}
