//! The store in one file on this machine; beside Redis, the same file is the mirror.
//!
//! | part | what it does |
//! |---|---|
//! | `store` | [`EmbeddedStore`]: the contract, each call handed to the writer or to a reader |
//! | `mirrored` | what it is told where it mirrors a store elsewhere |
//! | `file` | makes the file, or looks at the one there is before anything is written |
//! | `tables` | its tables, and how older ones become them |
//! | `writer` | the one thread that writes: what waits is put into one transaction (group commit) |
//! | `readers` | a few read-only connections, off the async threads |
//! | `change` | puts a change into the tables · `rules` those of its rules · `feed` keeps it for those who follow |
//! | `seal` | authenticates the tables of a mirror |
//! | `snapshot` | hands out every key · `replace` takes every key anew |
//! | `audit` | numbers, chains and finds audit entries · `walk` verifies them |
//! | `outbox` | keeps events until they are too old |
//! | `lists` | answers lists and searches · `conditions` what they ask for in SQL · `quotas` what was given out of them |
//! | `usage` | counts, by hour and by day · `ledger` those that are not there yet |
//! | `held` | all tables as of one moment · `making` a file of such tables · `adding` what a mirror lacks of its store |
//! | `fault` | says what went wrong |
//!
//! SQLite in WAL mode with `synchronous=FULL`: a commit that was answered has been through `fsync`. Records
//! are the bytes of [`super::record`]; the columns beside them are only what is searched and sorted by.
//!
//! **Invariant:** the revision is read and moved on in the transaction that writes the change, so the
//! file alone decides who came first.

mod adding;
mod audit;
mod change;
mod conditions;
mod fault;
mod feed;
mod file;
mod held;
mod ledger;
mod lists;
mod making;
mod mirrored;
mod outbox;
mod quotas;
mod readers;
mod replace;
mod rules;
mod seal;
mod snapshot;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod usage;
mod walk;
mod writer;

pub(super) use adding::{Adding, QuotaRow};
pub use feed::{Journaled, Place};
pub(super) use held::{Held, Pieces, StandOf, TableOf};
pub(super) use making::{Made, Making};
pub(super) use seal::Seen;
pub use store::EmbeddedStore;
