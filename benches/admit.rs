//! The decision alone: secret → key → its version → limits, in nanoseconds, warm and over many keys. There is
//! no route here, so nothing of permissions.
//!
//! `cargo bench --bench admit`; that it allocates nothing is counted in `tests/allocations.rs`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::domain::id::{KeyId, OwnerId};
use portcullis::domain::key::KeySettings;
use portcullis::domain::lifecycle::{Birth, create};
use portcullis::domain::limit::RateLimit;
use portcullis::domain::secret::{Hasher, Secret};
use portcullis::domain::time::Timestamp;
use portcullis::proxy::admit::{self, Known};
use portcullis::state::grants::GrantBook;
use portcullis::state::keys::KeyCache;
use portcullis::state::limiter::LimitBook;

/// A cache of `count` keys with one limit each, and their secrets.
fn keys(count: u32) -> (KeyCache, Vec<Secret>) {
    let mut book = GrantBook::new(vec![], Arc::<LimitBook>::default());
    let hasher = Hasher::default();
    let cache = KeyCache::default();
    let mut seed = 1_u64;
    let mut draw = move |bytes: &mut [u8]| {
        for byte in bytes {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (seed >> 56) as u8;
        }
    };
    let mut secrets = Vec::new();
    for _ in 0..count {
        let mut random = [0; 10];
        draw(&mut random);
        let id = KeyId::from_random(random);
        let secret = Secret::generate("pk", "live", id, |bytes| {
            draw(bytes);
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(secret) = secret;
        let birth = Birth {
            id,
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            hash: hasher.hash(secret.reveal().as_bytes()),
            fingerprint: secret.fingerprint(),
            created_by: "bench".into(),
        };
        let limit = "1000000000/second".parse().map(RateLimit::new);
        let settings = KeySettings {
            rate_limits: limit.into_iter().collect(),
            ..KeySettings::named("k")
        };
        let key = create(birth, settings, Timestamp::from_millis(1));
        cache.put(&key, book.grants(&key));
        secrets.push(secret);
    }
    (cache, secrets)
}

fn admit(criterion: &mut Criterion) {
    let hasher = Hasher::default();
    for count in [1, 10_000, 1_000_000] {
        let (cache, secrets) = keys(count);
        let mut turn = secrets.iter().cycle();
        let mut now_ns = 1_000_000_000;
        criterion.bench_function(&format!("admit, one of {count} keys"), |bencher| {
            bencher.iter(|| {
                now_ns += 1_000;
                let secret = turn
                    .next()
                    .map_or(&[][..], |secret| secret.reveal().as_bytes());
                let known = admit::authenticate(&cache, &hasher, "pk", black_box(secret));
                let Ok(Known { entry, version, .. }) = known else {
                    return false;
                };
                let passes = entry.admits(&version, Timestamp::from_millis(2)).is_ok();
                let limits = entry.grants.limits.iter();
                passes
                    && admit::spend(entry.slot(), limits, 1, now_ns)
                        .refusal
                        .is_none()
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = admit
}
criterion_main!(benches);
