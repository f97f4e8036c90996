//! Why a call was not done: the only place with the status codes of the admin API.
#![deny(clippy::wildcard_enum_match_arm)]

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::api;
use crate::control::ControlError;
use crate::domain::lifecycle::{FieldFault, LifecycleError};

macro_rules! codes {
    ($($(#[doc = $text:literal])* $name:ident = $code:literal $status:ident $title:literal;)*) => {
        /// The stable name of a problem. Clients depend on them: none is ever renamed or reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Code {
            $($(#[doc = $text])* $name,)*
        }

        impl Code {
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it means, for people.
            pub(crate) const fn text(self) -> &'static str {
                match self { $(Self::$name => concat!($($text),*),)* }
            }

            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The request cannot be understood.
    BadRequest = "bad_request" BAD_REQUEST "Bad request";
    /// A cursor that is none, or belongs to another query.
    BadCursor = "bad_cursor" BAD_REQUEST "Bad cursor";
    /// No token, or one that opens nothing.
    Unauthenticated = "unauthenticated" UNAUTHORIZED "Not authenticated";
    /// The token may not do this.
    Forbidden = "forbidden" FORBIDDEN "Forbidden";
    /// There is no such thing, or not for this token.
    NotFound = "not_found" NOT_FOUND "Not found";
    /// The path is known, but not with this method.
    MethodNotAllowed = "method_not_allowed" METHOD_NOT_ALLOWED "Method not allowed";
    /// The body did not arrive in time.
    RequestTimeout = "request_timeout" REQUEST_TIMEOUT "Request not received in time";
    /// It collides with what is there.
    Conflict = "conflict" CONFLICT "Conflict";
    /// A revoked key never changes again.
    KeyRevoked = "key_revoked" CONFLICT "Key revoked";
    /// An expired key is given new life by a rotation only.
    KeyExpired = "key_expired" CONFLICT "Key expired";
    /// Five versions of the key are live.
    TooManyVersions = "too_many_versions" CONFLICT "Too many live versions";
    /// The secret belongs to another key.
    DuplicateSecret = "duplicate_secret" CONFLICT "Secret already known";
    /// The key must be unprotected first.
    Protected = "protected" CONFLICT "Key protected";
    /// A disabled owner gets no new keys.
    OwnerDisabled = "owner_disabled" CONFLICT "Owner disabled";
    /// The key is no longer as `If-Match` has it.
    PreconditionFailed = "precondition_failed" PRECONDITION_FAILED "Precondition failed";
    /// The body is larger than the admin API takes.
    BodyTooLarge = "body_too_large" PAYLOAD_TOO_LARGE "Body too large";
    /// The body is no JSON by its own account.
    UnsupportedMediaType = "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "Unsupported media type";
    /// The host is none the admin API answers for.
    Misdirected = "misdirected" MISDIRECTED_REQUEST "Misdirected request";
    /// The request is understood, but cannot be done.
    Invalid = "invalid" UNPROCESSABLE_ENTITY "Invalid request";
    /// Too many wrong tokens, or too many listeners.
    TooManyRequests = "too_many_requests" TOO_MANY_REQUESTS "Too many requests";
    /// The store does not answer.
    StoreUnavailable = "store_unavailable" SERVICE_UNAVAILABLE "Store unavailable";
    /// A fault of ours.
    Internal = "internal" SERVICE_UNAVAILABLE "Internal fault";
    /// The store has no room left.
    StoreFull = "store_full" INSUFFICIENT_STORAGE "Store full";
}

/// Why a call was not done. [`shell`](super::shell) writes it out, since it knows the request id.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldFault>,
    retry_after: Option<Duration>,
    cause: Option<Arc<ControlError>>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            cause: None,
        }
    }

    /// Several things that are wrong at once; the first one is the detail.
    pub(crate) fn faults(code: Code, errors: Vec<FieldFault>) -> Self {
        let detail = match errors.as_slice() {
            [] => "the request cannot be done".to_owned(),
            [only] => placed(only),
            [first, rest @ ..] => format!("{} (and {} more)", placed(first), rest.len()),
        };
        Self {
            errors,
            ..Self::new(code, detail)
        }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "there is nothing here")
    }

    pub(crate) fn bad_cursor() -> Self {
        let detail = "the cursor is not one of this query; start again without it";
        Self::faults(
            Code::BadCursor,
            vec![FieldFault::new("cursor", "bad_cursor", detail)],
        )
    }

    pub(crate) fn too_many(retry_after: Duration, detail: &'static str) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(Code::TooManyRequests, detail)
        }
    }

    /// Nothing the caller did wrong. The log gets the cause.
    fn trouble(code: Code, detail: &'static str, cause: ControlError) -> Self {
        let retry = code == Code::StoreUnavailable;
        Self {
            retry_after: retry.then_some(Duration::from_secs(1)),
            cause: Some(Arc::new(cause)),
            ..Self::new(code, detail)
        }
    }

    /// Its code, its detail and its faults, for one line of several.
    pub(crate) fn into_parts(self) -> (&'static str, String, Vec<FieldFault>) {
        (self.code.as_str(), self.detail.into_owned(), self.errors)
    }

    /// The stable name.
    pub(crate) const fn code(&self) -> &'static str {
        self.code.as_str()
    }

    /// Whether it was said no, and not that something broke.
    pub(crate) fn is_refusal(&self) -> bool {
        self.code.status().is_client_error()
    }

    /// Writes the problem into the empty response it came as.
    pub(crate) fn write(self, response: &mut Response, request_id: &str) {
        if let Some(cause) = &self.cause {
            let cause: &(dyn std::error::Error + 'static) = &**cause;
            tracing::error!(request.id = request_id, error = cause, "admin call failed");
        }
        let errors = self.errors.into_iter().map(|fault| api::problem::Fault {
            pointer: fault.pointer,
            code: fault.code.to_owned(),
            detail: fault.detail,
        });
        let told = matches!(self.code.status().as_u16(), 400 | 422);
        let document = api::problem::Problem {
            kind: format!("{}{}", api::problem::TYPE_PREFIX, self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            code: self.code.as_str().to_owned(),
            detail: self.detail.into_owned(),
            request_id: request_id.to_owned(),
            errors: told.then(|| errors.collect()),
        };
        *response.body_mut() = Body::from(serde_json::to_vec(&document).unwrap_or_default());
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(api::problem::CONTENT_TYPE),
        );
        if self.code == Code::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            // Rounded up: a client that waits as long as it is told must not be told to wait again.
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            headers.insert(
                RETRY_AFTER,
                HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
            );
        }
    }
}

