//! What becomes of changes that a store has lost, where others went on without them.
//!
//! A lost change is made again if nobody has touched meanwhile what it wrote; else it would undo what was
//! decided since. Who merely ended something of that is no hindrance: it has ended in what is made again. What
//! is not made again is told of. However many gates do this at once, each change lands once, since a change
//! keeps its id.

use std::collections::BTreeSet;

use super::audit::{Action, AuditEntry};
use super::change::{Change, ChangeId, Gone, Write};
use super::tombstone::ended_in;

/// One change, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Its id.
    pub id: ChangeId,
    /// The records it writes.
    pub touches: BTreeSet<String>,
    /// Whether it ends anything.
    pub ends: bool,
    /// Whether it does nothing else.
    pub only_ends: bool,
}

/// What becomes of each of the changes that were lost, by their places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Landed already: another gate was here before.
    pub landed: Vec<usize>,
    /// To be made again, in this order.
    pub again: Vec<usize>,
    /// Not to be made again: what they wrote was written anew by others, or by a change that is not made
    /// again.
    pub lost: Vec<usize>,
}

impl Deed {
    /// What a change does. One that `is_echo` only says again what others know, and touches nothing.
    #[must_use]
    pub fn of(change: &Change, is_echo: impl Fn(&AuditEntry) -> bool) -> Self {
        let echoes = !change.audit.is_empty() && change.audit.iter().all(is_echo);
        let writes = change.writes.iter().filter(|_| !echoes);
        Self {
            id: change.id,
            touches: writes.filter_map(place).collect(),
            ends: change.writes.iter().any(|it| !ended_in(it).is_empty()),
            only_ends: only_ends(change),
        }
    }
}

/// Whether a change did nothing but end things, and tell of it.
#[must_use]
pub fn only_ends(change: &Change) -> bool {
    let mut writes = change.writes.iter();
    let mut told = change.audit.iter();
    let is_end = |it: &AuditEntry| {
        let ends = [
            Action::KeyRevocation,
            Action::OwnerDisable,
            Action::TokenRevocation,
        ];
        ends.contains(&it.action)
    };
    !change.audit.is_empty()
        && told.all(is_end)
        && writes.all(|it| matches!(it, Write::Event(_)) || !ended_in(it).is_empty())
}

/// What becomes of `lost`, changes that were made one after the other, now that the store has `branch`
/// instead of them.
#[must_use]
pub fn plan(lost: &[Deed], branch: &[Deed]) -> Plan {
    let landed: BTreeSet<_> = branch.iter().map(|deed| deed.id.0).collect();
    let ours: BTreeSet<_> = lost.iter().map(|deed| deed.id.0).collect();
    let others = branch.iter();
    let others = others.filter(|deed| !ours.contains(&deed.id.0) && !deed.only_ends);
    let mut taken: BTreeSet<&str> = others.flat_map(places).collect();
    let mut plan = Plan::default();
    let mut again = Vec::new();
    for (at, deed) in lost.iter().enumerate() {
        if landed.contains(&deed.id.0) {
            plan.landed.push(at);
        } else if places(deed).any(|place| taken.contains(place)) {
            taken.extend(places(deed));
            plan.lost.push(at);
        } else {
            again.push((at, deed));
        }
    }
    // What ends something goes first, unless it was made upon a change that has to come before it.
    let mut before: BTreeSet<&str> = BTreeSet::new();
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for (at, deed) in again {
        if deed.ends && !places(deed).any(|place| before.contains(place)) {
            first.push(at);
        } else {
            before.extend(places(deed));
            rest.push(at);
        }
    }
    first.extend(rest);
    plan.again = first;
    plan
}

fn places(deed: &Deed) -> impl Iterator<Item = &str> {
    deed.touches.iter().map(String::as_str)
}

