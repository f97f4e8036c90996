//! HTTP/1.1 towards an endpoint (RFC 9112): what is written to it, and what of its answers is believed.
//!
//! The task that serves a request writes it to the endpoint's socket and reads the answer from there:
//! no second task, no channel, no wake that is not the socket's or the client's. One `poll` drives both
//! directions, so an answer that comes while the request is still being sent is passed on at once.
//!
//! An answer that could be read in two ways is no answer ([`Fault::Invalid`]): two lengths, a length
//! beside chunks, a line that ends without CR, a folded field, more than eight interim answers, a switch
//! of protocols nobody asked for. Where the RFC lets a recipient repair, this one refuses: the next hop
//! might repair it differently.
//!
//! **Invariant:** a connection carries another request only if the one before was written to its end,
//! its answer read to its end, both sides meant to go on, and no byte came that belongs to nothing.
//!
//! | file | |
//! |---|---|
//! | `conn` | [`Carrier`], one exchange, [`AnswerBody`] |
//! | `encode` | a request's head and the framing of its body, as bytes |
//! | `upload` | the request's body on its way out |
//! | `outbox`, `inbox` | the two buffers of a connection |
//! | `head`, `fields` | an answer's head, field by field |
//! | `body` | where an answer's body ends |
//! | `fault` | what may go wrong |

mod body;
mod conn;
mod encode;
mod fault;
mod fields;
mod head;
mod inbox;
mod outbox;
mod upload;

#[cfg(test)]
mod tests;

pub(crate) use conn::{AnswerBody, Carrier};
pub(crate) use encode::{Fields, Lines};
#[cfg(test)]
pub(crate) use fault::Broken;
pub(crate) use fault::{Fault, Unsent};
