//! What gates have of each other through Redis: limits and a roster.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::follow::Shared;
use super::store::RedisStore;
use super::{leases, nodes, words};
use crate::domain::change::{ChangeId, Revision};
use crate::domain::fleet::Roster;
use crate::domain::lease::{LeaseCall, LeaseReply};
use crate::store::{Beat, Beaten, FleetStore, LeaseStore, StoreError, Struck};

#[async_trait]
impl FleetStore for RedisStore {
    async fn beat(&self, beat: &Beat) -> Result<Beaten, StoreError> {
        nodes::beat(&self.shared, beat).await
    }

    async fn sign_off(&self, beat: &Beat) -> Result<(), StoreError> {
        nodes::sign_off(&self.shared, beat).await
    }

    async fn roster(&self) -> Result<Roster, StoreError> {
        nodes::roster(&self.shared).await
    }

    async fn roster_of(&self, landed: (Revision, ChangeId)) -> Result<Roster, StoreError> {
        nodes::roster_of(&self.shared, landed).await
    }

    async fn change_at(&self, revision: Revision) -> Result<Option<ChangeId>, StoreError> {
        let place = self.shared.mirror.place(revision).await?;
        Ok(place.map(|place| place.change))
    }

    async fn strike_off(&self, node: &str) -> Result<Struck, StoreError> {
        nodes::strike_off(&self.shared, node).await
    }

    async fn acknowledge(
        &self,
        node: &str,
        changes: &[(Revision, ChangeId)],
    ) -> Result<(), StoreError> {
        words::acknowledge(&self.shared, node, changes).await
    }

    async fn acknowledged(
        &self,
        landed: (Revision, ChangeId),
        wait: Duration,
    ) -> Result<Option<String>, StoreError> {
        words::acknowledged(&self.shared, landed, wait).await
    }

    fn age(&self, revision: Revision) -> Option<Duration> {
        let now_ns = self.shared.clock.mono_ns();
        self.shared.neighbours.age(revision, now_ns)
    }
}

#[async_trait]
impl LeaseStore for RedisStore {
    async fn settle(
        &self,
        node: &Arc<str>,
        calls: Vec<LeaseCall>,
    ) -> Vec<Result<Option<LeaseReply>, StoreError>> {
        let Shared { names, scripts, .. } = &*self.shared;
        let route = match self.shared.ours().await {
            Ok(route) => route,
            Err(fault) => {
                // Every call has its own answer, and this one is true of all; of none as well.
                let answers = std::iter::repeat_with(|| Err(fault.clone().into()));
                return answers.take(calls.len().max(1)).collect();
            }
        };
        leases::settle(route, &scripts.lease, names, node, &calls).await
    }
}
