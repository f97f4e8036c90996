//! What is there to be carried, or in the way.

use std::path::Path;
use std::time::Duration;

use super::super::connect::{Cause, Connection, Fault, Link};
use super::super::feed::{self, Meta};
use super::super::mirror;
use super::super::names::{Names, hex};
use crate::config::RedisChoice;
use crate::store::StoreError;
use crate::store::carry::Standing;
use crate::store::embedded::{Held, Seen};
use crate::store::node_key::MirrorKey;

/// The store in Redis; `None` if there is none.
///
/// # Errors
/// If it cannot be asked for, or what is there is none of ours.
pub(in crate::store) async fn standing(
    choice: &RedisChoice,
) -> Result<Option<Standing>, StoreError> {
    let names = Names::new(&choice.prefix);
    let link = Link::new(choice, &names.meta())?;
    let connection = link.connect(DEADLINE).await?;
    Ok(look(&link, &connection, &names).await?)
}

pub(super) async fn look(
    link: &Link,
    connection: &Connection,
    names: &Names,
) -> Result<Option<Standing>, Fault> {
    let fields: Vec<_> = connection.ask(&feed::ask_meta(names)).await?;
    match feed::read_meta(&fields) {
        Meta::Nothing => Ok(None),
        Meta::At(stand) => Ok(Some(Standing {
            incarnation: hex(&stand.incarnation),
            revision: stand.revision,
        })),
        Meta::Newer { format } => Err(link.blame(Cause::Newer { format })),
        Meta::Unreadable => Err(link.blame(Cause::Damaged {
            what: "its meta cannot be read".to_owned(),
        })),
    }
}

/// Holds the mirror in `directory` as of one moment, if it is as the gate with this key left it.
///
/// # Errors
/// [`StoreError::Unusable`] if it is not, or it has not all of the audit log.
pub(in crate::store) fn hold_mirror(directory: &Path, key: &MirrorKey) -> Result<Held, StoreError> {
    let unusable = |reason: &str| StoreError::Unusable {
        place: directory.display().to_string(),
        reason: reason.to_owned(),
    };
    let mut held = Held::open(directory)?;
    match held.sealed_by(key)? {
        Seen::Sound => {}
        Seen::Empty => return Err(unusable("the mirror holds nothing yet")),
        Seen::Unsealed | Seen::Altered => {
            return Err(unusable(
                "the mirror is not as this gate left it, or another key authenticates it",
            ));
        }
    }
    if held.has_gap()? {
        return Err(unusable(
            "the mirror has not all of the audit log yet; that of another gate may",
        ));
    }
    if let Some((revision, change)) = mirror::began_at(directory) {
        held.know(revision, change);
    }
    Ok(held)
}

/// How long an answer is waited for.
pub(super) const DEADLINE: Duration = Duration::from_secs(2);
