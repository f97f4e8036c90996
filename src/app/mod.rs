//! The only place that knows everyone: from a configuration to a running gate, and back to nothing.

mod access_log;
mod admin_server;
mod audit;
mod carry;
mod clock;
mod echo;
mod error;
mod fleet;
mod gate;
mod leases;
mod live;
mod open_store;
mod ports;
mod privacy;
mod quotas;
mod rehearsal;
mod running;
mod services;
mod signals;
mod start;
mod tasks;
mod time_kept;
mod traces;
mod work;
mod workers;

pub use crate::admin::document as admin_api;
pub use carry::{Carried, CarryError, Origin, migrate, restore, snapshot};
pub use clock::SystemClock;
pub use echo::Echo;
pub use error::StartError;
pub use privacy::keep_memory_private;
pub use running::Running;
pub use signals::Signals;
pub use start::{Choices, start, start_log, start_with};
