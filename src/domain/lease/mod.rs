//! Limits that several gates hold together, by leases: the arithmetic of it.
//!
//! A shared limit is one bucket: it holds a [`Level`] of tokens, at most its burst, and refills at its rate.
//! A gate does not ask it for every request. It takes a **lease**: tokens that leave the bucket and are the
//! gate's to spend until the lease ends. The bucket keeps a row for each gate and refills only as far as
//! what is out on lease leaves room, so a token is in one place at any time: in the bucket, on one lease,
//! or set aside for one gate. That is why all gates together never admit more in any span of time than
//! one bucket in one process would.
//!
//! A gate says with every [`LeaseCall`] what it still has and what it has received so far. So a reply that
//! was lost is undone by the next call (the tokens come back), a write that the store lost is made again (they are
//! charged), and giving back is nothing but having received less.
//!
//! [`Bucket::settle`] is what the store does with a call; [`size`] how much a gate asks for; [`share`] what
//! it may spend while nobody answers. All of it is in whole tokens and nanoseconds: every gate, and the
//! script in Redis, comes to the same numbers.

mod bucket;
mod call;
pub mod share;
pub mod size;
mod terms;

pub use bucket::{Bucket, Row};
pub use call::{LeaseCall, LeaseReply, LimitHolder};
pub use terms::{LEASE_MARGIN_US, LeaseTerms, Level};

#[cfg(test)]
mod tests;
