//! Every command that a page shows is run: as it stands there, against a real gate.

mod page;
mod stories;
