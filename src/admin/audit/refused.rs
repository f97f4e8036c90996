//! What the audit log says of a call that was refused to someone who is known.

use http::Method;

use crate::admin::problem::Problem;
use crate::admin::router::Shared;
use crate::control::caller::Caller;
use crate::domain::audit::Action;
use crate::domain::id::{KeyId, OwnerId};

/// What a call would have done, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    action: Action,
    key: Option<KeyId>,
    owner: Option<OwnerId>,
}

impl Attempt {
    /// What this call would do; `None` if it only reads.
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        if method == Method::GET || method == Method::HEAD {
            return None;
        }
        let mut segments = path.strip_prefix("/admin/")?.split('/');
        let (room, id, step) = (segments.next()?, segments.next(), segments.next());
        let is_patch = method == Method::PATCH;
        let is_delete = method == Method::DELETE;
        let action = match (room, id, step) {
            ("keys", None, _) => Action::KeyCreation,
            ("keys", Some("import"), _) => Action::KeyImport,
            ("keys", Some("rotation"), _) => Action::Config,
            ("keys", _, Some("rotate")) => Action::KeyRotation,
            ("keys", _, Some("suspend")) => Action::KeySuspension,
            ("keys", _, Some("resume")) => Action::KeyResumption,
            // Tries out, and does nothing.
            ("keys", _, Some("test")) => return None,
            ("keys", ..) if is_delete => Action::KeyRevocation,
            ("keys", ..) => Action::KeyUpdate,
            ("users", None, _) => Action::OwnerCreation,
            ("users", _, Some("keys")) => Action::OwnerDisable,
            ("users", _, Some("sign-in")) | ("session", ..) => Action::Session,
            ("users", ..) if is_delete => Action::OwnerErasure,
            ("users", ..) => Action::OwnerUpdate,
            ("tokens", ..) if is_delete => Action::TokenRevocation,
            ("tokens", ..) if is_patch => Action::TokenUpdate,
            ("tokens", ..) => Action::TokenCreation,
            ("products", ..) if is_delete => Action::ProductDeletion,
            ("products", ..) if is_patch => Action::ProductUpdate,
            ("products", ..) => Action::ProductCreation,
            ("policies", Some("preview"), _) => return None,
            ("policies", ..) if is_delete => Action::PolicyDeletion,
            ("policies", ..) if is_patch => Action::PolicyUpdate,
            ("policies", ..) => Action::PolicyCreation,
            ("webhooks", ..) if is_delete => Action::WebhookDeletion,
            ("webhooks", ..) if is_patch => Action::WebhookUpdate,
            ("webhooks", ..) => Action::WebhookCreation,
            _ => Action::Config,
        };
        Some(Self {
            action,
            key: id.and_then(|id| id.parse().ok()),
            owner: id.and_then(|id| id.parse().ok()),
        })
    }

    /// Has it written down that this was refused to `caller`. What failed was not refused.
    pub(crate) fn refused(self, shared: &Shared, caller: &Caller, problem: &Problem) {
        if problem.is_refusal() {
            shared
                .audit
                .note_refusal(caller, self.action, self.key, self.owner, problem.code());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_taken_for_what_it_would_do() {
        for (method, path, expected) in [
            (Method::POST, "/admin/keys", Some(Action::KeyCreation)),
            (
                Method::PATCH,
                "/admin/keys/key_0000000000",
                Some(Action::KeyUpdate),
            ),
            (
                Method::DELETE,
                "/admin/keys/key_0000000000",
                Some(Action::KeyRevocation),
            ),
            (
                Method::DELETE,
                "/admin/keys/key_0000000000/versions/2",
                Some(Action::KeyRevocation),
            ),
            (
                Method::POST,
                "/admin/keys/key_0000000000/rotate",
                Some(Action::KeyRotation),
            ),
            (Method::POST, "/admin/keys/key_0000000000/test", None),
            (
                Method::POST,
                "/admin/keys/rotation/enable",
                Some(Action::Config),
            ),
            (Method::POST, "/admin/keys/import", Some(Action::KeyImport)),
            (
                Method::POST,
                "/admin/users/usr_0000000000/keys/disable",
                Some(Action::OwnerDisable),
            ),
            (
                Method::DELETE,
                "/admin/users/usr_0000000000",
                Some(Action::OwnerErasure),
            ),
            (Method::POST, "/admin/tokens", Some(Action::TokenCreation)),
            (Method::GET, "/admin/keys", None),
            (Method::POST, "/metrics", None),
        ] {
            let attempt = Attempt::of(&method, path);
            assert_eq!(attempt.map(|it| it.action), expected, "{method} {path}");
        }
        let attempt = Attempt::of(&Method::DELETE, "/admin/keys/key_0000000001").unwrap();
        assert_eq!(attempt.key.unwrap().to_string(), "key_0000000001");
        assert_eq!(attempt.owner, None);
    }
}
