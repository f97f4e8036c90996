//! `?wait=all&timeout=`: an answer only when every gate acts on a change, or when the time is over.

use std::time::Duration;

use http::StatusCode;

use crate::admin::ask::Params;
use crate::admin::router::Shared;
use crate::api::keys::{PendingNode, Revocation};
use crate::control::writer::{Audience, Done};
use crate::domain::span::Span;

/// How long a call waits for all gates; not at all, unless it asks for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::admin) struct Wait(Option<Duration>);

impl Wait {
    /// What the parameters ask for; `timeout` without `wait` is read and means nothing.
    pub(in crate::admin) fn read(params: &mut Params) -> Self {
        let wait = params.read("wait", "`all`", |text| (text == "all").then_some(()));
        let timeout = params.read("timeout", TIMEOUT, |text| {
            let Span(wait) = text.parse().ok()?;
            (wait <= TIMEOUT_MAX).then_some(wait)
        });
        Self(wait.map(|()| timeout.unwrap_or(TIMEOUT_DEFAULT)))
    }

    /// Who is to know of the change that is waited for.
    pub(in crate::admin) fn audience(self) -> Audience {
        match self.0 {
            Some(_) => Audience::Waiting,
            None => Audience::Nobody,
        }
    }

    /// How far a revocation has come that landed, or is on this gate's disk alone, when the wait is over, and the status
    /// that says whether that is as far as was asked for.
    pub(in crate::admin) async fn revocation<T>(
        self,
        shared: &Shared,
        done: &Done<T>,
    ) -> (StatusCode, Revocation) {
        let Done {
            revision, change, ..
        } = *done;
        let (standing, is_far_enough) = match revision {
            Some(revision) => {
                let standing = shared.fleet.standing(revision, change, self.0).await;
                let is_everywhere = standing.pending.is_empty();
                (standing, is_everywhere || self.0.is_none())
            }
            // The others hear of it when the store is back.
            None => (shared.fleet.unknown_to_others(), false),
        };
        let status = if is_far_enough {
            StatusCode::OK
        } else {
            StatusCode::ACCEPTED
        };
        // Every gate has what has ended on its disk, before it says so.
        let mut durable_on = vec![shared.gate.node().to_owned()];
        if revision.is_some() {
            durable_on.insert(0, "store".to_owned());
        }
        let applied = standing.applied_on.iter();
        let pending = standing.pending.into_iter().map(|node| PendingNode {
            node: node.name.to_string(),
            last_contact_at: Some(node.last_contact_at.into()),
            stops_by: Some(node.stops_by.into()),
        });
        let revocation = Revocation {
            revision: revision.map(|revision| revision.0),
            durable_on,
            applied_on: applied.map(ToString::to_string).collect(),
            pending: pending.collect(),
        };
        (status, revocation)
    }
}

const TIMEOUT: &str = "a time like `500ms` or `5s`, at most 60s";
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
