//! Calls about the gates that share a store, one a file.

pub(crate) mod list;
pub(crate) mod strike_off;

use crate::api::status::Node;
use crate::control::fleet::NodeView;

/// A gate in its wire form.
fn wire(view: &NodeView) -> Node {
    Node {
        node: view.name.to_string(),
        state: view.presence.as_str().to_owned(),
        revision: view.applied.0,
        last_contact_at: Some(view.last_contact_at.into()),
        version: view.version.to_string(),
        index: view.index,
        this: view.is_this,
    }
}
