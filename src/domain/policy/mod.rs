//! Policies: what keys must have, and what becomes of those nobody uses.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::audit::Action;
use crate::domain::id::PolicyId;
use crate::domain::key::{Key, KeyStatus};
use crate::domain::lifecycle::FieldFault;
use crate::domain::notice::Notice;
use crate::domain::owner::OwnerKind;
use crate::domain::permission::Scope;
use crate::domain::product::Product;
use crate::domain::selector::Selector;
use crate::domain::time::Timestamp;

/// A policy: some of the keys, and what is asked of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Names it for ever.
    pub id: PolicyId,
    /// What people call it.
    pub name: String,
    /// Why there is one.
    pub description: Option<String>,
    /// Whether it is in force.
    pub enabled: bool,
    /// Which keys it is about.
    pub selector: Selector,
    /// What it asks of them.
    pub terms: PolicyTerms,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a policy asks of keys. What it does not name it leaves as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyTerms {
    /// The longest that a key may live, from its creation to its end.
    pub max_age: Option<Duration>,
    /// Whether a key must have an end.
    pub require_expiry: bool,
    /// Whether a key must say what it is for.
    pub require_description: bool,
    /// Whether rotating, revoking and suspending a key, and disabling its owner, need a reason.
    pub require_reason: bool,
    /// Which kinds of owner a key may have; none named: any.
    pub owner_kinds: Vec<OwnerKind>,
    /// The scopes that a key may have, its products' included; `None`: any.
    pub allowed_scopes: Option<Vec<Scope>>,
    /// After how long without use someone is told.
    pub unused_alert_after: Option<Duration>,
    /// After how long without use a key is called stale.
    pub stale_after: Option<Duration>,
    /// After how long without use a key is revoked.
    pub revoke_unused_after: Option<Duration>,
    /// How long before that its owner is warned.
    pub revoke_warning: Option<Duration>,
}

/// What all the policies that are about a key ask of it together: of each term the strictest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demands {
    max_age: Option<(Duration, Asker)>,
    require_expiry: Option<Asker>,
    require_description: Option<Asker>,
    require_reason: Option<Asker>,
    owner_kinds: Vec<(Vec<OwnerKind>, Asker)>,
    allowed_scopes: Vec<(Vec<Scope>, Asker)>,
    unused_alert_after: Option<Duration>,
    stale_after: Option<Duration>,
    revoke_unused_after: Option<Duration>,
    revoke_warning: Option<Duration>,
}

/// The name of a policy that asks for something.
type Asker = Arc<str>;

/// What will become of a key that nobody uses, if nobody does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Since when it has not been used; since it was made, if it never was.
    pub idle_since: Timestamp,
    /// When someone is told so.
    pub unused_at: Option<Timestamp>,
    /// When it is called stale.
    pub stale_at: Option<Timestamp>,
    /// When it is revoked for it.
    pub fate: Option<Fate>,
}

/// That a key will be revoked: never without a warning, and never sooner after it than was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// When it is warned of.
    pub warn_at: Timestamp,
    /// When it is done.
    pub revoke_at: Timestamp,
}

/// What the policies say of a key: the one answer that previews, warnings and revocations are taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What the key has that it must not have, or lacks.
    pub faults: Vec<FieldFault>,
    /// What will become of it.
    pub outlook: Outlook,
}

impl Judgement {
    /// Whether anything is to be done or told about the key at `now`.
    #[must_use]
    pub fn is_clean(&self, now: Timestamp) -> bool {
        let come = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        self.faults.is_empty()
            && !come(self.outlook.unused_at)
            && !come(self.outlook.stale_at)
            && !come(self.outlook.fate.map(|fate| fate.warn_at))
    }
}

impl Demands {
    /// What is asked of `key`.
    #[must_use]
    pub fn on(policies: &[Policy], key: &Key) -> Self {
        let mut demands = Self::default();
        for policy in policies {
            if policy.enabled && policy.selector.covers(key) {
                demands.add(&policy.terms, &policy.name.as_str().into());
            }
        }
        demands
    }

    fn add(&mut self, more: &PolicyTerms, asker: &Asker) {
        if let Some(most) = more.max_age
            && self.max_age.as_ref().is_none_or(|(known, _)| most < *known)
        {
            self.max_age = Some((most, Arc::clone(asker)));
        }
        for (term, is_asked) in [
            (&mut self.require_expiry, more.require_expiry),
            (&mut self.require_description, more.require_description),
            (&mut self.require_reason, more.require_reason),
        ] {
            if is_asked {
                term.get_or_insert_with(|| Arc::clone(asker));
            }
        }
        if !more.owner_kinds.is_empty() {
            self.owner_kinds
                .push((more.owner_kinds.clone(), Arc::clone(asker)));
        }
        if let Some(scopes) = &more.allowed_scopes {
            self.allowed_scopes
                .push((scopes.clone(), Arc::clone(asker)));
        }
        self.unused_alert_after = least(self.unused_alert_after, more.unused_alert_after);
        self.stale_after = least(self.stale_after, more.stale_after);
        self.revoke_unused_after = least(self.revoke_unused_after, more.revoke_unused_after);
        self.revoke_warning = self.revoke_warning.max(more.revoke_warning);
    }

    /// The name of a policy by which `action` is done to the key only for a reason that is given.
    #[must_use]
    pub fn reason_asker(&self, action: Action) -> Option<&str> {
        self.require_reason.as_deref().filter(|_| is_grave(action))
    }

    /// Whether `action` is done to the key only for a reason that is given.
    #[must_use]
    pub fn ask_reason(&self, action: Action) -> bool {
        self.reason_asker(action).is_some()
    }