/// Which record a write replaces; `None` if it replaces none.
fn place(write: &Write) -> Option<String> {
    match write {
        Write::Key(key) => Some(key.id.to_string()),
        Write::Owner(owner) => Some(owner.id.to_string()),
        Write::Token(token) => Some(token.id.to_string()),
        Write::Product(product) => Some(product.id.to_string()),
        Write::Policy(policy) => Some(policy.id.to_string()),
        Write::RotationRule(rule) => Some(rule.id.to_string()),
        Write::Gone(Gone::Product(id)) => Some(id.to_string()),
        Write::Gone(Gone::Policy(id)) => Some(id.to_string()),
        Write::Gone(Gone::RotationRule(id)) => Some(id.to_string()),
        Write::Receipt(_) | Write::Event(_) | Write::Checkpoint(_) | Write::Erasure(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    /// Who wrote each record last.
    type Records = BTreeMap<String, ChangeId>;

    fn apply<'a>(mut records: Records, deeds: impl IntoIterator<Item = &'a Deed>) -> Records {
        for deed in deeds {
            for place in &deed.touches {
                records.insert(place.clone(), deed.id);
            }
        }
        records
    }

    fn deeds(first: u8) -> impl Strategy<Value = Vec<Deed>> {
        let one = (btree_set("[a-f]", 0..3), any::<bool>(), any::<bool>());
        vec(one, 0..8).prop_map(move |all| {
            (first..)
                .zip(all)
                .map(|(id, (touches, ends, ends_alone))| Deed {
                    id: ChangeId([id; 16]),
                    touches,
                    ends,
                    only_ends: ends && ends_alone,
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn every_lost_change_lands_once_or_is_told_of(lost in deeds(1), others in deeds(100)) {
            let plan = plan(&lost, &others);
            let mut all: Vec<_> = [&plan.landed[..], &plan.again, &plan.lost].concat();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..lost.len()));

            // Nothing that others decided is undone; what they ended has ended whoever writes the record.
            let adopted = apply(Records::new(), others.iter().filter(|it| !it.only_ends));
            let again: Vec<_> = plan.again.iter().map(|at| &lost[*at]).collect();
            let repaired = apply(adopted.clone(), again.iter().copied());
            for (place, who) in &adopted {
                prop_assert_eq!(&repaired[place], who);
            }
            // In whatever order they went, the records are as they would be in the order they were made.
            let mut in_order = plan.again.clone();
            in_order.sort_unstable();
            let in_order = in_order.iter().map(|at| &lost[*at]);
            prop_assert_eq!(&apply(adopted, in_order), &repaired);
            // What nobody touched, in no change that was told of, is as it was before the loss.
            let told: BTreeSet<_> = plan.lost.iter().flat_map(|at| &lost[*at].touches).collect();
            let before = apply(Records::new(), &lost);
            for (place, who) in before {
                if !told.contains(&place) {
                    prop_assert_eq!(repaired[&place], who);
                }
            }
        }

        /// Gates that come later, or break off and begin again, find nothing left to do twice.
        #[test]
        fn a_second_gate_goes_on_where_the_first_broke_off(
            lost in deeds(1), others in deeds(100), done in 0_usize..9,
        ) {
            let first = plan(&lost, &others);
            let done = done.min(first.again.len());
            let mut branch = others;
            branch.extend(first.again[..done].iter().map(|at| lost[*at].clone()));
            let second = plan(&lost, &branch);
            prop_assert_eq!(&second.lost, &first.lost);
            let (mut left, mut again) = (first.again[done..].to_vec(), second.again);
            left.sort_unstable();
            again.sort_unstable();
            prop_assert_eq!(again, left);
        }

        #[test]
        fn what_ends_something_waits_for_nothing_it_does_not_need(lost in deeds(1)) {
            let plan = plan(&lost, &[]);
            let mut needed = BTreeSet::new();
            let mut is_over = false;
            for at in &plan.again {
                let deed = &lost[*at];
                is_over |= !deed.ends;
                if is_over && deed.ends {
                    prop_assert!(deed.touches.iter().any(|it| needed.contains(it)));
                }
                if is_over {
                    needed.extend(&deed.touches);
                }
            }
        }
    }
}
