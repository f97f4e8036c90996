//! Random lives of keys against a model that knows nothing of how the gate decides.
//!
//! The model keeps, for each secret, the instant it stops for good; the gate keeps states, ends and
//! tombstones. At every instant both must admit the same secrets.

use std::sync::Arc;
use std::time::Duration;

use portcullis::domain::id::{KeyId, OwnerId};
use portcullis::domain::key::{Key, KeySettings};
use portcullis::domain::lifecycle::{
    self, Activation, Birth, Earlier, Grace, LIVE_VERSIONS_MAX, LifecycleError, NewVersion,
    RotationTerms,
};
use portcullis::domain::secret::{Fingerprint, KeyHash};
use portcullis::domain::time::Timestamp;
use portcullis::state::keys::KeyCache;
use portcullis::state::limiter::Slot;

const INTERLEAVINGS: u64 = 100_000;
const STEPS: usize = 12;
const HOUR: u64 = 3_600_000;

/// At every instant of 100,000 random lives the secrets that are valid are exactly those the gate
/// admits; what was revoked is never admitted again, an end that was set never moves, and the slot with
/// the key's limits survives all of it.
// S2-03 S2-04 S2-08 S2-09 S2-10 S2-12 S1-13 S3-04 S3-06
#[test]
fn exactly_the_valid_versions_are_admitted_at_every_instant() {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut cache = KeyCache::default();
                for (nth, seed) in (thread..INTERLEAVINGS)
                    .step_by(threads as usize)
                    .enumerate()
                {
                    if nth % 1_000 == 0 {
                        cache = KeyCache::default();
                    }
                    Life::begin(seed, &cache).live();
                }
            });
        }
    });
}

/// One key as the gate has it, and as the model does.
struct Life<'a> {
    seed: u64,
    random: u64,
    cache: &'a KeyCache,
    now: u64,
    key: Key,
    slot: Arc<Slot>,
    model: Model,
    /// Every hash the key ever had, by version number less one.
    hashes: Vec<KeyHash>,
}

#[derive(Debug, Default)]
struct Model {
    versions: Vec<Promise>,
    is_suspended: bool,
    is_revoked: bool,
    expires_at: Option<u64>,
}

/// What is known of one secret.
#[derive(Debug, Clone, Copy)]
struct Promise {
    /// The instant it was said to stop at; never said again once it was.
    end: Option<u64>,
    /// The instant it was stopped at, whatever had been said.
    cut: Option<u64>,
    /// Whether it ever became the current one.
    was_current: bool,
}

impl Promise {
    fn is_over(&self, now: u64) -> bool {
        self.end.is_some_and(|end| end <= now) || self.cut.is_some()
    }
}

impl Model {
    fn admits(&self, version: usize, now: u64) -> bool {
        !self.is_revoked
            && !self.is_suspended
            && !self.is_expired(now)
            && !self.versions[version].is_over(now)
    }

    fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    fn alive(&self, now: u64) -> Vec<usize> {
        let all = 0..self.versions.len();
        all.filter(|at| !self.versions[*at].is_over(now)).collect()
    }

    fn current(&self) -> usize {
        let found = self.versions.iter().rposition(|v| v.was_current);
        found.expect("the first version was current")
    }

    fn pending(&self, now: u64) -> Option<usize> {
        let alive = self.alive(now).into_iter();
        alive.rev().find(|at| !self.versions[*at].was_current)
    }

    fn add(&mut self, was_current: bool) {
        self.versions.push(Promise {
            end: None,
            cut: None,
            was_current,
        });
    }

    fn cut(&mut self, version: usize, now: u64) {
        self.versions[version].cut.get_or_insert(now);
    }

    fn promise(&mut self, version: usize, end: u64) {
        self.versions[version].end.get_or_insert(end);
    }
}

