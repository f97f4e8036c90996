//! What a client is told of its limits: `RateLimit` and `RateLimit-Policy`, and the older fields.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::domain::time::Timestamp;
use crate::proxy::admit::Tightest;
use crate::proxy::digits;
use crate::proxy::headers::{
    LEGACY_LIMIT, LEGACY_REMAINING, LEGACY_RESET, RATE_LIMIT, RATE_LIMIT_POLICY,
};
use crate::state::quotas::Nearest;

/// Where a request's limits stand.
#[derive(Debug, Default)]
pub(crate) struct LimitFields {
    policy: Option<HeaderValue>,
    level: Option<HeaderValue>,
    most: u64,
    remaining: u64,
    /// `None` for what does not come back by waiting.
    whole_in_s: Option<u64>,
}

impl LimitFields {
    /// The limit nearest its end, among those of the key and of the route.
    pub(crate) fn of(
        tightest: &Tightest<'_>,
        key: Option<&HeaderValue>,
        route: Option<&HeaderValue>,
    ) -> Self {
        // Rounded up: after these seconds the bucket is whole, not a little before.
        let whole_in = tightest.level.whole_in;
        let whole_in_s = whole_in.as_secs() + u64::from(whole_in.subsec_nanos() > 0);
        let remaining = tightest.level.remaining.into();
        Self {
            policy: policy(key, route),
            level: level(&tightest.limit.name, remaining, Some(whole_in_s)),
            most: tightest.limit.limit.burst.get().into(),
            remaining,
            whole_in_s: Some(whole_in_s),
        }
    }

    /// Whether a quota is nearer its end than what is told already.
    pub(crate) const fn are_beyond(&self, nearest: &Nearest<'_>) -> bool {
        self.level.is_none() || self.remaining > nearest.remaining
    }

    /// A quota.
    pub(crate) fn of_quota(
        nearest: &Nearest<'_>,
        now: Timestamp,
        key: Option<&HeaderValue>,
        route: Option<&HeaderValue>,
    ) -> Self {
        // Credits do not come back by waiting: without `t`, as the draft has it, and without the older field.
        let renews_in_s = nearest
            .renews_at
            .map(|at| at.since(now).as_millis().div_ceil(1_000))
            .map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX));
        Self {
            policy: policy(key, route),
            level: level(&nearest.quota.name, nearest.remaining, renews_in_s),
            most: nearest.quota.quota.limit,
            remaining: nearest.remaining,
            whole_in_s: renews_in_s,
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
            headers.insert(LEGACY_LIMIT, self.most.into());
            headers.insert(LEGACY_REMAINING, self.remaining.into());
            if let Some(seconds) = self.whole_in_s {
                headers.insert(LEGACY_RESET, seconds.into());
            }
        }
    }
}

/// What is left of a limit, as `RateLimit` has it.
fn level(name: &str, remaining: u64, whole_in_s: Option<u64>) -> Option<HeaderValue> {
    let mut text = Vec::with_capacity(name.len() + LEVEL_BYTES);
    text.push(b'"');
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"\";r=");
    digits::write::<10>(&mut text, remaining);
    if let Some(seconds) = whole_in_s {
        text.extend_from_slice(b";t=");
        digits::write::<10>(&mut text, seconds);
    }
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

/// The policies of the key and of the route, one after the other.
fn policy(key: Option<&HeaderValue>, route: Option<&HeaderValue>) -> Option<HeaderValue> {
    match (key, route) {
        (Some(key), Some(route)) => {
            let both = [key.as_bytes(), b", ", route.as_bytes()].concat();
            HeaderValue::from_bytes(&both).ok()
        }
        (one, other) => one.or(other).cloned(),
    }
}

/// The most that a level has besides a limit's name: quotes, parameters, two numbers.
const LEVEL_BYTES: usize = 8 + 20 + 20;
