//! The gates that share a store, judged by when each was last heard of.
//!
//! A gate beats once a second; the store writes down when, by its own clock, so that no gate's clock
//! counts. Everything here is judged by that clock as of one beat: a gate that cannot reach the store
//! learns nothing new and so changes its mind about nobody.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::change::Revision;
use super::time::Timestamp;

/// One gate, as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Which start of it: drawn anew each time.
    pub boot: u64,
    /// Its place among the gates; the same as long as its row is there.
    pub index: u32,
    /// What it has applied.
    pub applied: Revision,
    /// When it last beat, by the store's clock.
    pub beat_at: Timestamp,
    /// Whether it signed off: it serves nothing any more.
    pub is_off: bool,
    /// After how long without the store it refuses by itself.
    pub max_staleness: Duration,
    /// Which version of Portcullis it runs.
    pub version: Arc<str>,
}

/// How a gate stands in the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It beats.
    Live,
    /// It does not, and may serve all the same.
    Silent,
    /// It signed off, or has been silent for so long that nobody counts on it.
    Gone,
}

impl Presence {
    /// As the API says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Silent => "silent",
            Self::Gone => "gone",
        }
    }
}

/// All gates that the store knows, at one moment of its clock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// The gates, by name.
    pub nodes: Vec<Node>,
}

/// A gate that a revocation is not known to be in force on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its name.
    pub name: Arc<str>,
    /// When it was last heard of.
    pub last_contact_at: Timestamp,
    /// When it refuses by itself, if it is not heard of again.
    pub stops_by: Timestamp,
}

impl Node {
    /// How it stands at `at`; `forget` is how long one that is silent is counted on.
    #[must_use]
    pub fn presence(&self, at: Timestamp, forget: Duration) -> Presence {
        let silent_for = at.since(self.beat_at);
        if self.is_off || silent_for > forget.max(LIVE_WITHIN) {
            Presence::Gone
        } else if silent_for > LIVE_WITHIN {
            Presence::Silent
        } else {
            Presence::Live
        }
    }

    /// Whether its share of every limit is left to it: it is out of sight, and may serve all the same.
    #[must_use]
    pub fn is_lost(&self, at: Timestamp, forget: Duration) -> bool {
        let silent_for = at.since(self.beat_at);
        !self.is_off && silent_for > LOST_AFTER && silent_for <= forget
    }

    /// When it refuses by itself unless it is heard of again.
    #[must_use]
    pub fn stops_by(&self) -> Timestamp {
        stops_by(self.beat_at, self.max_staleness)
    }
}

/// When a gate that was last heard of at `last_contact_at` refuses what may be without the store for
/// `bound`.
#[must_use]
pub fn stops_by(last_contact_at: Timestamp, bound: Duration) -> Timestamp {
    last_contact_at.after(bound)
}

impl Roster {
    /// The same gates, of which it is not known what they have applied.
    #[must_use]
    pub fn applying_nothing(mut self) -> Self {
        for node in &mut self.nodes {
            node.applied = Revision(0);
        }
        self
    }

    /// How many gates are live.
    #[must_use]
    pub fn live(&self) -> u32 {
        self.count(|node| node.presence(self.at, Duration::MAX) == Presence::Live)
    }

    /// How many others than `me` have their share of every limit left to them.
    #[must_use]
    pub fn lost(&self, me: &str, forget: Duration) -> u32 {
        self.count(|node| &*node.name != me && node.is_lost(self.at, forget))
    }

    /// How many gates may be serving: all but those that are gone.
    #[must_use]
    pub fn counted_on(&self, forget: Duration) -> u32 {
        self.count(|node| node.presence(self.at, forget) != Presence::Gone)
    }

