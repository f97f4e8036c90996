//! Entries without their personal values: gone with an erasure, or taken out by someone.

use std::collections::HashMap;

use crate::domain::id::OwnerId;

/// Whose personal values an entry has: of either, erasing takes them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persons {
    /// Whom it is about.
    pub owner: Option<OwnerId>,
    /// Who did it.
    pub actor: Option<OwnerId>,
}

/// Entries whose personal values are gone, until it is found that they were erased.
#[derive(Debug, Default)]
pub(super) struct Unveiled {
    /// Of each person the first entry.
    of_one: HashMap<OwnerId, u64>,
    /// Entries of two persons, either of whom may have been erased.
    of_two: Vec<(u64, Persons)>,
    /// The first entry that is nobody's.
    of_none: Option<u64>,
}

impl Unveiled {
    pub(super) fn note(&mut self, seq: u64, persons: Persons) {
        match (persons.owner, persons.actor) {
            (Some(owner), Some(actor)) if owner != actor => self.of_two.push((seq, persons)),
            (Some(person), _) | (None, Some(person)) => {
                self.of_one.entry(person).or_insert(seq);
            }
            (None, None) => {
                self.of_none.get_or_insert(seq);
            }
        }
    }

    pub(super) fn erased(&mut self, person: OwnerId) {
        self.of_one.remove(&person);
        let of_other = |persons: &Persons| ![persons.owner, persons.actor].contains(&Some(person));
        self.of_two.retain(|(_, persons)| of_other(persons));
    }

    /// The first that nobody erased.
    pub(super) fn first(&self) -> Option<u64> {
        let of_two = self.of_two.iter().map(|(seq, _)| *seq);
        let all = self
            .of_one
            .values()
            .copied()
            .chain(of_two)
            .chain(self.of_none);
        all.min()
    }
}
