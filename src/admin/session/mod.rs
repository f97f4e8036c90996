//! Sessions of the dashboard: a token or an owner's link for a cookie. One call a file.
//!
//! The cookie is `__Host-`, `Secure`, `HttpOnly`, `SameSite=Strict`. What a page elsewhere could have a
//! browser send with it is refused by [`origin`]; what a page could do without one, it could not read.

pub(crate) mod close;
pub(crate) mod cookie;
pub(crate) mod get;
pub(crate) mod open;
pub(crate) mod origin;
mod told;
