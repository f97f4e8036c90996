//! One run of a campaign: four gates over a master and its replica, load and faults, a rest, a last look.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::book::Credential;
use crate::checker::{self, Violation};
use crate::history::{Done, End, Entry, Fault, FaultKind, History, Probe, Stored, Terms, What};
use crate::nemesis::Nemesis;
use crate::schedule::{Plan, Random};
use crate::support::gate::Site;
use crate::support::stores::Stores;
use crate::support::upstream::Upstream;
use crate::support::watch::{At, SECOND, Watch};
use crate::support::wire::{self, Client};
use crate::workload::{Call, Scene};

/// What came of a seed.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) plan: Plan,
    pub(crate) history: History,
    pub(crate) violations: Vec<Violation>,
    pub(crate) slowest_start_ms: i64,
    /// Where all that is known of it lies, if something is wrong.
    pub(crate) kept: Option<PathBuf>,
}

impl Run {
    /// Carries out the schedule of a seed. Kinds of violation that `without` names are not looked at.
    pub(crate) fn of(seed: u64, seconds: u64, plan: Plan, without: &str) -> Self {
        let watch = Watch::start();
        let upstream = Upstream::start(watch);
        let stores = Stores::start(watch);
        let fallback = if plan.falls_back_late { "3s" } else { "0s" };
        let fleet = format!("max_nodes: {GATES}, fallback_after: {fallback}");
        let mut sites: Vec<Site> = (1..=GATES)
            .map(|number| {
                Site::new(
                    &format!("gate-{number}"),
                    upstream.address,
                    stores.port(),
                    &fleet,
                )
            })
            .collect();
        for site in &mut sites {
            assert!(site.start(watch, 30 * SECOND), "{}", site.words());
            assert!(
                site.clock.is_watched(),
                "its clock cannot be stepped: the binary is linked statically"
            );
        }
        let scene = Scene {
            watch,
            doors: sites.iter().map(|site| Mutex::new(site.listens)).collect(),
            book: Mutex::default(),
            uses: Mutex::default(),
            changes: Mutex::default(),
            is_over: AtomicBool::new(false),
            tags: AtomicU64::new(1),
        };
        let terms = prepare(&scene, plan.falls_back_late);
        let links = sites.iter().map(|site| Arc::clone(&site.link)).collect();
        let sites: Vec<Mutex<Site>> = sites.into_iter().map(Mutex::new).collect();
        let stores = Mutex::new(stores);
        let nemesis = Nemesis {
            scene: &scene,
            sites: &sites,
            links,
            stores: &stores,
            faults: Mutex::default(),
            unrest: Mutex::default(),
            slowest_start: AtomicI64::new(0),
        };
        let began = watch.now();
        std::thread::scope(|threads| {
            let (scene, nemesis) = (&scene, &nemesis);
            for number in 0..GATES * CLIENTS {
                let random = Random::new(seed ^ (0xC11E << 16) ^ number as u64);
                threads.spawn(move || scene.use_keys(number % GATES, random));
            }
            for number in 0..ADMINISTRATORS {
                let random = Random::new(seed ^ (0xAD << 24) ^ number);
                threads.spawn(move || scene.administer(random));
            }
            for track in &plan.tracks {
                threads.spawn(move || nemesis.carry_out(began, track));
            }
            watch.until(began + seconds * SECOND);
            scene.is_over.store(true, Ordering::SeqCst);
        });
        let slowest_start_ms = nemesis.slowest_start.load(Ordering::SeqCst) / 1_000;
        let unrest = nemesis.unrest.into_inner().unwrap();
        let mut faults = nemesis.faults.into_inner().unwrap();
        for (gate, site) in sites.iter().enumerate() {
            let words = site.lock().unwrap().words();
            let late = misses(watch, gate, &words, &faults);
            faults.extend(late);
        }
        let gates = sites
            .iter()
            .map(|it| it.lock().unwrap().name.clone())
            .collect();
        let port = stores.lock().unwrap().port();
        // What a fault left behind may take so long to be mended.
        let last = faults.iter().map(|it| it.to).max();
        watch.until(last.unwrap_or_default() + checker::MENDS_WITHIN);
        let end = look_around(&scene, &upstream, port, unrest);
        let history = History {
            gates,
            terms,
            uses: scene.uses.into_inner().unwrap(),
            admissions: upstream.admissions(),
            changes: scene.changes.into_inner().unwrap(),
            faults,
            end,
        };
        let mut violations = checker::check(&history);
        violations.retain(|it| {
            let kind = format!("{:?}", it.kind);
            !without.split(',').any(|left_out| left_out == kind)
        });
        let mut run = Self {
            seed,
            plan,
            history,
            violations,
            slowest_start_ms,
            kept: None,
        };
        if !run.violations.is_empty() {
            run.keep(sites);
        }
        run
    }

