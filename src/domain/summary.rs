//! Counts of requests over a short time, by key, by owner and by route, for people who watch.
//!
//! Counts are never sampled: what has no row of its own is in the row of all others, and rows of one kind add
//! up to the total. Who asks for one key or owner alone is told how many of those others may be its ([`unattributed`]). How long requests took is kept by eighths of an octave, so that a quantile of many gates
//! and seconds together is within 6 % of the truth.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::id::{KeyId, OwnerId};
use super::watch::Wanted;

/// What finished requests came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// How many there were.
    pub requests: u64,
    /// How many of them the gate refused.
    pub refused: u64,
    /// How many were answered with 5xx, by whomever.
    pub errors: u64,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// Bytes of the answers'.
    pub bytes_out: u64,
    /// How long they took.
    pub latency: Latencies,
}

/// One request, for counting.
#[derive(Debug, Clone, Copy, Default)]
pub struct Passed {
    /// What the client got.
    pub status: u16,
    /// Whether the gate refused it.
    pub is_refused: bool,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Bytes of the answer's.
    pub bytes_out: u64,
    /// How long it took.
    pub took: Duration,
}

/// How long requests took: how many of them lie in each bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latencies([u32; BUCKETS]);

/// Whose requests a row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Whose<T> {
    /// This one's.
    One(T),
    /// Nobody's who is known: there was no key, or no route.
    Nobody,
    /// All those that have no row of their own.
    Others,
}

/// What was counted together before it is folded: a key, its owner, and a route by its place in the table.
pub type Counted = ((Whose<(KeyId, OwnerId)>, Option<u16>), Counts);

/// Rows of one kind, the busiest first.
pub type Rows<T> = Vec<(Whose<T>, Counts)>;

/// Counts of one gate over a short time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// How long.
    pub span: Duration,
    /// All of them.
    pub total: Counts,
    /// By key, whose owner stands beside it.
    pub keys: Rows<(KeyId, OwnerId)>,
    /// By owner.
    pub owners: Rows<OwnerId>,
    /// By route.
    pub routes: Rows<Arc<str>>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Latencies {
    /// Counts one.
    pub fn observe(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.add(bucket(us), 1);
    }

    /// Counts so many in a bucket; those of a bucket there is not are the longest.
    pub fn add(&mut self, bucket: usize, count: u32) {
        if let Some(held) = self.0.get_mut(bucket.min(BUCKETS - 1)) {
            *held = held.saturating_add(count);
        }
    }

    /// The buckets that hold any, and how many they hold.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u32)> {
        let all = self.0.iter().copied().enumerate();
        all.filter(|(_, count)| *count > 0)
    }

    /// The longest time that lies in a bucket, in microseconds.
    #[must_use]
    pub fn longest_us(bucket: usize) -> u64 {
        let bucket = bucket as u64;
        if bucket < STEPS {
            return bucket;
        }
        let (octave, step) = (bucket / STEPS - 1, bucket % STEPS);
        ((STEPS + step + 1) << octave) - 1
    }
}

impl Counts {
    /// Counts one.
    pub fn count(&mut self, request: &Passed) {
        self.requests += 1;
        self.refused += u64::from(request.is_refused);
        self.errors += u64::from(request.status >= 500);
        self.bytes_in = self.bytes_in.saturating_add(request.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(request.bytes_out);
        self.latency.observe(request.took);
    }

    /// Takes in what others came to.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.refused += other.refused;
        self.errors += other.errors;
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        for (held, more) in self.latency.0.iter_mut().zip(other.latency.0) {
            *held = held.saturating_add(more);
        }
    }
}