    /// The gate of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| &*node.name == name)
    }

    /// The gates that may serve and are not known to have applied `revision`: one that signed off, or
    /// whose own bound has passed, refuses everything.
    pub fn without(&self, revision: Revision) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| {
            !node.is_off && node.applied < revision && node.stops_by() > self.at
        })
    }

    fn count(&self, is_it: impl Fn(&Node) -> bool) -> u32 {
        let count = self.nodes.iter().filter(|node| is_it(node)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// The most gates that were live in the last ten minutes of contact with the store.
///
/// Time without the store does not count: what was seen before it went stays until ten minutes after it is
/// back, so the number never falls while nobody can be counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peak {
    /// When so many were seen, by the store's clock: times rise, numbers fall.
    seen: VecDeque<(Timestamp, u32)>,
    /// The last look.
    last: Timestamp,
}

impl Peak {
    /// What was kept of an earlier run: looks, and the last one.
    #[must_use]
    pub fn from_parts(seen: impl IntoIterator<Item = (Timestamp, u32)>, last: Timestamp) -> Self {
        let mut peak = Self::default();
        for (at, live) in seen {
            peak.add(at.min(last), live);
        }
        peak.last = last;
        peak
    }

    /// What is to be kept of this run.
    pub fn parts(&self) -> (impl Iterator<Item = (Timestamp, u32)> + '_, Timestamp) {
        (self.seen.iter().copied(), self.last)
    }

    /// So many are live at `now`.
    pub fn see(&mut self, now: Timestamp, live: u32) {
        let gap = now.since(self.last);
        if gap > CONTACT_GAP || now < self.last {
            for (at, _) in &mut self.seen {
                *at = if now < self.last {
                    (*at).min(now)
                } else {
                    at.after(gap)
                };
            }
        }
        self.last = now;
        self.add(now, live);
        while let Some((at, _)) = self.seen.front()
            && now.since(*at) > PEAK_OVER
        {
            self.seen.pop_front();
        }
    }

    /// The most there were.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.seen.front().map_or(1, |(_, live)| *live).max(1)
    }

    fn add(&mut self, at: Timestamp, live: u32) {
        // What was fewer, and earlier, never counts again.
        while self.seen.back().is_some_and(|(_, fewer)| *fewer <= live) {
            self.seen.pop_back();
        }
        self.seen.push_back((at, live));
    }
}