    /// Writes down all that is known, beside what the gates left.
    fn keep(&mut self, sites: Vec<Mutex<Site>>) {
        let folder = tempfile::Builder::new()
            .prefix(&format!("campaign-seed-{}-", self.seed))
            .disable_cleanup(true)
            .tempdir()
            .unwrap();
        let mut text = format!("{:#?}\n\n", self.plan);
        for violation in &self.violations {
            let _ = writeln!(text, "{violation}");
        }
        let history = &self.history;
        let mut lines: Vec<(u64, String)> = Vec::new();
        lines.extend(history.faults.iter().map(|it| (it.from, format!("{it:?}"))));
        lines.extend(
            history
                .changes
                .iter()
                .map(|it| (it.done, format!("{it:?}"))),
        );
        lines.extend(history.uses.iter().map(|it| (it.done, format!("{it:?}"))));
        lines.extend(
            history
                .admissions
                .iter()
                .map(|it| (it.seen, format!("{it:?}"))),
        );
        lines.sort();
        for (at, line) in lines {
            let _ = writeln!(text, "{at:>9} {line}");
        }
        let _ = writeln!(text, "{:#?}", history.end);
        std::fs::write(folder.path().join("history.txt"), text).unwrap();
        for site in sites {
            let mut site = site.into_inner().unwrap();
            site.keep();
            let place = folder.path().join(&site.name);
            std::fs::rename(site.folder(), place).unwrap();
        }
        self.kept = Some(folder.path().to_owned());
    }
}

/// Makes what there is from the beginning, and waits until every gate knows it.
fn prepare(scene: &Scene, falls_back_late: bool) -> Terms {
    let (_, admin) = scene.door(0).unwrap();
    let call = Call {
        scene,
        gate: 0,
        admin,
    };
    // Nothing is wrong yet but a machine that does much at once.
    let made = |owner: &str, more: Value| {
        let mut made = None;
        scene.watch.wait_for(10 * SECOND, || {
            made = call.create_unused(owner, &more);
            made.is_some()
        });
        made.expect("a key is made")
    };
    let limit = json!({"rate_limits": [{"rate": format!("{RATE}/second"), "burst": BURST, "mode": "shared"}]});
    let quota = json!({"quotas": [{"limit": QUOTA, "per": "total", "hard": true}]});
    let (limited, _) = made("team", limit);
    let (quota, _) = made("team", quota);
    for number in 0..LEAVERS {
        let owner = format!("leaver-{number}");
        let (first, id) = made(&owner, json!({}));
        let (second, _) = made(&owner, json!({}));
        let mut book = scene.book.lock().unwrap();
        book.add_leaver(id, vec![first, second]);
    }
    for _ in 0..8 {
        let (key, _) = made("team", json!({}));
        scene.book.lock().unwrap().add(key);
    }
    let mut book = scene.book.lock().unwrap();
    book.note(&limited);
    book.note(&quota);
    let terms = Terms {
        limited: limited.key.clone(),
        rate: RATE,
        burst: BURST,
        quota_key: quota.key.clone(),
        quota: QUOTA,
        falls_back_late,
    };
    (book.limited, book.quota) = (Some(limited), Some(quota));
    let last = book.all().iter().rev().nth(2).unwrap().clone();
    drop(book);
    for gate in 0..GATES {
        let knows = scene.watch.wait_for(10 * SECOND, || {
            let mut client = Client::new(scene.door(gate).unwrap().0);
            let one = scene.try_key(gate, &mut client, &last);
            let is_admitted = one.outcome.status() == Some(200);
            if is_admitted {
                scene.uses.lock().unwrap().push(one);
            }
            is_admitted
        });
        assert!(knows, "gate {gate} does not hear of new keys");
    }
    terms
}

