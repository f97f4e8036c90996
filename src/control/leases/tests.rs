//! Four gates over one bucket: never over one ideal bucket, and little under it.

use super::world::{Outcome, Run, World};
use crate::domain::limit::LimitMode;

fn outcome(run: Run) -> Outcome {
    let out = World::new(run).go();
    println!(
        "{:>12} burst {:>5} {:?} at {:>4} %: {} of {} asked, ideal {}, over {}, under {} ‰, {} calls for 1000, waited {}, shared {}",
        run.rate,
        run.burst,
        run.mode,
        run.load,
        out.admitted,
        out.asked,
        out.ideal,
        out.over,
        out.under(),
        out.calls_for_1000(),
        out.waited,
        out.shared
    );
    out
}

const BUCKETS: [(&str, u32, u64); 4] = [
    ("5/minute", 5, 1_200),
    ("100/second", 100, 20),
    ("100/second", 20, 20),
    ("50000/second", 50_000, 3),
];

#[test]
fn four_gates_admit_no_more_than_one_bucket_and_little_less() {
    for (rate, burst, seconds) in BUCKETS {
        for (load, most_calls) in [(10, 1_300), (90, 1_400), (200, 3_000), (2_000, 8_000)] {
            let run = Run {
                rate,
                burst,
                load,
                seconds,
                ..Run::default()
            };
            let out = outcome(run);
            assert_eq!(out.over, 0, "{run:?}");
            assert!(out.under() <= 50, "{run:?} {out:?}");
            assert!(out.calls_for_1000() <= most_calls, "{run:?} {out:?}");
            if burst > 1_000 {
                // Well below one call for a hundred requests.
                assert!(out.calls_for_1000() < 10, "{run:?} {out:?}");
            }
        }
    }
}

/// Calls and replies that are lost cost a little, and never admit more.
#[test]
fn what_is_lost_on_the_way_admits_no_more() {
    for (rate, burst, seconds) in BUCKETS {
        for load in [90, 200] {
            let run = Run {
                rate,
                burst,
                load,
                seconds,
                lost: 2,
                fallback_after: 3,
                seed: 7,
                ..Run::default()
            };
            let out = outcome(run);
            assert_eq!(out.over, 0, "{run:?} {out:?}");
            // Each lost answer is half a second in which nothing is fetched.
            assert!(out.under() <= 300, "{run:?} {out:?}");
            // Where a request is not to be refused for one lost answer, the share it is decided by comes on top.
            let out = outcome(Run {
                fallback_after: 0,
                ..run
            });
            assert!(out.over <= out.shared, "{run:?} {out:?}");
        }
    }
}

/// With a token set aside for each gate the limit holds as well, and fewer requests wait.
#[test]
fn tokens_set_aside_are_counted() {
    for load in [10, 90, 200] {
        let run = Run {
            load,
            seed: 3,
            ..Run::default()
        };
        let without = outcome(run);
        let with = outcome(Run {
            has_places: true,
            ..run
        });
        assert_eq!(with.over, 0, "{with:?}");
        assert!(with.under() <= 50, "{with:?}");
        assert!(with.waited <= without.waited, "{with:?} {without:?}");
    }
}

/// While the store is away each gate has its share, all of them together the limit; and when it is back the
/// limit goes on from there.
#[test]
fn shares_together_are_the_limit() {
    for (rate, burst, seconds, away) in [
        ("100/second", 100, 30, (10, 20)),
        ("5/minute", 5, 1_200, (400, 800)),
    ] {
        for load in [90, 200] {
            let run = Run {
                rate,
                burst,
                load,
                seconds,
                away: Some(away),
                seed: 5,
                ..Run::default()
            };
            let out = outcome(run);
            assert!(out.shared > 0, "{out:?}");
            // At the seam, at most what others took since the bucket was last seen.
            assert!(out.over <= u64::from(burst) / 10 + 1, "{out:?}");
            assert!(out.under() <= 150, "{out:?}");
        }
    }
}

/// A strict limit is one bucket, whoever asks; and nothing passes while it cannot be asked.
#[test]
fn a_strict_limit_is_one_bucket() {
    for load in [90, 200, 2_000] {
        let run = Run {
            mode: LimitMode::Strict,
            load,
            ..Run::default()
        };
        let out = outcome(run);
        assert_eq!(out.over, 0, "{out:?}");
        assert!(out.under() <= 10, "{out:?}");
        let away = outcome(Run {
            away: Some((5, 10)),
            ..run
        });
        assert_eq!((away.over, away.shared), (0, 0), "{away:?}");
    }
}
