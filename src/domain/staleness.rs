//! For how long what a gate knows may be trusted, since it last met its store.
//!
//! A gate that is cut off cannot be told of a revocation: it bounds itself. The bound is the key's own; else
//! the strictest of its products'; and never longer than the gate's. By it a gate refuses, and from it whoever
//! revokes learns by when the last gate has stopped.

use std::time::Duration;

use super::key::Key;
use super::product::Product;

/// The shortest bound there is: a gate that is in touch hears of its store at least every second or so, and a
/// failover takes a few.
pub const SHORTEST: Duration = Duration::from_secs(5);

/// What whoever sets a shorter one is told.
pub const STALENESS: &str = "a gate out of touch is trusted for at least 5s";

/// The bound that a key, or else its products, set: `None` where they leave it to the gate. A product that is
/// gone sets none.
#[must_use]
pub fn set_by<'a>(
    own: Option<Duration>,
    products: impl IntoIterator<Item = &'a Product>,
) -> Option<Duration> {
    let of_products = products.into_iter().filter_map(|it| it.max_staleness);
    own.or_else(|| of_products.min())
}

/// After how long without its store a gate refuses `key`: `products` are those there are, `gates` is what
/// `fleet.max_staleness` says.
#[must_use]
pub fn of_key<'a>(
    key: &Key,
    products: impl IntoIterator<Item = &'a Product>,
    gates: Duration,
) -> Duration {
    let names = &key.settings.products;
    let mine = products
        .into_iter()
        .filter(|product| names.contains(&product.name));
    set_by(key.settings.max_staleness, mine).map_or(gates, |bound| bound.min(gates))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{KeyId, OwnerId};
    use crate::domain::key::KeySettings;
    use crate::domain::lifecycle::{Birth, create};
    use crate::domain::secret::{Fingerprint, KeyHash};
    use crate::domain::time::Timestamp;

    fn product(name: &str, bound_s: Option<u64>) -> Product {
        Product {
            name: name.into(),
            max_staleness: bound_s.map(Duration::from_secs),
            ..Product::default()
        }
    }

    #[test]
    fn the_key_goes_before_its_strictest_product_and_neither_beyond_the_gate() {
        let all = [
            product("loose", Some(600)),
            product("strict", Some(30)),
            product("open", None),
        ];
        let bound = |own: Option<u64>, products: &[&str]| {
            let birth = Birth {
                id: KeyId::from_random([1; 10]),
                owner: OwnerId::from_random([2; 10]),
                env: "live".into(),
                hash: KeyHash {
                    pepper: 0,
                    digest: [3; 32],
                },
                fingerprint: Fingerprint::from_bytes([1; 6]),
                created_by: "tok_x".into(),
            };
            let settings = KeySettings {
                products: products.iter().map(ToString::to_string).collect(),
                max_staleness: own.map(Duration::from_secs),
                ..KeySettings::named("k")
            };
            let key = create(birth, settings, Timestamp::from_millis(1));
            of_key(&key, &all, Duration::from_secs(3_600)).as_secs()
        };
        assert_eq!(bound(None, &[]), 3_600);
        assert_eq!(bound(None, &["open", "gone"]), 3_600);
        assert_eq!(bound(None, &["loose"]), 600);
        assert_eq!(bound(None, &["loose", "strict", "open"]), 30);
        assert_eq!(bound(Some(5), &["strict"]), 5);
        assert_eq!(bound(Some(60), &["strict"]), 60, "the key has its own");
        assert_eq!(bound(Some(86_400), &[]), 3_600, "the gate stops first");
    }
}