/// A gate that was heard of within this is live.
pub const LIVE_WITHIN: Duration = Duration::from_secs(3);
/// A gate that was not heard of for longer, and did not sign off, may be deciding by its share before the others look
/// again: they do once a second, and half of one is left for those that are late.
pub const LOST_AFTER: Duration = Duration::from_millis(1_500);
/// Over how much contact the most gates there were is remembered.
pub const PEAK_OVER: Duration = Duration::from_secs(600);
/// Looks that are further apart had no contact in between.
const CONTACT_GAP: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    const FORGET: Duration = Duration::from_secs(600);

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    fn node(name: &str) -> Node {
        Node {
            name: name.into(),
            boot: 1,
            index: 0,
            applied: Revision(7),
            beat_at: at(0),
            is_off: false,
            max_staleness: Duration::from_secs(86_400),
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn a_gate_is_live_for_three_seconds_then_silent_then_forgotten() {
        let node = node("a");
        for (ms, presence) in [
            (0, Presence::Live),
            (3_000, Presence::Live),
            (3_001, Presence::Silent),
            (600_000, Presence::Silent),
            (600_001, Presence::Gone),
        ] {
            assert_eq!(node.presence(at(ms), FORGET), presence, "{ms}");
        }
        // A beat that another gate's answer overtook is no sign of age.
        assert_eq!(
            node.presence(Timestamp::from_millis(0), FORGET),
            Presence::Live
        );
    }

    #[test]
    fn its_share_is_left_to_a_gate_from_a_second_and_a_half_on_until_it_is_forgotten() {
        let node = node("a");
        for (ms, is_lost) in [
            (1_500, false),
            (1_501, true),
            (600_000, true),
            (600_001, false),
        ] {
            assert_eq!(node.is_lost(at(ms), FORGET), is_lost, "{ms}");
        }
    }

    #[test]
    fn a_gate_that_signed_off_is_gone_and_leaves_its_share_to_the_others() {
        let node = Node {
            is_off: true,
            ..node("a")
        };
        assert_eq!(node.presence(at(0), FORGET), Presence::Gone);
        assert!(!node.is_lost(at(2_500), FORGET));
    }

    #[test]
    fn a_roster_counts_who_is_live_and_who_else_is_lost() {
        let late = |name, ms| Node {
            beat_at: at(ms),
            ..node(name)
        };
        let roster = Roster {
            at: at(5_000),
            nodes: vec![
                late("me", 0),
                late("b", 2_000),
                late("c", 2_500),
                late("d", 5_000),
                late("e", 1_000),
            ],
        };
        assert_eq!(roster.live(), 3);
        assert_eq!(roster.lost("me", FORGET), 3);
        assert_eq!(roster.lost("d", FORGET), 4);
        assert_eq!(roster.counted_on(FORGET), 5);
        assert_eq!(roster.counted_on(Duration::from_secs(4)), 4);
        assert_eq!(roster.find("c").map(|node| node.beat_at), Some(at(2_500)));
        assert_eq!(roster.find("x"), None);
    }

    #[test]
    fn pending_are_those_that_may_serve_and_have_not_applied_it() {
        let minute = Duration::from_secs(60);
        let with = |name, applied, is_off| Node {
            applied: Revision(applied),
            is_off,
            max_staleness: minute,
            ..node(name)
        };
        let mut roster = Roster {
            at: at(59_999),
            nodes: vec![
                with("has", 8, false),
                with("lacks", 7, false),
                with("off", 0, true),
            ],
        };
        let names = |roster: &Roster| {
            let without = roster.without(Revision(8));
            without.map(|it| it.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&roster), ["lacks"]);
        assert_eq!(roster.nodes[1].stops_by(), at(60_000));
        roster.at = at(60_000);
        assert_eq!(names(&roster), [""; 0]);
    }

    #[test]
    fn the_most_gates_there_were_are_remembered_for_ten_minutes_of_contact() {
        let mut peak = Peak::default();
        assert_eq!(peak.most(), 1);
        peak.see(at(0), 4);
        for second in 1..=600 {
            peak.see(at(second * 1_000), 3);
            assert_eq!(peak.most(), 4, "{second}");
        }
        peak.see(at(601_000), 2);
        assert_eq!(peak.most(), 3);
        for second in 602..=1_200 {
            peak.see(at(second * 1_000), 2);
            assert_eq!(peak.most(), 3, "{second}");
        }
        peak.see(at(1_201_000), 2);
        assert_eq!(peak.most(), 2);
    }

    #[test]
    fn the_most_gates_there_were_never_fall_while_the_store_is_away() {
        let mut peak = Peak::default();
        for second in 0..=100 {
            peak.see(at(second * 1_000), 4);
        }
        // An hour later the store is back, and this gate is the first to say so.
        let back = 3_700_000;
        peak.see(at(back), 1);
        assert_eq!(peak.most(), 4);
        for second in 1..=600 {
            peak.see(at(back + second * 1_000), 1);
            assert_eq!(peak.most(), 4, "{second}");
        }
        peak.see(at(back + 601_000), 1);
        assert_eq!(peak.most(), 1);
    }

    #[test]
    fn a_restart_remembers_what_was_kept() {
        let mut peak = Peak::default();
        peak.see(at(0), 4);
        peak.see(at(1_000), 3);
        let (seen, last) = peak.parts();
        let again = Peak::from_parts(seen.collect::<Vec<_>>(), last);
        assert_eq!(again, peak);
        assert_eq!(again.most(), 4);
    }

    #[test]
    fn a_clock_of_the_store_that_was_set_back_forgets_nobody() {
        let mut peak = Peak::default();
        peak.see(at(500_000), 4);
        peak.see(at(0), 1);
        assert_eq!(peak.most(), 4);
        for second in 1..=600 {
            peak.see(at(second * 1_000), 1);
        }
        assert_eq!(peak.most(), 4);
        peak.see(at(601_000), 1);
        assert_eq!(peak.most(), 1);
    }
}
