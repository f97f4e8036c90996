//! Automatic rotation on the wire, and the selectors that rules and policies share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Text;
use super::form;
use crate::domain;
use crate::domain::id::RotationRuleId;
use crate::domain::rotation::RotationRule;
use crate::domain::span::Span;

/// Some of the keys: exactly one of these. Where none is named at all, every key is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// One key, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::KeyRef>")]
    pub key_id: Option<String>,
    /// The keys of an owner, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::OwnerRef>")]
    pub owner: Option<String>,
    /// The keys that are given a product, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The keys with a label: `name`, or `name=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The keys of a class of risk: `high`, `standard` or `low`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Risk>")]
    pub risk: Option<String>,
}

impl Selector {
    /// A selector in its wire form; `None` for every key.
    #[must_use]
    pub fn of(selector: &domain::selector::Selector) -> Option<Self> {
        use domain::selector::Selector as Kind;
        let none = Self::default();
        Some(match selector {
            Kind::All => return None,
            Kind::Key(id) => Self {
                key_id: Some(id.to_string()),
                ..none
            },
            Kind::Owner(id) => Self {
                owner: Some(id.to_string()),
                ..none
            },
            Kind::Product(name) => Self {
                product: Some(name.clone()),
                ..none
            },
            Kind::Label { name, value } => Self {
                label: Some(match value {
                    Some(value) => format!("{name}={value}"),
                    None => name.clone(),
                }),
                ..none
            },
            Kind::Risk(risk) => Self {
                risk: Some(risk.as_str().to_owned()),
                ..none
            },
        })
    }
}

/// `POST /admin/keys/rotation/enable`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnableRotation {
    /// Days between rotations; default: by risk, high 30, standard 90, low 365.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::IntervalDays>")]
    pub interval_days: Option<u32>,
    /// Whether the version before stays until the next rotation; default: it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_previous: Option<bool>,
    /// How long the version before stays otherwise; default `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Length>")]
    pub grace: Option<String>,
    /// Which keys; default: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
}

/// `POST /admin/keys/rotation/disable`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableRotation {
    /// The rule of which keys; default: all rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
}

/// The rules of automatic rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotationRules {
    /// Each, the widest first.
    pub items: Vec<Rule>,
}

/// A rule of automatic rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Names it.
    pub id: Text<RotationRuleId>,
    /// Days between rotations.
    #[schemars(with = "form::IntervalDays")]
    pub interval_days: u32,
    /// Whether the version before stays until the next rotation.
    pub keep_previous: bool,
    /// How long the version before stays otherwise.
    #[schemars(with = "form::Length")]
    pub grace: String,
    /// Which keys; `null`: every one.
    pub selector: Option<Selector>,
    /// How many of the keys it rules are due; `null` if they could not be counted.
    pub due: Option<u64>,
}

impl Rule {
    /// A rule, and how many of its keys are due.
    #[must_use]
    pub fn new(rule: &RotationRule, due: Option<u64>) -> Self {
        Self {
            id: rule.id.into(),
            interval_days: rule.plan.interval_days,
            keep_previous: rule.plan.keep_previous,
            grace: Span(rule.plan.grace).to_string(),
            selector: Selector::of(&rule.selector),
            due,
        }
    }
}
