//! From what was asked of a policy to its terms, with every fault at its place.

use std::time::Duration;

use crate::admin::lists::{few, once_each};
use crate::admin::selector;
use crate::api::policies::{CreatePolicy, PatchPolicy};
use crate::control::policies::PolicyDraft;
use crate::domain::lifecycle::{FieldFault, most};
use crate::domain::owner::OwnerKind;
use crate::domain::permission::Scope;
use crate::domain::policy::PolicyTerms;
use crate::domain::selector::Selector;
use crate::domain::span::Span;

/// What is to be different about a policy; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Edit {
    name: Option<String>,
    description: Option<Option<String>>,
    enabled: Option<bool>,
    selector: Option<Selector>,
    max_age: Option<Option<Duration>>,
    require_expiry: Option<bool>,
    require_description: Option<bool>,
    require_reason: Option<bool>,
    owner_kinds: Option<Vec<OwnerKind>>,
    allowed_scopes: Option<Option<Vec<Scope>>>,
    unused_alert_after: Option<Option<Duration>>,
    stale_after: Option<Option<Duration>>,
    revoke_unused_after: Option<Option<Duration>>,
    revoke_warning: Option<Option<Duration>>,
}

impl Edit {
    /// The draft with what is given put in place of what was there.
    pub(super) fn apply(self, draft: PolicyDraft) -> PolicyDraft {
        let terms = draft.terms;
        PolicyDraft {
            name: self.name.unwrap_or(draft.name),
            description: self.description.unwrap_or(draft.description),
            enabled: self.enabled.unwrap_or(draft.enabled),
            selector: self.selector.unwrap_or(draft.selector),
            terms: PolicyTerms {
                max_age: self.max_age.unwrap_or(terms.max_age),
                require_expiry: self.require_expiry.unwrap_or(terms.require_expiry),
                require_description: self
                    .require_description
                    .unwrap_or(terms.require_description),
                require_reason: self.require_reason.unwrap_or(terms.require_reason),
                owner_kinds: self.owner_kinds.unwrap_or(terms.owner_kinds),
                allowed_scopes: self.allowed_scopes.unwrap_or(terms.allowed_scopes),
                unused_alert_after: self.unused_alert_after.unwrap_or(terms.unused_alert_after),
                stale_after: self.stale_after.unwrap_or(terms.stale_after),
                revoke_unused_after: self
                    .revoke_unused_after
                    .unwrap_or(terms.revoke_unused_after),
                revoke_warning: self.revoke_warning.unwrap_or(terms.revoke_warning),
            },
        }
    }
}

/// What a new policy is to be; pointers begin with `place`.
pub(super) fn create(asked: CreatePolicy, place: &str) -> Result<PolicyDraft, Vec<FieldFault>> {
    let patch = PatchPolicy {
        name: Some(asked.name),
        description: Some(asked.description),
        enabled: asked.enabled,
        selector: Some(asked.selector),
        max_age: Some(asked.max_age),
        require_expiry: Some(asked.require_expiry),
        require_description: Some(asked.require_description),
        require_reason: Some(asked.require_reason),
        owner_types: Some(asked.owner_types),
        allowed_scopes: Some(asked.allowed_scopes),
        unused_alert_after: Some(asked.unused_alert_after),
        stale_after: Some(asked.stale_after),
        revoke_unused_after: Some(asked.revoke_unused_after),
        revoke_warning: Some(asked.revoke_warning),
    };
    let empty = PolicyDraft {
        name: String::new(),
        description: None,
        enabled: true,
        selector: Selector::All,
        terms: PolicyTerms::default(),
    };
    Ok(read(patch, place)?.apply(empty))
}

/// What a policy is asked to become.
pub(super) fn patch(asked: PatchPolicy) -> Result<Edit, Vec<FieldFault>> {
    read(asked, "")
}

fn read(asked: PatchPolicy, place: &str) -> Result<Edit, Vec<FieldFault>> {
    let mut faults = Vec::new();
    let mut span = |field: &str, least: Duration, text: Option<Option<String>>| {
        Some(text?.and_then(|text| match text.parse::<Span>() {
            Ok(Span(span)) if (least..=SPAN_MAX).contains(&span) => Some(span),
            Ok(_) => {
                let detail = format!("between {} and {}", Span(least), Span(SPAN_MAX));
                faults.push(FieldFault::new(format!("{place}/{field}"), "range", detail));
                None
            }
            Err(error) => {
                let pointer = format!("{place}/{field}");
                faults.push(FieldFault::new(pointer, "form", error.to_string()));
                None
            }
        }))
    };
    let max_age = span("max_age", DAY, asked.max_age);
    let unused_alert_after = span("unused_alert_after", DAY, asked.unused_alert_after);
    let stale_after = span("stale_after", DAY, asked.stale_after);
    let revoke_unused_after = span("revoke_unused_after", WEEK, asked.revoke_unused_after);
    let revoke_warning = span("revoke_warning", DAY, asked.revoke_warning);
    let selector = asked
        .selector
        .map(|selector| selector::read(selector, &format!("{place}/selector"), &mut faults));
    let place_of = |field: &str| format!("{place}/{field}");
    let owner_types = few(
        asked.owner_types,
        &place_of("owner_types"),
        most::OWNER_KINDS,
        &mut faults,
    );
    let scopes = match asked.allowed_scopes {
        None => None,
        Some(None) => Some(None),
        given @ Some(Some(_)) => Some(few(
            given.flatten(),
            &place_of("allowed_scopes"),
            most::SCOPES,
            &mut faults,
        )),
    };
    let owner_kinds = owner_types.map(|words| {
        let read = |(at, word): (usize, String)| {
            let kind = OwnerKind::from_word(&word);
            if kind.is_none() {
                let pointer = format!("{place}/owner_types/{at}");
                let detail = "`user`, `team` or `system`";
                faults.push(FieldFault::new(pointer, "unknown_word", detail));
            }
            kind
        };
        words.into_iter().enumerate().filter_map(read).collect()
    });
    let allowed_scopes = scopes.map(|names: Option<Vec<String>>| {
        let read = |(at, name): (usize, String)| {
            let scope = name.parse().ok();
            if scope.is_none() {
                let pointer = format!("{place}/allowed_scopes/{at}");
                let detail = "a scope is 1 to 64 of `a-z A-Z 0-9 . _ : / -`";
                faults.push(FieldFault::new(pointer, "form", detail));
            }
            scope
        };
        names.map(|names| once_each(names.into_iter().enumerate().filter_map(read).collect()))
    });
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Edit {
        name: asked.name,
        description: asked.description,
        enabled: asked.enabled,
        selector,
        max_age,
        require_expiry: asked.require_expiry,
        require_description: asked.require_description,
        require_reason: asked.require_reason,
        owner_kinds,
        allowed_scopes,
        unused_alert_after,
        stale_after,
        revoke_unused_after,
        revoke_warning,
    })
}

const DAY: Duration = Duration::from_secs(24 * 3_600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Ten years.
const SPAN_MAX: Duration = Duration::from_secs(3_650 * 24 * 3_600);
