//! The forms that texts and numbers have on the wire, as the document of the admin API says them.
//!
//! The wire types hold such values as plain text, so that an older client bears what a newer gate says and
//! every fault can be told at once. What the text must look like is written here, once, and named by each
//! field with `#[schemars(with = "…")]`. None of these is ever a value.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::Text;
use crate::domain::audit::Action;
use crate::domain::id::{AuditId, KeyId, OwnerId, PolicyId, ProductId, RotationRuleId, TokenId};
use crate::domain::lifecycle::most;
use crate::domain::limit::{QUOTA_MAX, RATE_MAX};
use crate::domain::time::Timestamp;

/// Says of a type what form it has, written where it is used.
macro_rules! has_form {
    ($type:ty = $form:tt) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($form)
            }
        }
    };
}

macro_rules! forms {
    ($($(#[$doc:meta])* $name:ident = $form:tt;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        has_form!($name = $form);
    )*};
}

forms! {
    /// What people call a key, a token or a policy.
    Name = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": PRINTED};
    /// What people call an owner: no space around it.
    OwnerName = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": TRIMMED};
    /// What something is for.
    Description = {"type": "string", "maxLength": 1024, "pattern": PRINTED};
    /// Why something is done; one that says nothing is none.
    Reason = {"type": "string", "maxLength": 1024, "pattern": PRINTED};
    /// The name of a permission.
    ScopeName = {"type": "string", "pattern": SCOPE};
    /// The scopes of something.
    ScopeNames = {"type": "array", "maxItems": most::SCOPES, "items": {"type": "string", "pattern": SCOPE}};
    /// Products by their names.
    ProductNames = {"type": "array", "maxItems": most::PRODUCTS, "items": {"type": "string"}};
    /// What keys name a product by.
    ProductName = {"type": "string", "pattern": "^[a-z0-9_-]{1,64}$"};
    /// Routes by their ids.
    RouteNames = {"type": "array", "maxItems": most::ROUTES, "items": {"type": "string"}};
    /// Methods of HTTP.
    MethodNames = {"type": "array", "maxItems": most::METHODS, "items": {"enum": METHODS}};
    /// Paths, each with all below it.
    Paths = {"type": "array", "maxItems": most::PATHS, "items": {"type": "string", "maxLength": 1024, "pattern": "^/[!-~]*$"}};
    /// Addresses or networks.
    Networks = {"type": "array", "maxItems": most::NETWORKS, "items": {"type": "string"}};
    /// Labels by their names.
    Labels = {
        "type": "object", "maxProperties": most::LABELS,
        "propertyNames": {"minLength": 1, "maxLength": 64, "pattern": PRINTED},
        "additionalProperties": {"type": "string", "maxLength": 256, "pattern": PRINTED}
    };
    /// Any JSON object, of at most 4096 bytes.
    Metadata = {"type": "object"};
    /// So many per unit of time.
    Rate = {"type": "string", "pattern": "^0*([1-9][0-9]{0,8}|1000000000)/(second|minute|hour|day)$", "examples": ["10/second"]};
    /// The most at once.
    Burst = {"type": "integer", "minimum": 1, "maximum": RATE_MAX};
    /// Who counts a limit.
    Mode = {"type": "string", "enum": ["local", "shared", "strict"]};
    /// Whether a limit refuses.
    Enforce = {"type": "string", "enum": ["on", "shadow"]};
    /// The most of a key's requests in flight.
    Concurrency = {"type": "integer", "minimum": 1, "maximum": u32::MAX};
    /// How much a quota allows.
    Allowance = {"type": "integer", "minimum": 1, "maximum": QUOTA_MAX};
    /// A quota's period.
    Per = {"type": "string", "enum": ["day", "week", "month", "total"]};
    /// On which day a period begins.
    OnDay = {"type": "integer", "minimum": 1, "maximum": 31};
    /// A class of risk.
    Risk = {"type": "string", "enum": ["high", "standard", "low"]};
    /// What a token may do.
    Role = {"type": "string", "enum": ["viewer", "operator", "admin"]};
    /// A type of owner.
    OwnerType = {"type": "string", "enum": OWNER_TYPES};
    /// Types of owner.
    OwnerTypes = {"type": "array", "maxItems": most::OWNER_KINDS, "items": {"enum": OWNER_TYPES}};
    /// How a key stands.
    Status = {"type": "string", "enum": ["active", "suspended", "expired", "revoked"]};
    /// How a version of a key stands.
    VersionState = {"type": "string", "enum": ["pending", "current", "previous", "retired", "revoked"]};
    /// Where a thing is defined.
    Source = {"type": "string", "enum": ["api", "config"]};
    /// How a gate of the roster is heard.
    Presence = {"type": "string", "enum": ["live", "silent", "gone"]};
    /// A length of time.
    Length = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["24h"]};
    /// Days between rotations.
    IntervalDays = {"type": "integer", "minimum": 1, "maximum": 3650};
    /// An instant.
    Instant = {"type": "string", "format": "date-time"};
    /// A day in UTC, or an instant.
    Moment = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]};
    /// The width of a bucket of time.
    Step = {"type": "string", "enum": ["1m", "1h", "1d"]};
    /// What may be shown of a secret.
    Fingerprint = {"type": "string", "pattern": "^[0-9a-f]{12}$"};
    /// A method of HTTP, as it would be sent (RFC 9110 §5.6.2).
    AnyMethod = {"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"};
    /// A path, perhaps with a query.
    Target = {"type": "string", "pattern": "^/"};
    /// A key's id.
    KeyRef = {"type": "string", "pattern": KEY_ID};
    /// An owner's id.
    OwnerRef = {"type": "string", "pattern": OWNER_ID};
    /// A token's id.
    TokenRef = {"type": "string", "pattern": TOKEN_ID};
    /// A policy's id.
    PolicyRef = {"type": "string", "pattern": POLICY_ID};
    /// The number of a version.
    VersionNumber = {"type": "integer", "minimum": 1, "maximum": u16::MAX};
    /// A whole number, as a parameter of a list.
    PageLimit = {"type": "integer", "minimum": 1, "maximum": 1000};
    /// How many of the busiest.
    Top = {"type": "integer", "minimum": 1, "maximum": 100};
    /// That all gates are waited for.
    WaitAll = {"type": "string", "const": "all"};
    /// Entity tags, or `*` (RFC 9110 §13.1.1).
    EntityTags = {"type": "string", "pattern": "^(\\*|(W/)?\"[!#-~]*\"(, *(W/)?\"[!#-~]*\")*)$"};
    /// What names a call that may be repeated.
    IdempotencyKey = {"type": "string", "pattern": "^[!-~]{1,255}$"};
    /// How keys are sorted.
    KeyOrder = {"type": "string", "enum": ["name", "-name", "created_at", "-created_at", "last_used_at", "-last_used_at"]};
    /// What is told apart of counts: some of `version`, `status` and `route`.
    Apart = {"type": "string", "pattern": "^(version|status|route)(,(version|status|route))*$"};
    /// A status of HTTP, or a class of them.
    StatusOrClass = {"type": "string", "pattern": "^([1-5][0-9][0-9]|[1-5]xx)$"};
    /// A method that a route may have.
    MethodName = {"type": "string", "enum": METHODS};
    /// The name of a gate or a route.
    ShortName = {"type": "string", "minLength": 1, "maxLength": 255};
    /// One second.
    Second = {"type": "string", "const": "1s"};
    /// The form of an export.
    ExportForm = {"type": "string", "enum": ["json", "ndjson", "csv"]};
    /// A type of audit entry.
    EntryType = {"type": "string", "enum": Action::words().chain(["request"]).collect::<Vec<_>>()};
    /// The outcome of what was tried.
    Outcome = {"type": "string", "enum": ["done", "refused"]};
    /// Yes or no, as a parameter.
    Flag = {"type": "string", "enum": ["true", "false"]};
}

