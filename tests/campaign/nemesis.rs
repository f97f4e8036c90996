//! Does to gates and store what the plan says, and takes down when it was so.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use crate::history::{Fault, FaultKind};
use crate::schedule::{Act, Planned};
use crate::support::gate::Site;
use crate::support::link::{Layer, Link, Weather};
use crate::support::stores::Stores;
use crate::support::watch::{At, SECOND, Watch};
use crate::workload::Scene;

/// What it has in its hands.
pub(crate) struct Nemesis<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) sites: &'a [Mutex<Site>],
    pub(crate) links: Vec<Arc<Link>>,
    pub(crate) stores: &'a Mutex<Stores>,
    pub(crate) faults: Mutex<Vec<Fault>>,
    /// What a gate did not do that it should have.
    pub(crate) unrest: Mutex<Vec<String>>,
    /// How long the slowest start took.
    pub(crate) slowest_start: AtomicI64,
}

impl Nemesis<'_> {
    /// Carries out a track of the plan.
    pub(crate) fn carry_out(&self, began: At, track: &[Planned]) {
        for planned in track {
            self.watch().until(began + planned.at);
            self.act(planned);
        }
    }

    fn watch(&self) -> Watch {
        self.scene.watch
    }

    fn act(&self, planned: &Planned) {
        let (watch, lasts) = (self.watch(), planned.lasts);
        let is_older = matches!(planned.act, Act::Older { .. });
        match planned.act {
            Act::Kill(gate) => self.note(FaultKind::Killed, Some(gate), || {
                let mut site = self.sites[gate].lock().unwrap();
                *self.scene.doors[gate].lock().unwrap() = None;
                site.kill();
                watch.pause(lasts);
                self.start(gate, &mut site);
            }),
            Act::Pause(gate) => self.note(FaultKind::Paused, Some(gate), || {
                let site = self.sites[gate].lock().unwrap();
                site.pause();
                watch.pause(lasts);
                site.resume();
            }),
            Act::Cut(gate, weather, resets) => {
                let is_told = weather == Weather::Refusing;
                self.note(FaultKind::Cut { is_told }, Some(gate), || {
                    let link = &self.links[gate];
                    link.set(Layer::Gate, weather);
                    watch.pause(lasts);
                    if resets {
                        link.reset();
                    }
                    link.set(Layer::Gate, Weather::Fair);
                });
            }
            Act::Step(gate, seconds) => self.note(FaultKind::Clock(seconds), Some(gate), || {
                self.sites[gate].lock().unwrap().clock.set(seconds);
            }),
            Act::Slow(ms) => self.note(FaultKind::Store { forgets: 0 }, None, || {
                self.set_all(Weather::Late(ms));
                watch.pause(lasts);
                self.set_all(Weather::Fair);
            }),
            Act::FailOver { lost } => {
                let mut stores = self.stores.lock().unwrap();
                if lost > 0 {
                    stores.cut_replica();
                    watch.pause(lost);
                }
                self.note(FaultKind::Store { forgets: lost }, None, || {
                    self.set_all(Weather::Refusing);
                    if lost == 0 && !stores.is_followed(watch) {
                        self.say("the replica does not follow".to_owned());
                    }
                    stores.promote();
                    self.links
                        .iter()
                        .for_each(|link| link.point_to(stores.port()));
                    watch.pause(lasts.min(SECOND));
                    self.set_all(Weather::Fair);
                });
                stores.return_as_replica();
                self.await_replica(&stores);
            }
            Act::Down => {
                let mut stores = self.stores.lock().unwrap();
                self.note(FaultKind::Store { forgets: 0 }, None, || {
                    stores.master_mut().kill();
                    watch.pause(lasts);
                    stores.master_mut().restart();
                });
                self.await_replica(&stores);
            }
            Act::Empty | Act::Older { .. } => {
                let lost = match planned.act {
                    Act::Older { lost } => lost,
                    _ => 0,
                };
                let mut stores = self.stores.lock().unwrap();
                let older = is_older.then(|| stores.master().backup());
                watch.pause(lost);
                self.note(FaultKind::Store { forgets: lost }, None, || {
                    let master = stores.master_mut();
                    master.kill();
                    let backup = older.unwrap_or_else(|| master.backup());
                    if !is_older {
                        master.restart_empty();
                    }
                    watch.pause(lasts);
                    master.restore(&backup);
                });
                self.await_replica(&stores);
            }
        }
    }

    /// Does something and takes down from when until when.
    fn note(&self, kind: FaultKind, gate: Option<usize>, act: impl FnOnce()) {
        let from = self.watch().now();
        act();
        let to = self.watch().now();
        let fault = Fault {
            kind,
            gate,
            from,
            to,
        };
        self.faults.lock().unwrap().push(fault);
    }

    /// Starts a gate again; clients come as soon as it says that it is ready.
    fn start(&self, gate: usize, site: &mut Site) {
        let began = self.watch().now();
        if !site.start(self.watch(), STARTS_WITHIN) {
            self.say(format!(
                "{} is not ready 15 s after it was started",
                site.name
            ));
        }
        let took = self.watch().now() - began;
        self.slowest_start.fetch_max(took as i64, Ordering::SeqCst);
        *self.scene.doors[gate].lock().unwrap() = site.listens;
    }

    fn set_all(&self, weather: Weather) {
        self.links
            .iter()
            .for_each(|link| link.set(Layer::Store, weather));
    }

    fn await_replica(&self, stores: &Stores) {
        if !stores.is_followed(self.watch()) {
            self.say("the replica does not follow".to_owned());
        }
    }

    fn say(&self, what: String) {
        self.unrest.lock().unwrap().push(what);
    }
}

const STARTS_WITHIN: At = 15 * SECOND;