impl<'a> Life<'a> {
    fn begin(seed: u64, cache: &'a KeyCache) -> Self {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995;
        let hash = hash(&mut random);
        let now = 1_700_000_000_000;
        let id = next(&mut random).to_be_bytes();
        let birth = Birth {
            id: KeyId::from_random([id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], 0, 0]),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            hash,
            fingerprint: Fingerprint::from_bytes([0; 6]),
            created_by: "tok_x".into(),
        };
        let mut settings = KeySettings::named("k");
        let mut model = Model::default();
        model.add(true);
        if next(&mut random).is_multiple_of(4) {
            let end = now + next(&mut random) % (100 * HOUR) + 1;
            settings.expires_at = Some(at(end));
            model.expires_at = Some(end);
        }
        let key = lifecycle::create(birth, settings, at(now));
        cache.put(&key, Arc::default());
        let slot = cache.find(&hash).expect("just put").0.slot().clone();
        Self {
            seed,
            random,
            cache,
            now,
            key,
            slot,
            model,
            hashes: vec![hash],
        }
    }

    fn live(mut self) {
        self.compare("birth");
        for _ in 0..STEPS {
            let name = match self.draw(16) {
                0..=2 => self.rotate(),
                3 | 4 => self.begin_rotation(),
                5 | 6 => self.activate(),
                7 => self.discard(),
                8 => self.revoke_version(),
                9 => self.suspend(),
                10 => self.resume(),
                11 if self.draw(4) == 0 => self.revoke(),
                _ => self.pass_time(),
            };
            self.cache.put(&self.key, Arc::default());
            self.compare(name);
        }
    }

    fn rotate(&mut self) -> &'static str {
        let grace = [0, 1, HOUR, 24 * HOUR, 72 * HOUR][self.draw(5)];
        let leaked = self.draw(5) == 0;
        let expires_at = match self.draw(4) {
            0 => Some(None),
            1 => Some(Some(self.now + self.random % (48 * HOUR))),
            _ => None,
        };
        let hash = hash(&mut self.random);
        let terms = RotationTerms {
            earlier: if leaked {
                Earlier::Revoke
            } else {
                Earlier::Retire(Grace::new(Duration::from_millis(grace)).expect("at most 72 h"))
            },
            expires_at: expires_at.map(|end| end.map(at)),
        };
        let done = lifecycle::rotate(self.key.clone(), new_version(hash), terms, at(self.now));

        let now = self.now;
        let end = expires_at.unwrap_or(self.model.expires_at);
        let expected = if self.model.is_revoked {
            Err(LifecycleError::Revoked)
        } else if end.is_some_and(|end| end <= now) {
            Err(LifecycleError::Expired)
        } else {
            let was_expired = self.model.is_expired(now);
            let stays = |at: &usize| {
                let version = self.model.versions[*at];
                let ends_at_once = version.end.is_none() && grace == 0;
                version.was_current && !leaked && !was_expired && !ends_at_once
            };
            let staying = self.model.alive(now).iter().filter(|at| stays(at)).count();
            if staying < LIVE_VERSIONS_MAX {
                for version in self.model.alive(now) {
                    if leaked || was_expired || !self.model.versions[version].was_current {
                        self.model.cut(version, now);
                    } else {
                        self.model.promise(version, now + grace);
                    }
                }
                self.model.expires_at = end;
                self.model.add(true);
                Ok(())
            } else {
                Err(LifecycleError::TooManyVersions)
            }
        };
        self.settle("rotate", done, expected, Some(hash))
    }

    fn begin_rotation(&mut self) -> &'static str {
        let hash = hash(&mut self.random);
        let new = new_version(hash);
        let done = lifecycle::begin_rotation(self.key.clone(), new, at(self.now));
        let expected = if let Some(error) = self.out_of_force() {
            Err(error)
        } else if self.model.pending(self.now).is_some() {
            Err(LifecycleError::PendingVersion)
        } else if self.model.alive(self.now).len() >= LIVE_VERSIONS_MAX {
            Err(LifecycleError::TooManyVersions)
        } else {
            self.model.add(false);
            Ok(())
        };
        self.settle("begin", done, expected, Some(hash))
    }

    fn activate(&mut self) -> &'static str {
        let now = self.now;
        let version = match self.model.pending(now) {
            Some(pending) if self.draw(4) != 0 => pending,
            _ => self.draw(self.model.versions.len() + 1),
        };
        let grace = [0, 60_000, 24 * HOUR][self.draw(3)];
        let keep = self.draw(2) == 0;
        let others = if keep {
            Activation::KeepPrevious
        } else {
            Activation::Retire(Duration::from_millis(grace))
        };
        let number = u16::try_from(version + 1).expect("few versions");
        let done = lifecycle::activate(self.key.clone(), number, others, at(now));
        let known = self.model.versions.get(version).copied();
        let expected = match (self.out_of_force(), known) {
            (Some(error), _) => Err(error),
            (None, None) => Err(LifecycleError::NoSuchVersion),
            (None, Some(known)) if known.was_current => Ok(()),
            (None, Some(known)) if known.cut.is_some() => Err(LifecycleError::VersionRevoked),
            (None, Some(_)) => {
                let before = self.model.current();
                self.model.versions[version].was_current = true;
                for other in self.model.alive(now) {
                    match keep {
                        _ if other == version => {}
                        true if other == before => {}
                        true => self.model.promise(other, now),
                        false => self.model.promise(other, now + grace),
                    }
                }
                Ok(())
            }
        };
        self.settle("activate", done, expected, None)
    }

    fn discard(&mut self) -> &'static str {
        let done = lifecycle::discard_pending(self.key.clone(), at(self.now));
        let expected = if self.model.is_revoked {
            Err(LifecycleError::Revoked)
        } else {
            if let Some(pending) = self.model.pending(self.now) {
                self.model.cut(pending, self.now);
            }
            Ok(())
        };
        self.settle("discard", done, expected, None)
    }

    fn revoke_version(&mut self) -> &'static str {
        let version = self.draw(self.model.versions.len() + 1);
        let number = u16::try_from(version + 1).expect("few versions");
        let done = lifecycle::revoke_version(self.key.clone(), number, at(self.now));
        let expected = match self.model.versions.get(version) {
            None => Err(LifecycleError::NoSuchVersion),
            Some(known) if self.is_cut_by_hand(version, known) => Ok(()),
            Some(_) if self.model.is_revoked => Err(LifecycleError::Revoked),
            Some(_) if version == self.model.current() => Err(LifecycleError::CurrentVersion),
            Some(_) => {
                self.model.cut(version, self.now);
                Ok(())
            }
        };
        self.settle("revoke version", done, expected, None)
    }

    /// Whether a version was ended by hand, so that ending it again is nothing. How a version that died
    /// with its key's expiry is recorded is the gate's own affair.
    fn is_cut_by_hand(&self, version: usize, known: &Promise) -> bool {
        known.cut.is_some() && self.key.versions[version].revoked_at.is_some()
    }

    fn suspend(&mut self) -> &'static str {
        let done = lifecycle::suspend(self.key.clone(), at(self.now));
        let expected = self.unless_revoked(|model| model.is_suspended = true);
        self.settle("suspend", done, expected, None)
    }

    fn resume(&mut self) -> &'static str {
        let done = lifecycle::resume(self.key.clone());
        let expected = self.unless_revoked(|model| model.is_suspended = false);
        self.settle("resume", done, expected, None)
    }

    fn revoke(&mut self) -> &'static str {
        let done = lifecycle::revoke(self.key.clone(), at(self.now));
        self.model.is_revoked = true;
        self.settle("revoke", done, Ok(()), None)
    }

    /// Time goes on: a little, much, or to the very edge of the next end.
    fn pass_time(&mut self) -> &'static str {
        let ends = self.model.versions.iter().filter_map(|version| version.end);
        let next_end = ends
            .chain(self.model.expires_at)
            .filter(|end| *end > self.now)
            .min();
        self.now = match (self.draw(5), next_end) {
            (0, Some(end)) => end - 1,
            (1, Some(end)) => end,
            (2, Some(end)) => end + 1,
            (3, _) => self.now + 1,
            _ => self.now + self.random % (30 * HOUR),
        };
        "time"
    }

    fn unless_revoked(&mut self, step: impl FnOnce(&mut Model)) -> Result<(), LifecycleError> {
        if self.model.is_revoked {
            return Err(LifecycleError::Revoked);
        }
        step(&mut self.model);
        Ok(())
    }

    fn out_of_force(&self) -> Option<LifecycleError> {
        if self.model.is_revoked {
            Some(LifecycleError::Revoked)
        } else if self.model.is_expired(self.now) {
            Some(LifecycleError::Expired)
        } else {
            None
        }
    }

    /// The step succeeded or failed as it should have; what it gave is the key from now on.
    fn settle(
        &mut self,
        name: &'static str,
        done: Result<Key, LifecycleError>,
        expected: Result<(), LifecycleError>,
        hash: Option<KeyHash>,
    ) -> &'static str {
        let outcome = done.as_ref().map(|_| ()).map_err(|error| *error);
        assert_eq!(outcome, expected, "{name} of {:#?}", self.context());
        if let Ok(key) = done {
            self.ends_stay(name, &key);
            self.key = key;
            self.hashes.extend(hash);
        }
        name
    }

    /// An end that was set is where it was; so is the id, and all that is not the life of a secret.
    fn ends_stay(&self, name: &str, after: &Key) {
        for version in &self.key.versions {
            let now = &after.versions[usize::from(version.number) - 1];
            if version.retires_at.is_some() {
                assert_eq!(now.retires_at, version.retires_at, "{name}");
            }
            if version.revoked_at.is_some() {
                assert_eq!(now.revoked_at, version.revoked_at, "{name}");
            }
            assert_eq!((now.number, now.hash), (version.number, version.hash));
        }
        let settings = KeySettings {
            expires_at: self.key.settings.expires_at,
            ..after.settings.clone()
        };
        assert_eq!(settings, self.key.settings, "{name}");
        assert_eq!((after.id, after.owner), (self.key.id, self.key.owner));
    }

    fn compare(&self, name: &str) {
        let now = at(self.now);
        for (version, hash) in self.hashes.iter().enumerate() {
            let (entry, cached) = self.cache.find(hash).expect("tombstones are known");
            let verdict = entry.admits(&cached, now);
            let expected = self.model.admits(version, self.now);
            assert_eq!(
                verdict.is_ok(),
                expected,
                "version {} after {name}: {verdict:?} in {:#?}",
                version + 1,
                self.context()
            );
            let own = self.key.admits(hash, now).map(|version| version.number);
            assert_eq!(own, verdict.map(|()| cached.number), "after {name}");
            assert!(Arc::ptr_eq(entry.slot(), &self.slot), "after {name}");
        }
        assert!(self.model.alive(self.now).len() <= LIVE_VERSIONS_MAX);
        let current = self.key.current().map(|version| version.number);
        assert_eq!(
            current.map(usize::from),
            Some(self.model.current() + 1),
            "after {name}"
        );
    }

    fn context(&self) -> (u64, u64, &Model, &Key) {
        (self.seed, self.now, &self.model, &self.key)
    }

    fn draw(&mut self, below: usize) -> usize {
        usize::try_from(next(&mut self.random) % below as u64).expect("small")
    }
}

/// SplitMix64: enough for choices, and the seed names the life.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn hash(random: &mut u64) -> KeyHash {
    let mut digest = [0; 32];
    for part in digest.chunks_exact_mut(8) {
        part.copy_from_slice(&next(random).to_le_bytes());
    }
    KeyHash { pepper: 0, digest }
}

fn new_version(hash: KeyHash) -> NewVersion {
    NewVersion {
        hash,
        fingerprint: Fingerprint::from_bytes([1; 6]),
    }
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}
