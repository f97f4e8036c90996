//! What a client is told of its limits: `RateLimit` and `RateLimit-Policy`, and the older fields.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::proxy::admit::Tightest;
use crate::proxy::digits;
use crate::proxy::headers::{
    LEGACY_LIMIT, LEGACY_REMAINING, LEGACY_RESET, RATE_LIMIT, RATE_LIMIT_POLICY,
};

/// Where a request's limits stand.
#[derive(Debug, Default)]
pub(crate) struct LimitFields {
    policy: Option<HeaderValue>,
    level: Option<HeaderValue>,
    burst: u32,
    remaining: u32,
    whole_in_s: u64,
}

impl LimitFields {
    /// The limit nearest its end, among those of the key and of the route.
    pub(crate) fn of(
        tightest: &Tightest<'_>,
        key: Option<&HeaderValue>,
        route: Option<&HeaderValue>,
    ) -> Self {
        let policy = match (key, route) {
            (Some(key), Some(route)) => {
                let both = [key.as_bytes(), b", ", route.as_bytes()].concat();
                HeaderValue::from_bytes(&both).ok()
            }
            (one, other) => one.or(other).cloned(),
        };
        // Rounded up: after these seconds the bucket is whole, not a little before.
        let whole_in = tightest.level.whole_in;
        let whole_in_s = whole_in.as_secs() + u64::from(whole_in.subsec_nanos() > 0);
        let remaining = tightest.level.remaining;
        let mut level = Vec::with_capacity(tightest.limit.name.len() + LEVEL_BYTES);
        level.push(b'"');
        level.extend_from_slice(tightest.limit.name.as_bytes());
        level.extend_from_slice(b"\";r=");
        digits::write::<10>(&mut level, remaining.into());
        level.extend_from_slice(b";t=");
        digits::write::<10>(&mut level, whole_in_s);
        Self {
            policy,
            level: HeaderValue::from_maybe_shared(Bytes::from(level)).ok(),
            burst: tightest.limit.limit.burst.get(),
            remaining,
            whole_in_s,
        }
    }

    /// Sets the fields, if there is a limit at all.
    pub(crate) fn set(&self, headers: &mut HeaderMap, with_legacy: bool) {
        let Some(level) = &self.level else { return };
        headers.insert(RATE_LIMIT, level.clone());
        if let Some(policy) = &self.policy {
            headers.insert(RATE_LIMIT_POLICY, policy.clone());
        }
        if with_legacy {
            headers.insert(LEGACY_LIMIT, self.burst.into());
            headers.insert(LEGACY_REMAINING, self.remaining.into());
            headers.insert(LEGACY_RESET, self.whole_in_s.into());
        }
    }
}

/// The most that a level has besides a limit's name: quotes, parameters, two numbers.
const LEVEL_BYTES: usize = 8 + 10 + 20;
