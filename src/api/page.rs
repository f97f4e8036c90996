//! Lists, a page at a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// What is on it; at most `limit` items.
    pub items: Vec<T>,
    /// What to ask for the next page with, under the same query; `null` on the last.
    pub next_cursor: Option<String>,
}

/// How many items a page has where a request does not say.
pub const LIMIT_DEFAULT: usize = 100;
/// How many it may ask for.
pub const LIMIT_MAX: usize = 1_000;
