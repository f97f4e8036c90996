//! What is told of who is signed in.

use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::api::owners::Owner;
use crate::api::session::{Actor, Session, Signed};
use crate::control::caller::Caller;

/// Who `caller` is, for themselves.
pub(super) async fn signed(shared: &Shared, caller: &Caller) -> Result<Signed, Problem> {
    let owner = match caller.bound_to {
        Some(id) => Some(Owner::from(&shared.owners.load(caller, id).await?)),
        None => None,
    };
    Ok(Signed {
        session: Some(Session {
            actor: Actor {
                kind: caller.actor.kind.clone(),
                id: caller.actor.id.clone(),
                name: caller.actor.name.clone(),
            },
            role: caller.role.as_str().to_owned(),
            owner,
        }),
    })
}
