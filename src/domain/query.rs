//! Questions about keys and owners, as lists ask them.

use super::id::OwnerId;
use super::key::KeyStatus;
use super::time::Timestamp;

/// Which keys are asked for. Every condition must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct KeyQuery {
    /// In this status at [`Self::now`].
    pub status: Option<KeyStatus>,
    /// With this anywhere in the name, whatever the case.
    pub name: Option<String>,
    /// Of this owner.
    pub owner: Option<OwnerId>,
    /// Of this environment.
    pub env: Option<String>,
    /// With this product.
    pub product: Option<String>,
    /// With this label, and this value if one is given.
    pub label: Option<(String, Option<String>)>,
    /// Last used (or made, if never used) before this; or not before it.
    pub stale: Option<(Timestamp, bool)>,
    /// When the question is asked: what `expired` means.
    pub now: Timestamp,
}

/// In which order a list comes. Ties are broken by id, so the order is total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeySort {
    /// By what.
    pub by: SortField,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// What keys may be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SortField {
    /// By when they were made.
    #[default]
    CreatedAt,
    /// By name, whatever the case.
    Name,
    /// By last use; never used counts as earliest.
    LastUsedAt,
}

/// Where in a sorted list a page begins: after this item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The value the last item was sorted by.
    pub value: SortValue,
    /// The id of the last item, without its prefix.
    pub id: String,
}

/// A value that something was sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SortValue {
    /// A number: a time in milliseconds.
    Number(u64),
    /// A text, lower case.
    Text(String),
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins; `None` on the last.
    pub next: Option<Position>,
}