macro_rules! texts {
    ($($type:ty = $form:tt;)*) => {$(
        has_form!(Text<$type> = $form);
    )*};
}

texts! {
    Timestamp = {"type": "string", "format": "date-time"};
    KeyId = {"type": "string", "pattern": KEY_ID};
    OwnerId = {"type": "string", "pattern": OWNER_ID};
    TokenId = {"type": "string", "pattern": TOKEN_ID};
    ProductId = {"type": "string", "pattern": PRODUCT_ID};
    PolicyId = {"type": "string", "pattern": POLICY_ID};
    RotationRuleId = {"type": "string", "pattern": ROTATION_RULE_ID};
    AuditId = {"type": "string", "pattern": AUDIT_ID};
}

/// Nothing that hides or breaks lines.
const PRINTED: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// The same, with no space around it.
const TRIMMED: &str = r"^[^\s\u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f])?$";
/// Ids, by what they are of.
const KEY_ID: &str = "^key_[0-9A-Za-z]{10}$";
const OWNER_ID: &str = "^usr_[0-9A-Za-z]{10}$";
const TOKEN_ID: &str = "^tok_[0-9A-Za-z]{10}$";
const PRODUCT_ID: &str = "^prd_[0-9A-Za-z]{10}$";
const POLICY_ID: &str = "^pol_[0-9A-Za-z]{10}$";
const ROTATION_RULE_ID: &str = "^rot_[0-9A-Za-z]{10}$";
pub(super) const AUDIT_ID: &str = "^aud_[0-9A-Za-z]{10}$";
const SCOPE: &str = "^[a-zA-Z0-9._:/-]{1,64}$";
/// The methods that a route may have.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
const OWNER_TYPES: [&str; 3] = ["user", "team", "system"];