/// A fault and where it is; of the body as a whole there is no more to say.
fn placed(fault: &FieldFault) -> String {
    match fault.pointer.as_str() {
        "" => fault.detail.clone(),
        pointer => format!("{pointer}: {}", fault.detail),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NotFound => Self::not_found(),
            ControlError::Bound => Self::new(
                Code::Forbidden,
                "a token that is bound to one owner may not do this",
            ),
            ControlError::NotForHolder => Self::new(
                Code::Forbidden,
                "the holder of this version may not do this to the key",
            ),
            ControlError::Invalid(faults) => Self::faults(Code::Invalid, faults),
            ControlError::Lifecycle(LifecycleError::NoSuchVersion) => Self::not_found(),
            ControlError::Lifecycle(step) => Self::new(
                match step {
                    LifecycleError::Revoked => Code::KeyRevoked,
                    LifecycleError::Protected => Code::Protected,
                    LifecycleError::Expired => Code::KeyExpired,
                    LifecycleError::TooManyVersions => Code::TooManyVersions,
                    LifecycleError::PendingVersion
                    | LifecycleError::CurrentVersion
                    | LifecycleError::VersionRevoked => Code::Conflict,
                    LifecycleError::NoSuchVersion => Code::NotFound,
                },
                step.to_string(),
            ),
            ControlError::OwnerDisabled => Self::new(Code::OwnerDisabled, "the owner is disabled"),
            ControlError::OwnerLeaving => Self::new(
                Code::Conflict,
                "what this owner held is still being ended; try again in a moment",
            ),
            ControlError::NameTaken => {
                Self::new(Code::Conflict, "another owner of this type has this name")
            }
            ControlError::ProductTaken => Self::new(
                Code::Conflict,
                "there is a product of this name, here or in the configuration",
            ),
            ControlError::ProductInUse => Self::new(
                Code::Conflict,
                "keys that are not revoked name this product",
            ),
            ControlError::ReadOnly => Self::new(
                Code::Conflict,
                "the configuration defines this, and only the file changes it",
            ),
            ControlError::NodeLive => Self::new(
                Code::Conflict,
                "the gate is live; one is struck off when it will not come back",
            ),
            ControlError::TokenRevoked => {
                Self::new(Code::Conflict, "the token is revoked, which is final")
            }
            ControlError::NotAdmin => Self::new(Code::Forbidden, "this needs the role admin"),
            ControlError::OwnerHasKeys => Self::new(
                Code::Conflict,
                "the owner has keys that are not revoked; disable its keys first",
            ),
            ControlError::DuplicateSecret => {
                Self::new(Code::DuplicateSecret, "the secret belongs to another key")
            }
            ControlError::OtherRequest => Self::new(
                Code::Invalid,
                "this Idempotency-Key was used for another request",
            ),
            ControlError::Changed => {
                Self::new(Code::PreconditionFailed, "it has changed since it was read")
            }
            ControlError::Verifying => Self::too_many(
                VERIFY_AGAIN_AFTER,
                "the audit log is being verified for somebody; one walk at a time",
            ),
            ControlError::Contended { .. } => Self::trouble(
                Code::StoreUnavailable,
                "other gates are changing the store; try again",
                error,
            ),
            ControlError::Fenced(_) => Self::trouble(
                Code::StoreUnavailable,
                "another gate has taken this over; try again",
                error,
            ),
            ControlError::StoreAway(_) => Self::trouble(
                Code::StoreUnavailable,
                "the store does not answer; try again",
                error,
            ),
            ControlError::StoreEstranged(_) => Self::trouble(
                Code::StoreUnavailable,
                "what is where the store was is not this gate's store, or not one it can use; `alarms` in /admin/status says what to do",
                error,
            ),
            ControlError::StoreFull(_) => Self::trouble(
                Code::StoreFull,
                "the store has no room left; nothing was changed",
                error,
            ),
            ControlError::NotApplied { .. } => Self::trouble(
                Code::Internal,
                "the change is stored, but this gate does not act on it yet",
                error,
            ),
            ControlError::StoreBroken(_) | ControlError::Random(_) => Self::trouble(
                Code::Internal,
                "the gate could not do this; its log says why",
                error,
            ),
        }
    }
}

/// A walk over a million entries takes about as long.
const VERIFY_AGAIN_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// What the audit log says of a refused attempt is what the caller was told.
    #[test]
    fn a_refusal_has_one_code_for_the_caller_and_the_audit_log() {
        let steps = [
            LifecycleError::Revoked,
            LifecycleError::Protected,
            LifecycleError::Expired,
            LifecycleError::TooManyVersions,
            LifecycleError::PendingVersion,
            LifecycleError::CurrentVersion,
            LifecycleError::VersionRevoked,
            LifecycleError::NoSuchVersion,
        ];
        let others = [
            ControlError::NotFound,
            ControlError::Bound,
            ControlError::Invalid(Vec::new()),
            ControlError::OwnerDisabled,
            ControlError::OwnerLeaving,
            ControlError::NameTaken,
            ControlError::DuplicateSecret,
            ControlError::OtherRequest,
            ControlError::Changed,
        ];
        for error in steps.map(ControlError::Lifecycle).into_iter().chain(others) {
            let (said, told) = (format!("{error:?}"), error.refusal());
            assert_eq!(told, Some(Problem::from(error).code.as_str()), "{said}");
        }
        let ours = ControlError::Contended { attempts: 8 };
        assert_eq!(ours.refusal(), None);
    }
}
