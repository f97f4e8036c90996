//! How an exchange with an endpoint may fail, and what is left of the request then.

use std::io;

use bytes::Bytes;

/// What went wrong with an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The endpoint closed the connection before the first byte of an answer.
    #[error("the connection was closed before an answer")]
    Closed,
    /// The connection broke before the first byte of an answer.
    #[error("the connection broke before an answer: {0}")]
    Reset(io::ErrorKind),
    /// The connection ended or broke in the middle of an answer.
    #[error("the answer was cut short")]
    Cut,
    /// The answer is not HTTP/1.1, or could be read in two ways.
    #[error("the answer is invalid: {0}")]
    Invalid(&'static str),
    /// The request's body broke off, or was not as long as it said.
    #[error("the request's body did not end well")]
    Upload,
    /// What was to be sent is no request; nothing was.
    #[error("the request cannot be sent: {0}")]
    Unsendable(&'static str),
}

impl Fault {
    /// Whether the endpoint went away without a word: on a kept connection this is how it looks when the
    /// endpoint closed it while the request was on its way (RFC 9112 §9.3.1).
    pub(crate) fn is_silent_end(self) -> bool {
        matches!(self, Self::Closed | Self::Reset(_))
    }
}

/// An exchange that came to nothing.
#[derive(Debug)]
pub(crate) struct Broken<B> {
    pub(crate) fault: Fault,
    /// The request's body, if no byte of the request left: then it may be sent again, whatever its method.
    pub(crate) unsent: Option<Unsent<B>>,
}

/// The body of a request of which nothing was sent.
#[derive(Debug)]
pub(crate) struct Unsent<B> {
    /// What was taken from the body already. To be sent before what is left of it; mostly empty.
    pub(crate) first: Bytes,
    /// What is left of the body.
    pub(crate) body: B,
}
