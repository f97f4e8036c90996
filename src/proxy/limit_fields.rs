//! What a client is told of its limits: `RateLimit` and `RateLimit-Policy`, and the older fields.

use http::{HeaderMap, HeaderValue};

use crate::domain::time::Timestamp;
use crate::proxy::admit::Tightest;
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
    whole_in_s: u64,
}

impl LimitFields {
    /// The limit nearest its end, among those of the key and of the route.
    pub(crate) fn of(
        tightest: &Tightest<'_>,
        key: Option<&HeaderValue>,
        route: Option<&HeaderValue>,
    ) -> Self {
        // Rounded up: after these seconds the bucket is whole, not a little before.
        let whole_in = tightest.level.whole_in.as_nanos().div_ceil(1_000_000_000);
        let whole_in_s = u64::try_from(whole_in).unwrap_or(u64::MAX);
        let remaining = tightest.level.remaining;
        let level = format!("\"{}\";r={remaining};t={whole_in_s}", tightest.limit.name);
        Self {
            policy: policy(key, route),
            level: HeaderValue::from_str(&level).ok(),
            most: tightest.limit.limit.burst.get().into(),
            remaining: remaining.into(),
            whole_in_s,
        }
    }

    /// A quota, if it is nearer its end than what is told already.
    pub(crate) fn tighten(
        &mut self,
        nearest: &Nearest<'_>,
        now: Timestamp,
        key: Option<&HeaderValue>,
        route: Option<&HeaderValue>,
    ) {
        if self.level.is_some() && self.remaining <= nearest.remaining {
            return;
        }
        let (name, remaining) = (&nearest.quota.name, nearest.remaining);
        // Credits do not come back by waiting: without `t`, as the draft has it.
        let renews_in_s = nearest
            .renews_at
            .map(|at| at.since(now).as_millis().div_ceil(1_000))
            .map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX));
        let level = match renews_in_s {
            Some(seconds) => format!("\"{name}\";r={remaining};t={seconds}"),
            None => format!("\"{name}\";r={remaining}"),
        };
        *self = Self {
            policy: policy(key, route),
            level: HeaderValue::from_str(&level).ok(),
            most: nearest.quota.quota.limit,
            remaining,
            whole_in_s: renews_in_s.unwrap_or(0),
        };
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
            headers.insert(LEGACY_RESET, self.whole_in_s.into());
        }
    }
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
