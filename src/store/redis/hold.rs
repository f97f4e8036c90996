//! Ending things while the store is away: in force here, on this gate's disk, and owed to the store.

use tracing::warn;

use super::connect::Cause;
use super::follow::Shared;
use super::make_good::ends_of;
use crate::domain::change::Change;
use crate::domain::tombstone::{Ended, Tombstone, ended_in};
use crate::store::tombstones::{Owed, OwedKind};
use crate::store::{Kept, StoreError};

/// Has what `change` ends ended here.
///
/// # Errors
/// As [`crate::store::Feed::hold`].
pub(super) async fn hold(shared: &Shared, change: Change) -> Result<Kept, StoreError> {
    let Some(stand) = shared.mirror.stand() else {
        return Err(shared.link.blame(Cause::NotConnected).into());
    };
    let tables = shared.mirror.tables();
    // Whether the store took it, the store knows; but if it did, it may be here by now.
    // Anywhere: it was sent before what it expects now came.
    if let Some(revision) = tables.landed(change.id).await? {
        return Ok(Kept::Landed(revision));
    }
    let what = ends_of(&change);
    let ended = change.writes.iter().flat_map(ended_in);
    let ended = ended.map(|(what, at)| Tombstone {
        what,
        at,
        revision: None,
    });
    let ended = ended.collect();
    let writes = change.writes.clone();
    let owed = Owed {
        since: change.expect,
        change,
        incarnation: stand.incarnation,
        kind: OwedKind::Held,
    };
    shared.tombstones.owe(vec![owed], ended).await?;
    // From here on it has ended, whatever happens: the file is read before the tables.
    match shared.mirror.lay_over(&what).await {
        Ok(ended) => Ok(Kept::Held(ended)),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            warn!(
                error,
                "what was revoked is not in the mirror until the next start"
            );
            Ok(Kept::Held(writes))
        }
    }
}

/// Whether a change is held that ends this.
pub(super) fn holds(shared: &Shared, what: &Ended) -> bool {
    let owed = shared.tombstones.owed();
    let mut held = owed.iter().filter(|it| it.kind == OwedKind::Held);
    held.any(|it| ends_of(&it.change).contains(what))
}