/// Waits until all gates are at rest, then asks each for every key, and the store, through a gate that
/// knows nothing of before, for what it has.
fn look_around(scene: &Scene, upstream: &Upstream, port: u16, mut unrest: Vec<String>) -> End {
    let watch = scene.watch;
    let mut seen = Vec::new();
    let is_at_rest = watch.wait_for(20 * SECOND, || {
        seen = (0..scene.doors.len())
            .map(|gate| status(scene, gate))
            .collect();
        let is_up = |it: &Value| it["ready"] == true && it["store"]["state"] == "up";
        let mut revisions: Vec<_> = seen.iter().map(|it| &it["store"]["revision"]).collect();
        revisions.dedup();
        seen.iter().all(is_up) && revisions.len() == 1
    });
    if !is_at_rest {
        unrest.push(format!(
            "the gates do not come to rest within 20 s: {seen:?}"
        ));
    }
    let is_written_down = watch.wait_for(WRITTEN_DOWN_WITHIN, || {
        let status = |key: &str| ask(scene, 0, &format!("/admin/keys/{key}"))["status"].clone();
        left_behind(scene)
            .iter()
            .all(|key| status(key) == "revoked")
    });
    if !is_written_down {
        unrest.push("what an owner held who was switched off is not all revoked".to_owned());
    }
    let alarms = seen.iter().flat_map(|status| {
        let alarms = status["alarms"].as_array().into_iter().flatten();
        alarms.map(|alarm| format!("{}: {alarm}", status["node"]))
    });
    let all = scene.book.lock().unwrap().all().to_vec();
    let probes = (0..scene.doors.len()).flat_map(|gate| probe(scene, gate, &all));
    let mut end = End {
        probes: probes.collect(),
        alarms: alarms.collect(),
        unrest,
        ..End::default()
    };
    let mut judge = Site::new("judge", upstream.address, port, "");
    if judge.start(watch, 20 * SECOND) {
        ask_judge(&judge, watch, &all, &mut end);
    } else {
        let words = judge.words();
        end.unrest
            .push(format!("a new gate does not start at the end: {words}"));
    }
    end
}

/// When a gate found by itself that the store was late, as it says in its log, by its own clock: which was
/// stepped, perhaps.
fn misses(watch: Watch, gate: usize, words: &str, faults: &[Fault]) -> Vec<Fault> {
    let mut clocks = vec![(0, 0)];
    clocks.extend(faults.iter().filter_map(|it| match it.kind {
        FaultKind::Clock(ahead) if it.gate == Some(gate) => Some((it.from, ahead)),
        _ => None,
    }));
    clocks.sort_by_key(|(from, _)| *from);
    let ends = clocks.iter().skip(1).map(|(from, _)| *from);
    let ends: Vec<At> = ends.chain([watch.now()]).collect();
    let lines = words
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines = lines.filter(|it| {
        let message = it["message"].as_str().unwrap_or_default();
        message.starts_with("the store does not answer for shared limits in time")
    });
    let moments = lines.flat_map(|it| {
        let shown = it["timestamp"].as_str().unwrap_or_default();
        let moments = clocks.iter().zip(&ends).filter_map(|((from, ahead), end)| {
            let at = At::try_from(watch.shown(shown, *ahead)?).ok()?;
            (*from..=*end).contains(&at).then_some(at)
        });
        moments.collect::<Vec<_>>()
    });
    let faults = moments.map(|at| Fault {
        kind: FaultKind::Late,
        gate: Some(gate),
        from: at.saturating_sub(SECOND),
        to: at,
    });
    faults.collect()
}

/// The keys of owners who were switched off, as was acknowledged.
fn left_behind(scene: &Scene) -> Vec<String> {
    let changes = scene.changes.lock().unwrap();
    let ended = changes.iter().filter(|it| {
        matches!(it.what, What::Disable) && matches!(it.result, Done::Acknowledged(_))
    });
    ended.flat_map(|it| it.keys.clone()).collect()
}

