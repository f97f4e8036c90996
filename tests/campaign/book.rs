//! What the clients of a run know: which secrets there are, and what is being done to them.

use std::collections::VecDeque;

use crate::schedule::Random;

/// A secret, and what it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) key: String,
    pub(crate) version: u32,
    pub(crate) secret: String,
}

/// All that were ever handed out.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Current versions of keys that nothing is being done to.
    live: Vec<Credential>,
    /// Of these it is known, or feared, that they are no longer good; the newest last.
    ended: VecDeque<Credential>,
    /// Versions with a long grace, which may be ended before it is over.
    replaced: Vec<Credential>,
    /// Owners who will leave, and what they hold.
    leavers: Vec<(String, Vec<Credential>)>,
    pub(crate) limited: Option<Credential>,
    pub(crate) quota: Option<Credential>,
    all: Vec<Credential>,
}

impl Book {
    /// A new secret, which is used from now on.
    pub(crate) fn add(&mut self, credential: Credential) {
        self.all.push(credential.clone());
        self.live.push(credential);
    }

    /// A new secret that is used by its own rules.
    pub(crate) fn note(&mut self, credential: &Credential) {
        self.all.push(credential.clone());
    }

    pub(crate) fn add_leaver(&mut self, owner: String, holds: Vec<Credential>) {
        self.all.extend(holds.iter().cloned());
        self.leavers.push((owner, holds));
    }

    /// Takes a key out, for one who is about to change it.
    pub(crate) fn take(&mut self, random: &mut Random) -> Option<Credential> {
        if self.live.len() < LIVE_MIN {
            return None;
        }
        let at = random.below(self.live.len() as u64) as usize;
        Some(self.live.swap_remove(at))
    }

    /// It was not changed after all.
    pub(crate) fn put_back(&mut self, credential: Credential) {
        self.live.push(credential);
    }

    /// It is no longer good, or may be so.
    pub(crate) fn end(&mut self, credential: Credential) {
        self.ended.push_back(credential);
        if self.ended.len() > ENDED_MAX {
            self.ended.pop_front();
        }
    }

    /// It was replaced, and is good for long yet.
    pub(crate) fn replace(&mut self, credential: Credential) {
        self.replaced.push(credential);
    }

    pub(crate) fn take_replaced(&mut self) -> Option<Credential> {
        self.replaced.pop()
    }

    /// The next owner to leave.
    pub(crate) fn take_leaver(&mut self) -> Option<(String, Vec<Credential>)> {
        self.leavers.pop()
    }

    /// Whether there are enough keys for now.
    pub(crate) fn is_full(&self) -> bool {
        self.live.len() >= LIVE_MAX
    }

    /// What a client uses next.
    pub(crate) fn pick(&self, random: &mut Random) -> Option<Credential> {
        let chance = random.below(100);
        let from_end = random.below(self.ended.len().max(1) as u64) as usize;
        let leaver = random.below(self.leavers.len().max(1) as u64) as usize;
        let one = random.below(self.live.len().max(1) as u64) as usize;
        match chance {
            0..20 => self.limited.clone(),
            20..30 => self.quota.clone(),
            // Rather those that ended lately: half of the picks fall on the newest few.
            30..45 => self.ended.iter().rev().nth(from_end / 8).cloned(),
            45..58 => self.ended.get(from_end).cloned(),
            58..63 => self
                .leavers
                .get(leaver)
                .and_then(|(_, holds)| holds.first().cloned()),
            _ => self.live.get(one).cloned(),
        }
    }

    /// Every secret there ever was.
    pub(crate) fn all(&self) -> &[Credential] {
        &self.all
    }
}

/// Below this, keys are made and not ended.
const LIVE_MIN: usize = 6;
const LIVE_MAX: usize = 24;
const ENDED_MAX: usize = 48;
