//! Requests that change some fields: what is left out stays, and that is not the same as `null`.

use serde::{Deserialize, Deserializer};

/// Declares the body of a `PATCH`: each field may be left out, which is `None`. What may be emptied has an
/// `Option` for its type, so that `null` is `Some(None)`; elsewhere `null` is refused.
macro_rules! patch {
    (
        $(#[$doc:meta])*
        $name:ident {$($(#[$field_doc:meta])* $field:ident: $type:ty,)*}
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {$(
            $(#[$field_doc])*
            #[serde(
                default,
                deserialize_with = "crate::api::patch::given",
                skip_serializing_if = "Option::is_none"
            )]
            pub $field: Option<$type>,
        )*}
    };
}

pub(in crate::api) use patch;

/// Reads a field that is there as a `T`, which may have a `null` of its own or not: so `null` is told from
/// left out, and refused where it means nothing.
pub(in crate::api) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
