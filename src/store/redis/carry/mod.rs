//! Carrying a whole store out of Redis and into it; see [`crate::store::carry`].
//!
//! | file | what it does |
//! |---|---|
//! | `draw` | brings a store into the tables of the embedded one |
//! | `seed` | puts one that lies in such tables into an empty Redis |
//! | `counted` | what of that counts |
//! | `there` | what is there already |
//! | `batch` | many writes, sent together, and what became of them |

mod batch;
mod counted;
mod draw;
mod seed;
mod there;

pub(in crate::store) use draw::draw;
pub(in crate::store) use seed::seed;
pub(in crate::store) use there::{hold_mirror, standing};