impl Summary {
    /// Folds what was counted in `span`, as far as it is wanted; `names` are those of the routes.
    #[must_use]
    pub fn fold<'a>(
        counted: impl IntoIterator<Item = &'a Counted>,
        wanted: &Wanted,
        names: &[Arc<str>],
        span: Duration,
    ) -> Self {
        let mut total = Counts::default();
        let (mut keys, mut owners) = (HashMap::new(), HashMap::new());
        let mut routes: HashMap<Whose<Arc<str>>, Counts> = HashMap::new();
        for ((whose, route), counts) in counted {
            let name = route.and_then(|route| names.get(usize::from(route)));
            if !is_wanted(wanted, *whose, name) {
                continue;
            }
            total.add(counts);
            add(&mut keys, *whose, counts);
            let owner = match whose {
                Whose::One((_, owner)) => Whose::One(*owner),
                Whose::Nobody => Whose::Nobody,
                Whose::Others => Whose::Others,
            };
            add(&mut owners, owner, counts);
            let route = name.map_or(Whose::Nobody, |name| Whose::One(Arc::clone(name)));
            add(&mut routes, route, counts);
        }
        Self {
            span,
            total,
            keys: busiest(keys),
            owners: busiest(owners),
            routes: busiest(routes),
        }
    }
}

/// How many requests may be among those that are wanted of one key or owner, and say no more whose they were.
#[must_use]
pub fn unattributed(counted: &[Counted], wanted: &Wanted, names: &[Arc<str>]) -> u64 {
    if wanted.key.is_none() && wanted.owner.is_none() {
        return 0;
    }
    let others = counted.iter().filter(|((whose, route), _)| {
        let name = route.and_then(|route| names.get(usize::from(route)));
        *whose == Whose::Others && is_on_route(wanted, name)
    });
    others.map(|(_, counts)| counts.requests).sum()
}

fn is_wanted(wanted: &Wanted, whose: Whose<(KeyId, OwnerId)>, route: Option<&Arc<str>>) -> bool {
    let (key, owner) = match whose {
        Whose::One((key, owner)) => (Some(key), Some(owner)),
        Whose::Nobody | Whose::Others => (None, None),
    };
    wanted.key.is_none_or(|wanted| key == Some(wanted))
        && wanted.owner.is_none_or(|wanted| owner == Some(wanted))
        && is_on_route(wanted, route)
}

fn is_on_route(wanted: &Wanted, route: Option<&Arc<str>>) -> bool {
    (wanted.route.as_ref()).is_none_or(|wanted| route == Some(wanted))
}

fn add<T: Eq + Hash>(rows: &mut HashMap<Whose<T>, Counts>, whose: Whose<T>, counts: &Counts) {
    rows.entry(whose).or_default().add(counts);
}

/// As many rows as are told, the busiest first, and the rest in one.
fn busiest<T: Eq + Hash + Ord>(rows: HashMap<Whose<T>, Counts>) -> Rows<T> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    // Others have no row of their own among these: theirs is the last.
    let mut others = Counts::default();
    rows.retain(|(whose, counts)| {
        let is_told = !matches!(whose, Whose::Others);
        if !is_told {
            others.add(counts);
        }
        is_told
    });
    rows.sort_by(|(one, of_one), (other, of_other)| {
        let busier = of_other.requests.cmp(&of_one.requests);
        busier.then_with(|| one.cmp(other))
    });
    let rest = rows.split_off(rows.len().min(ROWS_MAX));
    rest.iter().for_each(|(_, counts)| others.add(counts));
    if others.requests > 0 {
        rows.push((Whose::Others, others));
    }
    rows
}

fn bucket(us: u64) -> usize {
    if us < STEPS {
        return us as usize;
    }
    let octave = u64::from(us.ilog2() - STEPS.ilog2());
    let step = (us >> octave) - STEPS;
    ((octave + 1) * STEPS + step).min(BUCKETS as u64 - 1) as usize
}

