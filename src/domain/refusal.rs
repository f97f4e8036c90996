//! Every reason to say no. A refusal is an answer, not an error: it allocates nothing.

use std::fmt;
use std::time::Duration;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal $status:literal $title:literal;)*) => {
        /// The stable name of a refusal. Clients depend on them: none is ever renamed or reused.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum RefusalCode {
            $($(#[$doc])* $name,)*
        }

        impl RefusalCode {
            /// All of them, in the order the gate decides.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code in problem documents, logs, usage and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// A few words for people; the same for every occurrence (RFC 9457 §3.1.3).
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The request is not well-formed, or could be read in two ways.
    BadRequest = "bad_request" 400 "Bad request";
    /// More than one credential.
    AmbiguousCredential = "ambiguous_credential" 400 "More than one credential";
    /// No credential where one is asked for.
    MissingKey = "missing_key" 401 "API key missing";
    /// No such key.
    UnknownKey = "unknown_key" 401 "API key not recognised";
    /// The key is past its end.
    KeyExpired = "key_expired" 401 "API key expired";
    /// The key, or this version of it, was revoked.
    KeyRevoked = "key_revoked" 401 "API key revoked";
    /// This version's grace is over; a newer one exists.
    KeyRetired = "key_retired" 401 "API key replaced by a newer version";
    /// The key is paused.
    KeySuspended = "key_suspended" 403 "API key suspended";
    /// The key lacks a scope the route asks for.
    ScopeMissing = "scope_missing" 403 "Scope missing";
    /// The key may not use this method.
    MethodNotAllowedForKey = "method_not_allowed_for_key" 403 "Method not allowed for this key";
    /// The key may not reach this path.
    PathNotAllowed = "path_not_allowed" 403 "Path not allowed for this key";
    /// The key may not be used from this address.
    IpNotAllowed = "ip_not_allowed" 403 "Address not allowed for this key";
    /// The key's environment may not use this route.
    EnvNotAllowed = "env_not_allowed" 403 "Environment not allowed on this route";
    /// No route serves this host and path.
    NoRoute = "no_route" 404 "No such route";
    /// Routes serve the path, but not with this method.
    MethodNotAllowed = "method_not_allowed" 405 "Method not allowed";
    /// The request did not arrive in time.
    RequestTimeout = "request_timeout" 408 "Request not received in time";
    /// The body is larger than the route allows.
    BodyTooLarge = "body_too_large" 413 "Body too large";
    /// The request target is too long.
    TargetTooLong = "target_too_long" 414 "Request target too long";
    /// An expectation the gate does not know.
    ExpectationFailed = "expectation_failed" 417 "Unknown expectation";
    /// The host is not one this connection was made for.
    Misdirected = "misdirected" 421 "Misdirected request";
    /// A rate limit is spent.
    RateLimited = "rate_limited" 429 "Rate limit exceeded";
    /// A quota is spent.
    QuotaExhausted = "quota_exhausted" 429 "Quota exhausted";
    /// Too many requests of this key at once.
    ConcurrencyExceeded = "concurrency_exceeded" 429 "Too many requests at once";
    /// Too many wrong credentials from this address.
    TooManyFailures = "too_many_failures" 429 "Too many wrong credentials";
    /// The head is too large.
    HeadTooLarge = "head_too_large" 431 "Request head too large";
    /// No method the gate knows.
    MethodUnknown = "method_unknown" 501 "Unknown method";
    /// No version of HTTP the gate speaks.
    VersionNotSupported = "version_not_supported" 505 "HTTP version not supported";
    /// The upstream did not accept the connection.
    UpstreamRefused = "upstream_refused" 502 "Upstream refused the connection";
    /// The upstream broke the connection off.
    UpstreamReset = "upstream_reset" 502 "Upstream closed the connection";
    /// The upstream's answer is not well-formed.
    UpstreamInvalid = "upstream_invalid" 502 "Upstream answered badly";
    /// The gate does not know its keys yet.
    NotReady = "not_ready" 503 "Not ready";
    /// The gate has been away from its store for too long.
    Stale = "stale" 503 "Out of touch with the store";
    /// A strict limit cannot be asked for.
    LimitsUnavailable = "limits_unavailable" 503 "Limits not available";
    /// No endpoint of the upstream is well.
    NoHealthyUpstream = "no_healthy_upstream" 503 "No healthy upstream";
    /// The gate has as much to do as it can.
    Overloaded = "overloaded" 503 "Overloaded";
    /// A fault of the gate.
    Internal = "internal" 503 "Internal fault";
    /// The upstream did not answer in time.
    UpstreamTimeout = "upstream_timeout" 504 "Upstream did not answer in time";
}

impl RefusalCode {
    /// The code a name stands for, as read back from a store.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }

    /// The gRPC status that stands for it (SPEC §3).
    #[must_use]
    pub const fn grpc_status(self) -> u8 {
        match self.status() {
            401 => 16,
            403 => 7,
            404 => 12,
            429 => 8,
            502 | 503 => 14,
            504 => 4,
            _ => 13,
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A no, with what the caller may know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// After how long it may be tried again, where waiting helps.
    pub retry_after: Option<Duration>,
    /// One sentence more, where the code does not say it all. Never anything the caller sent.
    pub detail: Option<&'static str>,
}

impl Refusal {
    /// The refusal of this code, without more.
    #[must_use]
    pub const fn new(code: RefusalCode) -> Self {
        Self {
            code,
            retry_after: None,
            detail: None,
        }
    }

    /// The same, saying when to try again.
    #[must_use]
    pub const fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same, with a sentence more.
    #[must_use]
    pub const fn because(mut self, detail: &'static str) -> Self {
        self.detail = Some(detail);
        self
    }
}

impl From<RefusalCode> for Refusal {
    fn from(code: RefusalCode) -> Self {
        Self::new(code)
    }
}
