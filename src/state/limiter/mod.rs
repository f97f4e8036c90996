//! Rate limits: governor's GCRA behind our words, with its state in the key's own slot.
//!
//! A *keyed* `governor::RateLimiter` has one rate for all its keys, and a direct one for each key costs
//! over a hundred bytes. So there is one [`Limiter`] per distinct rate, and what it remembers of a key,
//! a single number per limit, lies in that key's [`Slot`]. The slot belongs to the key and outlives its
//! entries: changing a rate continues from the state there is, and rotating refills nothing.
//!
//! A limit that gates share has [`Tokens`](crate::state::leases::Tokens) in the slot instead.
//!
//! Time is the request's own reading of the monotonic clock, taken once.

mod gcra;
mod named;

pub use gcra::{Level, LimitBook, LimitId, Limiter, Slot, Spent, policy};
pub use named::{NamedLimit, Sharing, Taking};

#[cfg(test)]
mod tests;
