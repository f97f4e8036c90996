//! What the admin API says, word for word: the JSON of SPEC §9, shared by the server and the command line.
//!
//! Answers are written whole: what is unknown is `null`, never left out. Ids and times are typed, since
//! neither ever changes its form; words such as a status are plain text, so that an older client bears
//! the words of a newer gate. Clients ignore fields they do not know, and so does everything here that
//! is read from an answer.
//!
//! Requests are the other way about: an unknown field is refused (`deny_unknown_fields`), because a
//! misspelt `expires_at` that is ignored is a key that never ends. What a field may hold is judged in
//! `admin`, where every fault can be named at once with its pointer.

pub mod audit;
pub mod form;
pub mod holder;
pub mod keys;
pub mod live;
pub mod owners;
pub mod page;
mod patch;
pub mod policies;
pub mod problem;
pub mod products;
pub mod reports;
pub mod rotation;
pub mod session;
pub mod status;
mod text;
pub mod tokens;
pub mod usage;

pub use text::{Text, Time};
