//! Changing keys: all but their secrets.

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::keys::ground::Ground;
use crate::control::keys::service::Amended;
use crate::control::keys::{KeyService, KeyView, Terms};
use crate::control::rotation::own_rule_step;
use crate::domain::audit::Action;
use crate::domain::id::KeyId;
use crate::domain::key::Key;
use crate::domain::lifecycle::{self, FieldFault};
use crate::domain::patch::SettingsPatch;
use crate::domain::rotation::RotationPlan;

/// What a key is to become.
#[derive(Debug, Clone, Default)]
pub struct KeyChange {
    /// Its settings.
    pub settings: SettingsPatch,
    /// How it is to rotate by itself; `None` leaves that as it is, `Some(None)` takes the rule of its own
    /// away, so that a wider one may rule it.
    pub rotation: Option<Option<RotationPlan>>,
    /// What was already found wrong with what was asked, so that everything is told at once.
    pub faults: Vec<FieldFault>,
}

impl KeyService {
    /// Gives a key other settings, or another rule of rotation, in one change.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::Changed`], [`ControlError::Invalid`],
    /// [`ControlError::Lifecycle`], or what the store returns.
    pub async fn change(
        &self,
        caller: &Caller,
        id: KeyId,
        asked: &KeyChange,
        terms: Terms,
    ) -> Result<KeyView, ControlError> {
        let step = |key: Key, now, ground: &Ground| {
            let settings = asked.settings.clone().apply(key.settings.clone());
            let mut faults = asked.faults.clone();
            faults.extend(ground.faults(&settings, Some(&key.settings), now));
            let key = lifecycle::change(key, settings, now)?;
            // Its owner was judged when it was made, and is not what is changed here.
            faults.extend(ground.demanded(&key, None));
            if !faults.is_empty() {
                return Err(ControlError::Invalid(faults));
            }
            let rule = match asked.rotation {
                None => None,
                Some(plan) => own_rule_step(&ground.rules, id, plan, now)?,
            };
            Ok(Amended { key, rule })
        };
        let done = self.amend_on(caller, id, Action::KeyUpdate.into(), terms, step);
        Ok(done.await?.value)
    }
}
