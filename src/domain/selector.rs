//! Selectors: which keys a policy or a rule of automatic rotation is about.

use std::fmt;

use super::id::{KeyId, OwnerId};
use super::key::{Key, Risk};

/// Some of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selector {
    /// Every key.
    #[default]
    All,
    /// Those whose loss would be as bad.
    Risk(Risk),
    /// Those with a label, of this value if one is named.
    Label {
        /// The label.
        name: String,
        /// Its value; `None`: any.
        value: Option<String>,
    },
    /// Those that are given a product, by its name.
    Product(String),
    /// Those of an owner.
    Owner(OwnerId),
    /// One key.
    Key(KeyId),
}

impl Selector {
    /// A label as it is asked for: `name`, or `name=value`.
    #[must_use]
    pub fn label(text: &str) -> Option<(String, Option<String>)> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        (!name.is_empty()).then(|| (name.to_owned(), value))
    }

    /// Whether `key` is one of them.
    #[must_use]
    pub fn covers(&self, key: &Key) -> bool {
        match self {
            Self::All => true,
            Self::Risk(risk) => key.settings.risk == *risk,
            Self::Label { name, value } => key
                .settings
                .labels
                .get(name)
                .is_some_and(|found| value.as_ref().is_none_or(|wanted| wanted == found)),
            Self::Product(name) => key.settings.products.contains(name),
            Self::Owner(owner) => key.owner == *owner,
            Self::Key(id) => key.id == *id,
        }
    }

    /// How narrow it is: of two that cover a key, the greater one rules it. One key is narrower than an
    /// owner, an owner than a product, a product than a label, a label than a class of risk.
    #[must_use]
    pub const fn narrowness(&self) -> u8 {
        match self {
            Self::All => 0,
            Self::Risk(_) => 1,
            Self::Label { value: None, .. } => 2,
            Self::Label { value: Some(_), .. } => 3,
            Self::Product(_) => 4,
            Self::Owner(_) => 5,
            Self::Key(_) => 6,
        }
    }
}

impl fmt::Display for Selector {
    /// As people write it: `all`, `risk=high`, `label=team=billing`, `product=starter`, …
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Risk(risk) => write!(f, "risk={}", risk.as_str()),
            Self::Label { name, value: None } => write!(f, "label={name}"),
            Self::Label {
                name,
                value: Some(value),
            } => write!(f, "label={name}={value}"),
            Self::Product(name) => write!(f, "product={name}"),
            Self::Owner(id) => write!(f, "owner={id}"),
            Self::Key(id) => write!(f, "key_id={id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key::KeySettings;
    use crate::domain::lifecycle::{Birth, create};
    use crate::domain::secret::{Fingerprint, KeyHash};
    use crate::domain::time::Timestamp;

    #[test]
    fn each_selector_covers_what_it_names_and_no_other() {
        let birth = Birth {
            id: KeyId::from_random([1; 10]),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            hash: KeyHash {
                pepper: 0,
                digest: [1; 32],
            },
            fingerprint: Fingerprint::from_bytes([1; 6]),
            created_by: "tok_x".into(),
        };
        let mut settings = KeySettings::named("k");
        settings.products = vec!["starter".into()];
        settings.labels.insert("team".into(), "billing".into());
        let key = create(birth, settings, Timestamp::from_millis(1));
        let label = |name: &str, value: Option<&str>| Selector::Label {
            name: name.into(),
            value: value.map(Into::into),
        };
        for (selector, covered) in [
            (Selector::All, true),
            (Selector::Risk(Risk::Standard), true),
            (Selector::Risk(Risk::High), false),
            (label("team", None), true),
            (label("team", Some("billing")), true),
            (label("team", Some("sales")), false),
            (label("tier", None), false),
            (Selector::Product("starter".into()), true),
            (Selector::Product("pro".into()), false),
            (Selector::Owner(key.owner), true),
            (Selector::Owner(OwnerId::from_random([3; 10])), false),
            (Selector::Key(key.id), true),
            (Selector::Key(KeyId::from_random([9; 10])), false),
        ] {
            assert_eq!(selector.covers(&key), covered, "{selector:?}");
        }
    }
}
