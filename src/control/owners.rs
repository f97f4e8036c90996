//! Owners: made, found, renamed, let back in.

use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::Value;

use crate::control::ControlError;
use crate::control::caller::{About, Caller};
use crate::control::jobs::Leavers;
use crate::control::writer::{Draft, Writer, draw};
use crate::domain::audit::{Action, FieldChange};
use crate::domain::change::Write;
use crate::domain::id::OwnerId;
use crate::domain::lifecycle::is_text;
use crate::domain::owner::{Owner, OwnerKind};
use crate::domain::query::{Page, Position};
use crate::domain::time::{Clock, Timestamp};
use crate::domain::token::Role;
use crate::store::Store;

/// Makes, finds and changes owners.
pub struct OwnerService {
    pub(in crate::control) store: Arc<dyn Store>,
    pub(in crate::control) clock: Arc<dyn Clock>,
    pub(in crate::control) writer: Arc<Writer>,
    /// Whether switching an owner off needs a reason.
    pub(in crate::control) asks_reason: bool,
    /// Ends what those hold who leave.
    pub(in crate::control) leavers: Arc<Leavers>,
}

impl OwnerService {
    /// A service over `store`; every change goes through `writer`. `asks_reason`: an owner is switched off
    /// only with a reason.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        writer: Arc<Writer>,
        asks_reason: bool,
    ) -> Self {
        let leavers = Leavers::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&writer),
            Arc::default(),
        );
        Self {
            store,
            clock,
            writer,
            asks_reason,
            leavers: Arc::new(leavers),
        }
    }

    /// The same, but what leavers hold is ended by `leavers`.
    #[must_use]
    pub fn with_leavers(self, leavers: Arc<Leavers>) -> Self {
        Self { leavers, ..self }
    }

    /// What ends what leavers hold; it must be run.
    #[must_use]
    pub fn leavers(&self) -> Arc<Leavers> {
        Arc::clone(&self.leavers)
    }

    /// Makes an owner.
    ///
    /// # Errors
    /// [`ControlError::NameTaken`], [`ControlError::Invalid`], or what the store returns.
    pub async fn create(
        &self,
        caller: &Caller,
        kind: OwnerKind,
        name: &str,
    ) -> Result<Owner, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        check_name(name, "/name")?;
        let make = || {
            async {
                if self.store.owner_named(kind, name).await?.is_some() {
                    return Err(ControlError::NameTaken);
                }
                let now = self.clock.now();
                let owner = new_owner(&*self.store, kind, name, now).await?;
                Ok(Draft {
                    audit: vec![caller.did(Action::OwnerCreation, now)?.about_owner(&owner)],
                    writes: vec![Write::Owner(owner.clone())],
                    value: owner,
                })
            }
            .boxed()
        };
        Ok(self.writer.commit(make).await?.value)
    }

    /// One owner.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], or what the store returns.
    pub async fn load(&self, caller: &Caller, id: OwnerId) -> Result<Owner, ControlError> {
        if !caller.sees(id) {
            return Err(ControlError::NotFound);
        }
        let owner = self.store.owner(id).await?;
        owner.ok_or(ControlError::NotFound)
    }

    /// A page of owners, by name; for a bound caller, its own.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn list(
        &self,
        caller: &Caller,
        name: Option<&str>,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<Owner>, ControlError> {
        let Some(bound) = caller.bound_to else {
            return Ok(self.store.owners(name, limit, after).await?);
        };
        let wanted = name.map(str::to_lowercase);
        let own = self.store.owner(bound).await?.filter(|owner| {
            wanted.is_none_or(|wanted| owner.name.to_lowercase().contains(&wanted))
        });
        Ok(Page {
            items: own.into_iter().collect(),
            next: None,
        })
    }

    /// Gives an owner another `name`, or lets one that was switched off have keys again, or both at once;
    /// the latter only an admin does. Revoked keys and ended tokens stay so, and while one of its is not
    /// ended yet it is not let back in: that would bring it back.
    ///
    /// # Errors
    /// [`ControlError::NotAdmin`], [`ControlError::Bound`], [`ControlError::NotFound`], [`ControlError::NameTaken`],
    /// [`ControlError::OwnerLeaving`], [`ControlError::Invalid`], or what the store returns.
    pub async fn update(
        &self,
        caller: &Caller,
        id: OwnerId,
        name: Option<&str>,
        lets_back_in: bool,
    ) -> Result<Owner, ControlError> {
        if lets_back_in && (caller.role != Role::Admin || caller.bound_to.is_some()) {
            return Err(ControlError::NotAdmin);
        }
        // Whoever may rename is told which names others have.
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        if let Some(name) = name {
            check_name(name, "/name")?;
        }
        let update = || {
            async {
                let before = self.load(caller, id).await?;
                let mut after = before.clone();
                if let Some(name) = name {
                    name.clone_into(&mut after.name);
                }
                if lets_back_in {
                    after.disabled_at = None;
                }
                if after == before {
                    return Ok(Draft::nothing(before));
                }
                if after.disabled_at != before.disabled_at {
                    self.ensure_gone(id).await?;
                }
                let holder = self.store.owner_named(after.kind, &after.name).await?;
                if holder.is_some_and(|holder| holder.id != id) {
                    return Err(ControlError::NameTaken);
                }
                let mut entry = caller
                    .did(Action::OwnerUpdate, self.clock.now())?
                    .about_owner(&after);
                entry.changes = differences(&before, &after);
                Ok(Draft {
                    writes: vec![Write::Owner(after.clone())],
                    audit: vec![entry],
                    value: after,
                })
            }
            .boxed()
        };
        Ok(self.writer.commit(update).await?.value)
    }
}

/// What an owner has become, field by field.
fn differences(before: &Owner, after: &Owner) -> Vec<FieldChange> {
    let time = |at: Option<Timestamp>| at.map_or(Value::Null, |at| at.to_string().into());
    let name = |owner: &Owner| Value::from(owner.name.as_str());
    let fields = [
        ("name", name(before), name(after)),
        (
            "disabled_at",
            time(before.disabled_at),
            time(after.disabled_at),
        ),
    ];
    let changed = fields.into_iter().filter(|(_, from, to)| from != to);
    changed
        .map(|(field, from, to)| FieldChange {
            field: field.to_owned(),
            from,
            to,
        })
        .collect()
}

/// An owner with an id that nobody has.
pub(in crate::control) async fn new_owner(
    store: &dyn Store,
    kind: OwnerKind,
    name: &str,
    now: Timestamp,
) -> Result<Owner, ControlError> {
    let mut id = OwnerId::from_random(draw()?);
    while store.owner(id).await?.is_some() {
        id = OwnerId::from_random(draw()?);
    }
    Ok(Owner {
        id,
        name: name.to_owned(),
        kind,
        created_at: now,
        disabled_at: None,
    })
}

/// Whether an owner may be called so.
pub(in crate::control) fn check_name(name: &str, pointer: &str) -> Result<(), ControlError> {
    if is_text(name, 1, 128) && name.trim() == name {
        return Ok(());
    }
    Err(ControlError::field(
        pointer,
        "length",
        "a name has 1 to 128 characters, no control characters, and no space at its ends",
    ))
}
