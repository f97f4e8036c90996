//! `?wait=all&timeout=`: an answer only when every gate acts on a change, or when the time is over.

use std::time::Duration;

use http::StatusCode;

use crate::admin::ask::Params;
use crate::admin::router::Shared;
use crate::api::keys::{PendingNode, Revocation};
use crate::control::writer::Audience;
use crate::domain::change::Revision;
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

    /// How far a revocation that landed at `revision` has come when the wait is over, and the status that says
    /// whether that is as far as was asked for.
    pub(in crate::admin) async fn revocation(
        self,
        shared: &Shared,
        revision: Revision,
    ) -> (StatusCode, Revocation) {
        let standing = shared.fleet.standing(revision, self.0).await;
        let mut durable_on = vec!["store".to_owned()];
        if shared.keys.store_kind() == "embedded" {
            durable_on.push(shared.gate.node().to_owned());
        }
        let status = if self.0.is_some() && !standing.pending.is_empty() {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        };
        let applied = standing.applied_on.iter();
        let pending = standing.pending.into_iter().map(|node| PendingNode {
            node: node.name.to_string(),
            last_contact_at: Some(node.last_contact_at.into()),
            stops_by: Some(node.stops_by.into()),
        });
        let revocation = Revocation {
            revision: Some(revision.0),
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
