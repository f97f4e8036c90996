//! What someone who watches is told, from here and from elsewhere.

use std::sync::Arc;

use futures_util::stream::{BoxStream, select};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;

use crate::control::fleet::FleetService;
use crate::domain::summary::Summary;
use crate::domain::watch::{Question, QuestionId, Telling, Wanted};
use crate::state::tap::{Finished, Tap};
use crate::store::Store;

use super::elsewhere::Elsewhere;
use super::here;

/// Requests as they finish, here and at the other gates.
pub struct LiveService {
    pub(super) tap: Arc<Tap>,
    pub(super) store: Arc<dyn Store>,
    pub(super) fleet: Arc<FleetService>,
    pub(super) node: Arc<str>,
    /// Which start of this gate it is.
    pub(super) boot: u64,
    /// Of the routes, by their place in the table.
    pub(super) routes: Arc<[Arc<str>]>,
    /// Questions that nobody here listens for any more.
    pub(super) departed: Mutex<Vec<QuestionId>>,
}

/// What a watcher is told.
#[derive(Debug)]
pub enum News {
    /// Who tells, and who should and does not; said first, and whenever it changes.
    Gates(Gates),
    /// A request that finished.
    Request(Line),
    /// What was counted at a gate in about a second.
    Counts(Arc<str>, Box<Summary>),
    /// At a gate, up to so many requests finished of which nothing is told.
    Dropped(Arc<str>, u64),
}

/// A line of the access log.
#[derive(Debug)]
pub enum Line {
    /// Of this gate.
    Here(Arc<Finished>),
    /// Of another.
    There(String),
}

impl Line {
    /// The line itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Here(finished) => &finished.line,
            Self::There(line) => line,
        }
    }
}

/// Whose requests a watcher sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gates {
    /// The gates that tell, by name.
    pub told_by: Vec<Arc<str>>,
    /// Those that are there and do not answer.
    pub missing: Vec<Arc<str>>,
    /// Whether the others can be asked.
    pub store: StoreStanding,
}

/// Whether other gates can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreStanding {
    /// There are none: this gate has its store for itself.
    Own,
    /// They can.
    Up,
    /// The store does not answer.
    Away,
    /// As many questions are asked as may be.
    Full,
}

impl LiveService {
    /// What `node` sees in `tap`, and what is seen at the gates of `fleet`. `routes` are the names of the routes.
    #[must_use]
    pub fn new(
        tap: Arc<Tap>,
        store: Arc<dyn Store>,
        fleet: Arc<FleetService>,
        (node, boot): (Arc<str>, u64),
        routes: Vec<Arc<str>>,
    ) -> Self {
        Self {
            tap,
            store,
            fleet,
            node,
            boot,
            routes: routes.into(),
            departed: Mutex::default(),
        }
    }

    /// Tells of what finishes from now on, at the gate that is named or at all; until the stream is dropped.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn watch(
        self: &Arc<Self>,
        telling: Telling,
        wanted: &Wanted,
        at: Option<Arc<str>>,
    ) -> Result<BoxStream<'static, News>, getrandom::Error> {
        let is_here = at.as_deref().is_none_or(|at| at == &*self.node);
        let is_elsewhere = at.as_deref() != Some(&*self.node);
        let here = is_here.then(|| here::watch(self, telling, wanted.clone()));
        let elsewhere = if is_elsewhere && self.store.watches().is_some() {
            let mut id = [0; 16];
            getrandom::fill(&mut id)?;
            let question = Question {
                id: QuestionId(id),
                from: Arc::clone(&self.node),
                to: at,
                telling,
                wanted: wanted.clone(),
            };
            Elsewhere::new(Arc::clone(self), question, is_here).news()
        } else {
            let gates = Gates {
                told_by: is_here
                    .then(|| Arc::clone(&self.node))
                    .into_iter()
                    .collect(),
                missing: at.filter(|_| !is_here).into_iter().collect(),
                store: StoreStanding::Own,
            };
            stream::once(async { News::Gates(gates) })
                .chain(stream::pending())
                .boxed()
        };
        Ok(match here {
            Some(here) => select(elsewhere, here).boxed(),
            None => elsewhere,
        })
    }
}
