//! Watching requests as they finish, over all gates of a store: what is asked, and what is answered.
//!
//! Gates do not reach each other. Whoever watches has its gate put a [`Question`] into the store; the others
//! find it there and leave [`Batch`]es. A batch says how many requests there *were* besides those it tells of,
//! so that whoever gathers them knows what it has missed, wherever on the way that was lost.

use std::fmt;
use std::sync::Arc;

use super::id::{KeyId, OwnerId};
use super::permission::Method;
use super::summary::Summary;

/// Names a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(pub [u8; 16]);

impl fmt::Display for QuestionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// What one gate asks of the others for someone who watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its name.
    pub id: QuestionId,
    /// The gate that asks.
    pub from: Arc<str>,
    /// Who is to answer; every other gate, if it is not said.
    pub to: Option<Arc<str>>,
    /// What is told of requests.
    pub telling: Telling,
    /// Of which.
    pub wanted: Wanted,
}

impl Question {
    /// Whether `node` is to answer.
    #[must_use]
    pub fn concerns(&self, node: &str) -> bool {
        &*self.from != node && self.to.as_deref().is_none_or(|to| to == node)
    }
}

/// What a watcher is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Telling {
    /// Each request, as far as there is room.
    Requests,
    /// Counts, once a second. Nothing is left out of them that is not told of as missed.
    Counts,
}

/// Which requests are asked for. Every condition must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Of this key.
    pub key: Option<KeyId>,
    /// Of this owner's keys.
    pub owner: Option<OwnerId>,
    /// Answered so.
    pub status: Option<StatusFilter>,
    /// On this route.
    pub route: Option<Arc<str>>,
    /// By this method.
    pub method: Option<Method>,
}

/// A status, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// This one.
    Exactly(u16),
    /// All that begin with this digit.
    Class(u16),
}

/// What of a request is looked at to know whether it is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traits<'a> {
    /// Whose key it was, if one was recognised.
    pub key: Option<KeyId>,
    /// And whose that is.
    pub owner: Option<OwnerId>,
    /// What the client got.
    pub status: u16,
    /// The route it took.
    pub route: Option<&'a str>,
    /// Its method, if it is one that is known.
    pub method: Option<Method>,
}

/// What a gate answers, now and then.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The gate.
    pub node: Arc<str>,
    /// Which start of it.
    pub boot: u64,
    /// How many requests there were, all told, since it began to answer. Those that it found nothing out about,
    /// for there were too many, are among them.
    pub seen: u64,
    /// What it tells of them.
    pub told: Told,
}

/// What is told of requests.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Lines of the access log.
    Requests(Vec<String>),
    /// Counts.
    Counts(Box<Summary>),
}