/// How many buckets an octave has.
const STEPS: u64 = 8;
/// Up to about two minutes; the last holds all that took longer.
const BUCKETS: usize = 200;
/// How many rows of one kind are told, besides that of all others.
pub const ROWS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> (KeyId, OwnerId) {
        let owner = OwnerId::from_random([number.to_be_bytes()[1] % 2; 10]);
        (KeyId::from_random(spread(number)), owner)
    }

    /// Ten bytes that stand for different characters.
    fn spread(number: u16) -> [u8; 10] {
        let mut bytes = [0; 10];
        let mut rest = number;
        for byte in &mut bytes {
            *byte = (rest % 16) as u8;
            rest /= 16;
        }
        bytes
    }

    fn counts(requests: u64) -> Counts {
        let mut counts = Counts::default();
        (0..requests).for_each(|_| counts.count(&Passed::default()));
        counts
    }

    #[test]
    fn a_bucket_holds_what_it_says_and_is_narrow() {
        let mut last = 0;
        for us in (0..5_000).chain([1 << 20, (1 << 26) + 12_345]) {
            let at = bucket(us);
            assert!(at >= last, "{us}");
            last = at;
            let longest = Latencies::longest_us(at);
            assert!(longest >= us, "{us} in a bucket up to {longest}");
            assert!((longest - us) as f64 <= us as f64 / 8.0, "{us}: {longest}");
        }
        for at in 1..BUCKETS {
            let shortest = Latencies::longest_us(at - 1) + 1;
            assert_eq!(bucket(shortest), at);
            assert_eq!(bucket(Latencies::longest_us(at)), at);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_refusal_and_an_error_are_counted_as_such() {
        let mut counts = Counts::default();
        let request = Passed {
            status: 200,
            bytes_in: 3,
            bytes_out: 5,
            took: Duration::from_millis(2),
            ..Passed::default()
        };
        counts.count(&request);
        counts.count(&Passed {
            status: 429,
            is_refused: true,
            ..request
        });
        counts.count(&Passed {
            status: 502,
            ..request
        });
        let seen = (counts.requests, counts.refused, counts.errors);
        assert_eq!(seen, (3, 1, 1));
        assert_eq!((counts.bytes_in, counts.bytes_out), (9, 15));
        assert_eq!(counts.latency.iter().map(|(_, it)| it).sum::<u32>(), 3);
    }

    #[test]
    fn rows_of_each_kind_add_up_to_the_total_however_many_there_are() {
        let names: Vec<Arc<str>> = vec!["a".into(), "b".into()];
        let mut counted: Vec<Counted> = (0..700)
            .map(|n| {
                (
                    (Whose::One(key(n)), Some(n % 2)),
                    counts(u64::from(n % 7) + 1),
                )
            })
            .collect();
        counted.push(((Whose::Nobody, None), counts(5)));
        counted.push(((Whose::Others, Some(1)), counts(3)));
        let all = Summary::fold(&counted, &Wanted::default(), &names, Duration::from_secs(1));
        fn sum<T>(rows: &Rows<T>) -> u64 {
            rows.iter().map(|(_, counts)| counts.requests).sum()
        }
        let total = all.total.requests;
        assert_eq!(
            (sum(&all.keys), sum(&all.owners), sum(&all.routes)),
            (total, total, total)
        );
        assert_eq!(all.keys.len(), ROWS_MAX + 1);
        assert!(matches!(all.keys.last(), Some((Whose::Others, _))));
        let busy = |at: usize| all.keys[at].1.requests;
        assert!((1..ROWS_MAX).all(|at| busy(at - 1) >= busy(at)));
        assert_eq!(all.owners.len(), 4);
    }

    #[test]
    fn what_is_not_wanted_is_not_counted() {
        let names: Vec<Arc<str>> = vec!["a".into(), "b".into()];
        let counted: Vec<Counted> = vec![
            ((Whose::One(key(1)), Some(0)), counts(1)),
            ((Whose::One(key(2)), Some(1)), counts(10)),
            ((Whose::Nobody, None), counts(100)),
            ((Whose::Others, Some(1)), counts(1_000)),
        ];
        let told = |wanted: Wanted| {
            Summary::fold(&counted, &wanted, &names, Duration::ZERO)
                .total
                .requests
        };
        let (id, owner) = key(1);
        assert_eq!(told(Wanted::default()), 1_111);
        assert_eq!(
            told(Wanted {
                key: Some(id),
                ..Wanted::default()
            }),
            1
        );
        assert_eq!(
            told(Wanted {
                owner: Some(owner),
                ..Wanted::default()
            }),
            1
        );
        assert_eq!(
            told(Wanted {
                route: Some("b".into()),
                ..Wanted::default()
            }),
            1_010
        );
    }
}