    /// Whether the key has lived for as long as any may: then it is given no new secret by itself.
    #[must_use]
    pub fn has_outlived(&self, key: &Key, now: Timestamp) -> bool {
        let most = self.max_age.as_ref();
        most.is_some_and(|(most, _)| key.created_at.after(*most) <= now)
    }

    /// What the policies say of a key of an owner of this kind, last used at `last_used`.
    #[must_use]
    pub fn judge(
        &self,
        key: &Key,
        owner: OwnerKind,
        products: &[Product],
        last_used: Option<Timestamp>,
        now: Timestamp,
    ) -> Judgement {
        Judgement {
            faults: self.faults(key, Some(owner), products),
            outlook: self.outlook(key, last_used, now),
        }
    }

    /// What `key` has that it must not have, or lacks. Without an `owner` that is not asked.
    #[must_use]
    pub fn faults(
        &self,
        key: &Key,
        owner: Option<OwnerKind>,
        products: &[Product],
    ) -> Vec<FieldFault> {
        let settings = &key.settings;
        let mut faults = Vec::new();
        let mut fault = |pointer: String, code, detail: &str| {
            faults.push(FieldFault::new(pointer, code, detail));
        };
        let of_age = self.max_age.as_ref();
        match (settings.expires_at, of_age, &self.require_expiry) {
            (None, Some((_, asker)), _) | (None, None, Some(asker)) => fault(
                "/expires_at".into(),
                "policy_expiry",
                &format!("the policy `{asker}` wants this key to have an end"),
            ),
            (Some(end), Some((most, asker)), _) if end > key.created_at.after(*most) => fault(
                "/expires_at".into(),
                "policy_max_age",
                &format!(
                    "the policy `{asker}` ends this key by {} at the latest",
                    key.created_at.after(*most)
                ),
            ),
            _ => {}
        }
        let is_silent = |text: &String| text.trim().is_empty();
        if let Some(asker) = &self.require_description
            && settings.description.as_ref().is_none_or(is_silent)
        {
            fault(
                "/description".into(),
                "policy_description",
                &format!("the policy `{asker}` wants this key to say what it is for"),
            );
        }
        let is_barred = |kinds: &[OwnerKind]| owner.is_some_and(|owner| !kinds.contains(&owner));
        let barred = self.owner_kinds.iter().find(|(kinds, _)| is_barred(kinds));
        if let Some((_, asker)) = barred {
            fault(
                "/owner_id".into(),
                "policy_owner",
                &format!("the policy `{asker}` lets no owner of this type hold this key"),
            );
        }
        // The first policy that one of these scopes is not allowed by.
        let barring = |scopes: &[Scope]| {
            let bars = |allowed: &[Scope]| scopes.iter().any(|scope| !allowed.contains(scope));
            let mut policies = self.allowed_scopes.iter();
            policies.find_map(|(allowed, asker)| bars(allowed).then_some(asker))
        };
        for (at, scope) in settings.scopes.iter().enumerate() {
            if let Some(asker) = barring(std::slice::from_ref(scope)) {
                fault(
                    format!("/scopes/{at}"),
                    "policy_scope",
                    &format!("the policy `{asker}` does not let this key have this scope"),
                );
            }
        }
        for (at, name) in settings.products.iter().enumerate() {
            let product = products.iter().find(|product| product.name == *name);
            let grants = product.map_or(&[][..], |product| &product.scopes);
            if let Some(asker) = barring(grants) {
                fault(
                    format!("/products/{at}"),
                    "policy_scope",
                    &format!(
                        "this product grants a scope that the policy `{asker}` does not let this key have"
                    ),
                );
            }
        }
        faults
    }

    /// What will become of `key` if nobody uses it, having last been used at `last_used`.
    #[must_use]
    pub fn outlook(&self, key: &Key, last_used: Option<Timestamp>, now: Timestamp) -> Outlook {
        let idle_since = last_used.unwrap_or(key.created_at).max(key.created_at);
        let ended = matches!(key.status(now), KeyStatus::Revoked | KeyStatus::Expired);
        // What is protected is unprotected first, by someone.
        let may_end = !ended && !key.settings.protected;
        let fate = self.revoke_unused_after.filter(|_| may_end).map(|after| {
            let warning = self.revoke_warning.unwrap_or(REVOKE_WARNING);
            let planned = idle_since.after(after);
            let warn_at = planned.before(warning).max(idle_since);
            // A warning before that was of an earlier time without use.
            let warned = key.told.get(&Notice::Revoking).copied();
            let warned = warned.filter(|told| *told >= warn_at);
            let warned = warned.unwrap_or_else(|| warn_at.max(now));
            Fate {
                warn_at,
                revoke_at: planned.max(warned.after(warning)),
            }
        });
        let unless_ended = |after: Option<Duration>| {
            after
                .filter(|_| !ended)
                .map(|after| idle_since.after(after))
        };
        Outlook {
            idle_since,
            unused_at: unless_ended(self.unused_alert_after),
            stale_at: unless_ended(self.stale_after),
            fate,
        }
    }
}

/// The shorter of two spans that are given.
fn least(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether what is done may lock somebody out.
const fn is_grave(action: Action) -> bool {
    matches!(
        action,
        Action::KeyRotation | Action::KeyRevocation | Action::KeySuspension | Action::OwnerDisable
    )
}

/// How long before it is revoked a key is warned of, where no policy says.
pub const REVOKE_WARNING: Duration = Duration::from_secs(14 * 24 * 3_600);

#[cfg(test)]
mod tests;