impl StatusFilter {
    /// `404`, `4xx`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        if let Some(class) = word.strip_suffix("xx") {
            let class = class.parse().ok().filter(|class| (1..=5).contains(class));
            return class.map(Self::Class);
        }
        let status = word.parse().ok();
        status
            .filter(|status| (100..=599).contains(status))
            .map(Self::Exactly)
    }

    fn admits(self, status: u16) -> bool {
        match self {
            Self::Exactly(wanted) => status == wanted,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl fmt::Display for StatusFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

impl Wanted {
    /// Whether a request is asked for.
    #[must_use]
    pub fn admits(&self, request: &Traits<'_>) -> bool {
        self.key.is_none_or(|key| request.key == Some(key))
            && self.owner.is_none_or(|owner| request.owner == Some(owner))
            && self
                .status
                .is_none_or(|status| status.admits(request.status))
            && (self.route.as_deref()).is_none_or(|route| request.route == Some(route))
            && self
                .method
                .is_none_or(|method| request.method == Some(method))
    }
}

impl Told {
    /// How many requests are told of.
    #[must_use]
    pub fn requests(&self) -> u64 {
        match self {
            Self::Requests(lines) => lines.len() as u64,
            Self::Counts(summary) => summary.total.requests,
        }
    }
}

/// How far the answers of one gate were heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    boot: u64,
    seen: u64,
}

impl Heard {
    /// How many requests were missed between what was heard `before` and a batch. A gate counts from when it
    /// began to answer, so what was lost before the first that is heard is among them.
    #[must_use]
    pub fn missed(before: Option<Self>, batch: &Batch) -> u64 {
        let from = match before {
            Some(before) if before.boot == batch.boot && before.seen <= batch.seen => before.seen,
            // The first that is heard; or it began anew.
            _ => 0,
        };
        (batch.seen - from).saturating_sub(batch.told.requests())
    }

    /// Up to where a batch tells.
    #[must_use]
    pub fn of(batch: &Batch) -> Self {
        Self {
            boot: batch.boot,
            seen: batch.seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_must_hold() {
        let (key, owner) = (KeyId::from_random([1; 10]), OwnerId::from_random([2; 10]));
        let request = Traits {
            key: Some(key),
            owner: Some(owner),
            status: 404,
            route: Some("orders"),
            method: Some(Method::Get),
        };
        let stranger = Traits {
            status: 404,
            ..Traits::default()
        };
        let all = Wanted::default();
        assert!(all.admits(&request) && all.admits(&stranger));
        let wanted = Wanted {
            key: Some(key),
            owner: Some(owner),
            status: Some(StatusFilter::Class(4)),
            route: Some("orders".into()),
            method: Some(Method::Get),
        };
        assert!(wanted.admits(&request) && !wanted.admits(&stranger));
        for other in [
            Traits {
                key: Some(KeyId::from_random([3; 10])),
                ..request
            },
            Traits {
                owner: None,
                ..request
            },
            Traits {
                status: 200,
                ..request
            },
            Traits {
                route: Some("order"),
                ..request
            },
            Traits {
                method: None,
                ..request
            },
        ] {
            assert!(!wanted.admits(&other), "{other:?}");
        }
    }

    #[test]
    fn a_status_is_a_number_or_a_class() {
        for (word, status, admitted) in [
            ("404", 404, true),
            ("404", 403, false),
            ("4xx", 499, true),
            ("4xx", 500, false),
        ] {
            let filter = StatusFilter::from_word(word).unwrap();
            assert_eq!(filter.admits(status), admitted, "{word} {status}");
            assert_eq!(filter.to_string(), word);
        }
        for word in ["", "xx", "6xx", "0xx", "99", "600", "ok"] {
            assert_eq!(StatusFilter::from_word(word), None, "{word}");
        }
    }

    #[test]
    fn who_asks_is_not_asked() {
        let question = |to: Option<&str>| Question {
            id: QuestionId([7; 16]),
            from: "gate-1".into(),
            to: to.map(Into::into),
            telling: Telling::Requests,
            wanted: Wanted::default(),
        };
        assert!(question(None).concerns("gate-2") && !question(None).concerns("gate-1"));
        assert!(question(Some("gate-2")).concerns("gate-2"));
        assert!(!question(Some("gate-3")).concerns("gate-2"));
    }

    #[test]
    fn what_was_lost_on_the_way_is_counted_whatever_lost_it() {
        let batch = |boot, seen, lines: usize| Batch {
            node: "gate-1".into(),
            boot,
            seen,
            told: Told::Requests(vec![String::new(); lines]),
        };
        // All is heard from the beginning; or what was said first was lost.
        assert_eq!(Heard::missed(None, &batch(1, 0, 0)), 0);
        assert_eq!(Heard::missed(None, &batch(1, 4, 4)), 0);
        let first = batch(1, 10, 4);
        assert_eq!(Heard::missed(None, &first), 6);
        let heard = Some(Heard::of(&first));
        // Three more, one of which was not told of; then a whole batch was lost.
        assert_eq!(Heard::missed(heard, &batch(1, 13, 3)), 0);
        assert_eq!(Heard::missed(heard, &batch(1, 13, 2)), 1);
        assert_eq!(Heard::missed(heard, &batch(1, 110, 0)), 100);
        // It was started again, or began to answer anew.
        assert_eq!(Heard::missed(heard, &batch(2, 6, 4)), 2);
        assert_eq!(Heard::missed(heard, &batch(1, 6, 6)), 0);
    }
}
