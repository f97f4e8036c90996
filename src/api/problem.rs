//! What the admin API answers when it does not do what was asked: RFC 9457.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:portcullis:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A few words; the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable name of the problem.
    pub code: String,
    /// What is wrong this time.
    pub detail: String,
    /// Names the call, here and in the logs.
    pub request_id: String,
    /// Each thing that is wrong with the request; with 400 and 422 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<Fault>>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Where, as a JSON pointer into the body (RFC 6901); a query parameter by its name alone.
    pub pointer: String,
    /// What, for programs.
    pub code: String,
    /// What, for people.
    pub detail: String,
}

/// What stands before a problem's code in its `type`.
pub const TYPE_PREFIX: &str = "urn:portcullis:problem:";
/// The media type of problem documents (RFC 9457 §6.1).
pub const CONTENT_TYPE: &str = "application/problem+json";
