//! Lists that a call gives: counted first, then read item by item.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;

use crate::domain::lifecycle::FieldFault;

/// A collection of at most `most` things. Of one that has more nothing is kept or looked at, and the fault
/// is its own.
pub(in crate::admin) fn few<C: Many>(
    items: Option<C>,
    pointer: &str,
    most: usize,
    faults: &mut Vec<FieldFault>,
) -> Option<C> {
    let items = items?;
    if items.count() <= most {
        return Some(items);
    }
    let detail = format!("at most {most} of these");
    faults.push(FieldFault::new(pointer, "too_many", detail));
    None
}

/// What can be counted without being looked at.
pub(in crate::admin) trait Many {
    /// How many there are.
    fn count(&self) -> usize;
}

impl<T> Many for Vec<T> {
    fn count(&self) -> usize {
        self.len()
    }
}

impl<K, V> Many for BTreeMap<K, V> {
    fn count(&self) -> usize {
        self.len()
    }
}

/// Reads each item of a list; one that cannot be read is left out and told of.
pub(in crate::admin) fn each<T>(
    items: Option<Vec<String>>,
    pointer: &str,
    faults: &mut Vec<FieldFault>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let read = |(at, item): (usize, String)| match read(&item) {
        Ok(value) => Some(value),
        Err(detail) => {
            faults.push(FieldFault::new(format!("{pointer}/{at}"), "form", detail));
            None
        }
    };
    Some(items?.into_iter().enumerate().filter_map(read).collect())
}

/// The items without repetitions, in their order.
pub(in crate::admin) fn once_each<T: Clone + Eq + Hash>(mut items: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::with_capacity(items.len());
    items.retain(|item| seen.insert(item.clone()));
    items
}
