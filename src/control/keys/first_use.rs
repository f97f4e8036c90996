//! Pending versions that were used become current: whoever shows a secret has it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{iter, unfold};

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::keys::service::Deed;
use crate::control::keys::{KeyService, KeyView, Terms};
use crate::domain::audit::Action;
use crate::domain::id::KeyId;
use crate::domain::lifecycle::{self, Activation};
use crate::state::desk::Desk;
use crate::state::first_uses::FirstUse;

impl KeyService {
    /// Makes a pending version the current one, because it was used. One that is current already, or
    /// ended meanwhile, is left as it is.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn confirm(&self, id: KeyId, number: u16) -> Result<(), ControlError> {
        let KeyView {
            key: before,
            schedule,
            ..
        } = self.held(id).await?;
        let now = self.clock.now();
        if before.pending(now).map(|version| version.number) != Some(number) {
            return Ok(());
        }
        let deed = Deed {
            action: Action::KeyActivation,
            version: Some(number),
        };
        let terms = Terms {
            reason: Some("first use".to_owned()),
            ..Terms::default()
        };
        // Two versions stay unless a rule of rotation says otherwise: no client is cut off by another's progress.
        let others = schedule.map_or(Activation::KeepPrevious, |schedule| {
            schedule.plan.activation()
        });
        let step = |key, now| Ok(lifecycle::activate(key, number, others, now)?);
        let caller = Caller::holder(&before);
        self.amend(&caller, id, deed, terms, step).await.map(drop)
    }
}

/// Acts on first uses for as long as it is polled.
pub(crate) async fn confirm_all(keys: Arc<KeyService>, desk: Arc<Desk>) {
    let uses = unfold(desk, async |desk| {
        let mut uses = Vec::new();
        desk.first_uses.take(&mut uses).await;
        Some((iter(uses), desk))
    });
    let confirm = async |first: FirstUse| {
        if let Err(error) = keys.confirm(first.key, first.version).await {
            tracing::warn!(key.id = %first.key, key.version = first.version, error = &error as &dyn std::error::Error,
                "a pending version was used but could not be made current yet");
            // Every request of the key would be back here at once.
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    };
    uses.flatten().for_each_concurrent(AT_ONCE, confirm).await;
}

/// How long a version that could not be made current is left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How many are acted on at once.
const AT_ONCE: usize = 16;
