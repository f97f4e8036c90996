//! What is valid passes, and the gate itself does not fail.

use std::collections::HashMap;

use super::endings::{Ending, endings, is_made_anew, is_told, made};
use super::{Kind, Say, quiet};
use crate::history::{Done, History, Outcome, Use, What};
use crate::support::watch::At;

pub(super) fn check(history: &History, say: &mut Say<'_>) {
    let endings = endings(history);
    let mut known = Known::of(history);
    for used in &history.uses {
        if let Some((kind, what)) = fault(history, &endings, &mut known, used) {
            let (key, version, gate) = (&used.key, used.version, &history.gates[used.gate]);
            let text = format!("{key} version {version} at {gate}: {what}");
            say(kind, used.done, text);
        }
    }
    attribution(history, say);
    losses(history, &endings, say);
}

/// What is wrong with how a request ended.
fn fault(
    history: &History,
    endings: &[Ending<'_>],
    known: &mut Known<'_>,
    used: &Use,
) -> Option<(Kind, String)> {
    let bears_limits = used.key == history.terms.limited || used.key == history.terms.quota_key;
    match &used.outcome {
        Outcome::Answered(200, _) => None,
        Outcome::Answered(429, _) if bears_limits => None,
        Outcome::Answered(status @ (401 | 403), code) => {
            let may_have_ended =
                may_have_ended(history, endings, &used.key, used.version, used.done);
            let is_wrong = !may_have_ended && known.is_known(used);
            is_wrong.then(|| (Kind::ValidRefused, format!("{status} {code:?}")))
        }
        Outcome::Answered(status, code) => Some((Kind::Failed, format!("{status} {code:?}"))),
        Outcome::Broken(why) => {
            let is_gone = quiet::was_killed(history, used.gate, used.sent, used.done)
                || may_be_cut(history, endings, used);
            (!is_gone).then(|| (Kind::Failed, format!("no answer: {why}")))
        }
    }
}

/// Whether what a request had passed with was revoked while it was answered: it is then cut where it is. One whose
/// secret was merely replaced goes on.
fn may_be_cut(history: &History, endings: &[Ending<'_>], used: &Use) -> bool {
    let is_revoked = endings.iter().any(|ending| {
        !matches!(ending.change.what, What::Rotate { .. })
            && ending.is_of(&used.key, used.version)
            && ending.begins <= used.done
    });
    is_revoked && history.admissions.iter().any(|it| it.tag == used.tag)
}

/// Whether something had begun by then that ends this version.
fn may_have_ended(
    history: &History,
    endings: &[Ending<'_>],
    key: &str,
    version: u32,
    by: At,
) -> bool {
    let ahead = quiet::ahead(history, by) + quiet::CLOCKS_AGREE_WITHIN;
    endings.iter().any(|ending| {
        // A gate whose clock is ahead ends a grace sooner; nothing ends before it was asked for.
        let begins = ending.begins.saturating_sub(ahead).max(ending.change.sent);
        ending.is_of(key, version) && begins <= by
    })
}

/// What gates must know.
struct Known<'a> {
    history: &'a History,
    first_admitted: HashMap<(usize, &'a str, u32), At>,
    reached: HashMap<(usize, String, u32), At>,
}

impl<'a> Known<'a> {
    fn of(history: &'a History) -> Self {
        let mut first_admitted: HashMap<_, At> = HashMap::new();
        for used in &history.uses {
            if used.outcome == Outcome::Answered(200, None) {
                let first = first_admitted
                    .entry((used.gate, used.key.as_str(), used.version))
                    .or_insert(At::MAX);
                *first = used.done.min(*first);
            }
        }
        Self {
            history,
            first_admitted,
            reached: HashMap::new(),
        }
    }

    /// Whether the gate must have known what a request was sent with.
    fn is_known(&mut self, used: &Use) -> bool {
        let history = self.history;
        let Some((maker, made)) = made(history, &used.key, used.version) else {
            return false;
        };
        if is_made_anew(history, &used.key, used.version, used.done) {
            return false;
        }
        let key = (used.gate, used.key.clone(), used.version);
        let reached = *self
            .reached
            .entry(key)
            .or_insert_with(|| quiet::reached(history, used.gate, made));
        let admitted = self
            .first_admitted
            .get(&(used.gate, used.key.as_str(), used.version));
        let learned = [
            Some(reached),
            admitted.copied(),
            (maker == used.gate).then_some(made),
        ];
        learned.into_iter().flatten().any(|learned| {
            learned < used.sent && !quiet::may_be_forgotten(history, used.gate, learned, used.sent)
        })
    }
}

/// Every request that passed did so under the key and the version it was sent with.
fn attribution(history: &History, say: &mut Say<'_>) {
    let uses: HashMap<u64, &Use> = history.uses.iter().map(|it| (it.tag, it)).collect();
    for seen in &history.admissions {
        if let Some(used) = uses.get(&seen.tag)
            && (used.key != seen.key || used.version != seen.version)
        {
            let text = format!("{used:?} passed as {seen:?}");
            say(Kind::Misattributed, seen.seen, text);
        }
    }
}

/// What was made and never ended is there at the end, or an operator was told that it is not.
fn losses(history: &History, endings: &[Ending<'_>], say: &mut Say<'_>) {
    for change in &history.changes {
        let version = match change.what {
            What::Create => 1,
            What::Rotate { from, .. } => from + 1,
            _ => continue,
        };
        if !matches!(change.result, Done::Acknowledged(_)) || is_told(history, change) {
            continue;
        }
        for key in &change.keys {
            for probe in &history.end.probes {
                let is_it = probe.key == *key && probe.version == version;
                let passes = matches!(probe.outcome.status(), Some(200 | 429));
                if is_it && !passes && !may_have_ended(history, endings, key, version, probe.at) {
                    let (gate, outcome) = (&history.gates[probe.gate], &probe.outcome);
                    let text =
                        format!("{key} version {version} is {outcome:?} at {gate} at the end");
                    say(Kind::ChangeLost, probe.at, text);
                }
            }
            let mut stored = history.end.stored.iter();
            if stored.any(|it| it.key == *key && it.status.is_none()) {
                say(
                    Kind::ChangeLost,
                    At::MAX,
                    format!("the store has no {key}: {change:?}"),
                );
            }
        }
    }
}