fn status(scene: &Scene, gate: usize) -> Value {
    ask(scene, gate, "/admin/status")
}

fn ask(scene: &Scene, gate: usize, path: &str) -> Value {
    let answer = scene
        .door(gate)
        .and_then(|(_, admin)| wire::admin(admin, "GET", path, "").ok());
    answer.map_or(Value::Null, |it| it.json())
}

fn probe(scene: &Scene, gate: usize, all: &[Credential]) -> Vec<Probe> {
    let Some((address, _)) = scene.door(gate) else {
        return Vec::new();
    };
    let mut client = Client::new(address);
    let probes = all.iter().map(|credential| {
        let one = scene.try_key(gate, &mut client, credential);
        Probe {
            gate,
            key: one.key,
            version: one.version,
            at: one.sent,
            outcome: one.outcome,
        }
    });
    probes.collect()
}

/// What the store says of keys, counts and entries.
fn ask_judge(judge: &Site, watch: Watch, all: &[Credential], end: &mut End) {
    let Some((_, admin)) = judge.listens else {
        return;
    };
    let ask = |path: &str| {
        wire::admin(admin, "GET", path, "").map_or((0, Value::Null), |it| (it.status, it.json()))
    };
    let mut keys: Vec<&str> = all.iter().map(|it| it.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    // A gate whose clock was stepped counts under the hour it took it for.
    let (from, to) = (watch.wall_in(-4 * 3_600), watch.wall_in(4 * 3_600));
    let count = |key: &str| {
        let (_, usage) = ask(&format!("/admin/keys/{key}/usage?from={from}&to={to}"));
        usage["total"]["requests"].as_u64().unwrap_or_default()
    };
    // Counts are on their way for a moment yet; when two looks agree they have come.
    let mut counts: Vec<u64> = Vec::new();
    watch.wait_for(20 * SECOND, || {
        watch.pause(3 * SECOND / 2);
        let before = std::mem::replace(&mut counts, keys.iter().map(|key| count(key)).collect());
        before == counts
    });
    for (key, requests) in keys.iter().zip(counts) {
        let (status, told) = ask(&format!("/admin/keys/{key}"));
        let told = told["status"].as_str().map(str::to_owned);
        end.stored.push(Stored {
            key: (*key).to_owned(),
            status: told.filter(|_| status == 200),
            requests,
        });
    }
    let (status, verdict) = ask("/admin/audit-logs/verify");
    if status != 200 || verdict["valid"] != true {
        end.audit_fault = Some(format!("{status} {verdict}"));
    }
    let mut cursor = String::new();
    loop {
        let (_, page) = ask(&format!("/admin/audit-logs?limit=1000{cursor}"));
        let items = page["items"].as_array().into_iter().flatten();
        end.entries.extend(items.filter_map(entry));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
}

/// An entry of a change that was done.
fn entry(told: &Value) -> Option<Entry> {
    let text = |name: &str| told[name].as_str().map(str::to_owned);
    (told["outcome"] == "done").then_some(())?;
    Some(Entry {
        seq: told["seq"].as_u64()?,
        kind: text("type")?,
        key: text("key_id"),
        owner: text("owner_id"),
        version: told["key_version"].as_u64().map(|it| it as u32),
        is_asked: told["actor"]["type"] != "system",
    })
}

/// How long what an owner held may take to be written down as revoked, being refused all the while: a gate that
/// was at it may be gone, and is left its turn, and then its hold on the job.
const WRITTEN_DOWN_WITHIN: At = 45 * SECOND;
/// How many gates there are.
const GATES: usize = 4;
/// How many clients each has, each with some 40 requests a second.
const CLIENTS: usize = 2;
const ADMINISTRATORS: u64 = 3;
/// How many owners may leave in a run.
const LEAVERS: u64 = 4;
/// The shared limit: about half of what is asked for.
const RATE: u64 = 40;
const BURST: u64 = 20;
/// The quota: spent about half way.
const QUOTA: u64 = 300;
