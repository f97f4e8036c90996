//! The audit log at a million entries: how long it takes to verify, and to find something.
//!
//! `cargo bench --bench audit -- 1000000`; the number is how many entries, twenty thousand unless told:
//! enough to see that all is found. Each figure is printed with the bound it is held to.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench that cannot go on has nothing to measure, and measures by the machine's own clock"
)]

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::app::SystemClock;
use portcullis::domain::audit::chain::Head;
use portcullis::domain::audit::query::{AuditQuery, Kind};
use portcullis::domain::audit::verify::{Link, Walk};
use portcullis::domain::audit::{Action, Actor, AuditEntry, FieldChange, Outcome};
use portcullis::domain::change::{Change, ChangeId, Revision};
use portcullis::domain::id::{AuditId, KeyId, OwnerId};
use portcullis::domain::time::Timestamp;
use portcullis::store::embedded::EmbeddedStore;
use portcullis::store::{AuditStore as _, Feed as _};

/// As the command has it.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn bytes(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    for (byte, seed) in bytes.iter_mut().zip(0_u64..) {
        *byte = (number
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(7 * seed as u32)
            >> 13) as u8;
    }
    bytes
}

/// One of `count`, of ten thousand keys with five versions each, over ten days.
fn entry(number: u64, count: u64) -> AuditEntry {
    let actions = [
        Action::KeyRotation,
        Action::KeyUpdate,
        Action::KeyRevocation,
        Action::KeyCreation,
    ];
    AuditEntry {
        id: AuditId::from_random(bytes(number)),
        timestamp: Timestamp::from_millis(1_767_225_600_000 + number * 864_000_000 / count),
        action: actions[(number % 4) as usize],
        outcome: Outcome::Done,
        actor: Actor {
            kind: "token".into(),
            id: "tok_3fXk29QmZa".into(),
            name: "ci".into(),
        },
        address: Some("203.0.113.7".into()),
        request_id: Some(format!("req_{number:016}")),
        reason: Some("regular".into()),
        key: Some(KeyId::from_random(bytes(number % 10_000))),
        key_version: Some((number / 10_000 % 5) as u16 + 1),
        owner: Some(OwnerId::from_random(bytes(number % 100))),
        changes: vec![FieldChange {
            field: "status".into(),
            from: "active".into(),
            to: "revoked".into(),
        }],
        rotation: None,
    }
}

/// A span of time: the clock's, and the processor's on all cores.
struct Watch {
    began: Instant,
    cpu: Duration,
}

impl Watch {
    fn start() -> Self {
        Self {
            began: Instant::now(),
            cpu: cpu(),
        }
    }

    fn told(&self, what: &str, bound: &str) {
        let (took, cpu) = (self.began.elapsed(), cpu() - self.cpu);
        let mut out = std::io::stdout();
        let _ = writeln!(
            out,
            "{what:<44} {:>10.1} ms   {:>10.1} ms of CPU   (bound {bound})",
            took.as_secs_f64() * 1e3,
            cpu.as_secs_f64() * 1e3
        );
    }
}

/// What this process has used, to ten milliseconds (proc_pid_stat(5): utime and stime).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11);
    let ticks: u64 = fields.take(2).map(|it| it.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

fn told(what: &str, took: Duration, bound: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(
        out,
        "{what:<44} {:>10.1} ms   (bound {bound})",
        took.as_secs_f64() * 1e3
    );
}

#[tokio::main]
async fn main() {
    let count = std::env::args()
        .filter_map(|it| it.parse::<u64>().ok())
        .next()
        .unwrap_or(20_000);
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), Arc::new(SystemClock::default())).unwrap();
    for change in 0..count.div_ceil(1_000) {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&change.to_be_bytes());
        let audit = (change * 1_000..((change + 1) * 1_000).min(count))
            .map(|number| entry(number, count))
            .collect();
        let change = Change {
            id: ChangeId(id),
            expect: Revision(change),
            writes: Vec::new(),
            audit,
        };
        store.commit(change).await.unwrap();
    }
    let watch = Watch::start();
    let verdict = store.verify_audit().await.unwrap();
    watch.told(
        &format!("verify {count} entries where they lie"),
        "5000 ms at 1,000,000",
    );
    assert_eq!((verdict.entries, verdict.fault), (count, None));

    let day = |day: u64| Some(Timestamp::from_millis(1_767_225_600_000 + day * 86_400_000));
    let by_type = AuditQuery {
        kind: Kind::Action(Action::KeyRotation),
        from: day(3),
        until: day(4),
        ..AuditQuery::default()
    };
    let by_version = AuditQuery {
        key: Some(KeyId::from_random(bytes(77))),
        key_version: Some(2),
        ..AuditQuery::default()
    };
    let by_number = AuditQuery {
        key_version: Some(2),
        from: day(1),
        ..AuditQuery::default()
    };
    for (what, query) in [
        ("type and day", by_type),
        ("key and version", by_version),
        ("version and date", by_number),
    ] {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let began = Instant::now();
            let page = store.audit(&query, 100, None).await.unwrap();
            slowest = slowest.max(began.elapsed());
            assert!(!page.items.is_empty(), "{what}");
        }
        told(&format!("find by {what}, slowest of 20"), slowest, "50 ms");
    }

    let (mut lines, mut after) = (Vec::new(), None);
    loop {
        let page = store
            .audit(&AuditQuery::default(), 1_000, after)
            .await
            .unwrap();
        lines.extend(
            page.items
                .iter()
                .map(|it| it.form_to_verify().unwrap().to_string()),
        );
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    lines.reverse();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let watch = Watch::start();
    let links: Vec<Link> = std::thread::scope(|scope| {
        let parts: Vec<_> = lines
            .chunks(lines.len().div_ceil(threads))
            .map(|part| {
                scope.spawn(|| {
                    part.iter()
                        .map(|line| Link::of_line(line).unwrap())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap())
            .collect()
    });
    let mut walk = Walk::new(Head::default(), []);
    links.into_iter().for_each(|link| walk.pass(link));
    watch.told(
        &format!("verify {count} exported lines"),
        "5000 ms at 1,000,000",
    );
    assert_eq!(walk.end().fault, None);
}
