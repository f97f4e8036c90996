//! Leases on shared limits: asked for ahead of need, many in one go, while requests spend from memory.
//!
//! [`Book`](book::Book) decides: what each lease should ask for, when to ask again, when to give back. It is told of asks,
//! of time and of answers, and does nothing by itself. [`Leases`] carries its calls to the store and the answers
//! back, several batches at a time; of one limit of one key there is never more than one call under way,
//! so a limit that many wait for costs one call, and while it is out the next gathers.
//!
//! Among how many gates a limit is divided is [the link's roster](crate::state::leases::Roster): whoever knows
//! of the other gates seats it there.

mod book;
mod carry;
mod lease;

pub(crate) use carry::Leases;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
