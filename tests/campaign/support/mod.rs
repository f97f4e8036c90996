//! What a campaign is run with: servers, gates in processes of their own, what lies between them, and a
//! client that takes down what it sees.

#[path = "../../it/support/guard.rs"]
mod guard;
#[path = "../../it/support/redis.rs"]
#[expect(dead_code, reason = "a campaign needs less of it than the suites do")]
pub(crate) mod redis;
#[path = "../../it/support/venv.rs"]
#[expect(dead_code, reason = "a campaign runs no Python")]
mod venv;

pub(crate) mod clock_step;
pub(crate) mod gate;
pub(crate) mod link;
pub(crate) mod stores;
pub(crate) mod upstream;
pub(crate) mod watch;
pub(crate) mod wire;
