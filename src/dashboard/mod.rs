//! The dashboard: a page that people run the gate with. It calls the admin API like anyone.
//!
//! `ui/` holds its sources, `dist/` what was built of them, which is compiled in: building the gate needs no
//! Node, and a test of the browser suite holds that the one is the other. What is named after its content
//! is kept by browsers for ever; the page itself is asked for anew each time, by its tag. Whoever takes gzip is
//! sent that: everything is public and the same for all, so its length tells nobody anything.
//!
//! Only the paths of its own pages lead to the page; whatever else is asked for goes on to the admin API,
//! so that no call, metric or probe is ever answered by it.

mod encoding;
mod files;

pub use files::router;
