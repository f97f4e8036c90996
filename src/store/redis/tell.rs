//! What the audit log, the log and the alarms are told of what a gate does for its store.

use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::commit;
use super::feed::Entry;
use super::follow::Shared;
use super::make_good::Setback;
use crate::domain::audit::{Action, Actor, AuditEntry, FieldChange, Outcome};
use crate::domain::change::{Change, ChangeId, Revision, Write};
use crate::domain::id::AuditId;
use crate::domain::tombstone::Ended;
use crate::store::{Concern, StoreError};

impl Shared {
    /// Tells of changes that are lost for good.
    pub(super) async fn tell_of(
        &self,
        gone: &[&Change],
        branch: Option<&[Entry]>,
        expect: Revision,
    ) -> Result<(), Setback> {
        let ids: Vec<_> = gone.iter().map(|it| it.id).collect();
        let told: Vec<_> = gone.iter().flat_map(|it| &it.audit).collect();
        if !told.is_empty() {
            // By the same name whoever tells it, so that it is told once.
            let mut hash = Sha256::new();
            ids.iter().for_each(|id| hash.update(id.0));
            let digest: [u8; 32] = hash.finalize().into();
            let id = ChangeId(digest.first_chunk().copied().unwrap_or_default());
            let mut entries = branch.unwrap_or_default().iter();
            if !entries.any(|entry| entry.change.id == id) {
                let mut entry = self.said(Action::Store, LOST)?;
                let shown = told.iter().take(TOLD_MOST);
                entry.changes = shown.map(|it| lost_change(it)).collect();
                let change = Change {
                    id,
                    expect,
                    writes: Vec::new(),
                    audit: vec![entry],
                };
                commit::commit(self, change, None).await?;
            }
            let count = told.len();
            let names: Vec<_> = told
                .iter()
                .take(NAMED_MOST)
                .map(|it| sentence(it))
                .collect();
            let names = names.join("; ");
            let more = if count > NAMED_MOST { "; …" } else { "" };
            warn!(
                count,
                "the store has lost changes that are not made again: {names}{more}"
            );
            self.losses.lock().push(Concern {
                code: "changes_lost",
                detail: format!(
                    "{count} changes were lost with the store and not made again, since others have changed \
                     the same things: {names}{more}; the audit log has them all"
                ),
            });
        }
        Ok(self.tombstones.settle(ids).await?)
    }

    /// That something was ended again.
    pub(super) fn ended_again(
        &self,
        what: &Ended,
        write: &Write,
    ) -> Result<AuditEntry, StoreError> {
        let action = match what {
            Ended::Key(_) | Ended::Version { .. } => Action::KeyRevocation,
            Ended::Owner(_) => Action::OwnerDisable,
            Ended::Token(_) => Action::TokenRevocation,
        };
        let mut entry = self.said(action, REASSERTED)?;
        let told = |field: &str, to: String| FieldChange {
            field: field.to_owned(),
            from: serde_json::Value::Null,
            to: to.into(),
        };
        match write {
            Write::Key(key) => {
                entry.key = Some(key.id);
                entry.owner = Some(key.owner);
                let field = match what {
                    Ended::Version { number, .. } => {
                        entry.key_version = Some(*number);
                        format!("versions.{number}.state")
                    }
                    _ => "status".to_owned(),
                };
                entry.changes = vec![told(&field, "revoked".to_owned())];
            }
            Write::Owner(owner) => {
                entry.owner = Some(owner.id);
                let at = owner.disabled_at.map(|at| at.to_string());
                entry.changes = vec![told("disabled_at", at.unwrap_or_default())];
            }
            Write::Token(token) => {
                entry.owner = token.owner;
                let at = token.revoked_at.map(|at| at.to_string());
                entry.changes = vec![
                    told("id", token.id.to_string()),
                    told("revoked_at", at.unwrap_or_default()),
                ];
            }
            _ => {}
        }
        Ok(entry)
    }

    /// Writes into the audit log that another store was taken.
    pub(super) async fn tell_accepted(&self, left: &str, taken: &str) -> Result<(), StoreError> {
        self.rounds_of(async || {
            let mut entry = self.said(Action::Store, ACCEPTED)?;
            entry.changes = vec![FieldChange {
                field: "incarnation".to_owned(),
                from: left.into(),
                to: taken.into(),
            }];
            let mut id = [0; 16];
            getrandom::fill(&mut id).map_err(StoreError::unavailable)?;
            let change = Change {
                id: ChangeId(id),
                expect: self.revision(),
                writes: Vec::new(),
                audit: vec![entry],
            };
            commit::commit(self, change, None).await?;
            Ok(())
        })
        .await
    }

    /// An audit entry of something that the gate itself does.
    fn said(&self, action: Action, why: &str) -> Result<AuditEntry, StoreError> {
        let mut id = [0; 10];
        getrandom::fill(&mut id).map_err(StoreError::unavailable)?;
        Ok(AuditEntry {
            id: AuditId::from_random(id),
            timestamp: self.clock.now(),
            action,
            outcome: Outcome::Done,
            actor: Actor {
                kind: "system".to_owned(),
                id: "system".to_owned(),
                name: "store".to_owned(),
            },
            address: None,
            request_id: None,
            reason: Some(why.to_owned()),
            key: None,
            key_version: None,
            owner: None,
            changes: Vec::new(),
            rotation: None,
        })
    }
}

/// Whether an entry only says again that something has ended.
pub(super) fn is_echo(entry: &AuditEntry) -> bool {
    entry.actor.kind == "system" && entry.reason.as_deref() == Some(REASSERTED)
}

fn lost_change(entry: &AuditEntry) -> FieldChange {
    FieldChange {
        field: entry.id.to_string(),
        from: sentence(entry).into(),
        to: serde_json::Value::Null,
    }
}

/// What was done, to what and when; not by whom and why, which may be erased where it was said first.
fn sentence(entry: &AuditEntry) -> String {
    let action = entry.action.as_str();
    let to = entry.key.map(|id| id.to_string());
    let to = to.or_else(|| entry.owner.map(|id| id.to_string()));
    match to {
        Some(to) => format!("{action} of {to} at {}", entry.timestamp),
        None => format!("{action} at {}", entry.timestamp),
    }
}

const REASSERTED: &str = "revocation_reasserted";
const LOST: &str = "changes_lost";
const ACCEPTED: &str = "store_accepted";
/// How many lost changes the audit log names, and how many an alarm does.
const TOLD_MOST: usize = 200;
const NAMED_MOST: usize = 10;
