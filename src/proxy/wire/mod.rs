//! The byte gate: HTTP/1.1 framing, judged strictly before hyper sees a byte.
//!
//! hyper is a good parser and a lenient edge: it takes bare LF, drops a Content-Length beside a
//! Transfer-Encoding, forwards two Host lines. Each of these is a request that two machines may
//! read differently, which is how requests are smuggled (RFC 9112 §11.2). So the socket is wrapped
//! in a [`Gate`]: it reads ahead, judges a head whole and a chunked body line by line, and hands on
//! only what has one reading.
//!
//! - [`octets`]: which octets may stand where; the scans the rest is made of.
//! - [`request_line`], [`authority`], [`lines`]: the parts of a head. [`head`] puts them together.
//! - [`body`]: where a body ends. [`buffer`]: what has been read and not yet handed on.
//! - [`gate`]: the stream hyper reads from. [`state`]: what the connection's owner may see and say
//!   meanwhile.
//!
//! **Invariant:** hyper receives a prefix of what the client sent (less an empty line before a
//! request), and that prefix never ends inside or after something refused. The outcome does not
//! depend on how the bytes were cut into reads: a line is judged when its LF has come or when it
//! has outgrown its bound, whichever is first.

mod authority;
mod body;
mod buffer;
mod gate;
mod head;
mod lines;
mod octets;
mod request_line;
mod state;

#[cfg(test)]
mod tests;

pub(crate) use authority::Authority;
pub(crate) use gate::Gate;
#[cfg(test)]
pub(crate) use state::Resume;
pub(crate) use state::{Exchange, Phase, WireState};

/// What a head may cost before it is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The longest request target, in octets. Beyond it: [`Fault::TargetTooLong`].
    pub target_max: usize,
    /// The longest head, from the method to the empty line and with both. Beyond it:
    /// [`Fault::HeadTooLarge`].
    pub head_max: usize,
    /// The most field lines in a head, and again in a trailer section. hyper has a bound of its
    /// own, 100 unless `http1::Builder::max_headers` says otherwise: the two must agree.
    pub fields_max: usize,
    /// Stop after a head that asks for an upgrade until [`WireState::resume`] tells how to go on.
    /// Off while upgrades are stripped: then the request is like any other.
    pub hold_upgrades: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            target_max: 8 * 1024,
            head_max: 16 * 1024,
            fields_max: 100,
            hold_upgrades: false,
        }
    }
}

/// Why the gate closed. Every one of them ends the connection: after it nobody knows where a
/// request would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Malformed or ambiguous (400). The reason is for the log and names no octet of the client's.
    BadRequest(&'static str),
    /// A method we know and do not serve: TRACE and CONNECT (405).
    MethodNotAllowed,
    /// The request target, or the line it stands in, is longer than the bound (414, RFC 9112 §3).
    TargetTooLong,
    /// An expectation other than `100-continue` (417, RFC 9110 §10.1.1).
    ExpectationFailed,
    /// More head than the bound, in octets or in field lines (431, RFC 6585 §5).
    HeadTooLarge,
    /// A method nobody here has heard of (501, RFC 9110 §9.1).
    MethodUnknown,
    /// Neither HTTP/1.1 nor HTTP/1.0, or no version at all (505).
    VersionNotSupported,
}
