//! Names of things: prefixed in text, ten base62 characters inside, and not interchangeable.

use std::fmt;
use std::str::FromStr;

/// How many base62 characters an id has (59 bits).
pub const ID_LEN: usize = 10;

/// The digits of base62, in the order their values have (SPEC §2).
pub const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An id's text is not `<prefix>` and ten base62 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind")]
pub struct NotAnId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; ID_LEN]);

        impl $name {
            /// What stands before the ten characters in text.
            pub const PREFIX: &'static str = $prefix;

            /// Names a thing by random bytes; each is folded into one base62 character.
            #[must_use]
            pub fn from_random(random: [u8; ID_LEN]) -> Self {
                Self(random.map(base62_digit))
            }

            /// The ten characters, if that is what they are.
            ///
            /// # Errors
            /// [`NotAnId`] for any other length or alphabet.
            pub fn from_chars(chars: &[u8]) -> Result<Self, NotAnId> {
                let id: [u8; ID_LEN] = chars.try_into().map_err(|_| NotAnId)?;
                if id.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(id)) } else { Err(NotAnId) }
            }

            /// The ten characters without their prefix.
            #[must_use]
            pub fn chars(&self) -> &str {
                // Invariant: both constructors admit ASCII letters and digits only.
                std::str::from_utf8(&self.0).unwrap_or_default()
            }

            /// The ten characters as stored.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; ID_LEN] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(self.chars())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                Self::from_chars(text.strip_prefix($prefix).ok_or(NotAnId)?.as_bytes())
            }
        }
    )*};
}

ids! {
    /// A key; the same for all its versions.
    KeyId = "key_";
    /// An owner of keys: a user, a team or a system.
    OwnerId = "usr_";
    /// A token of the admin API.
    TokenId = "tok_";
    /// A product that was made over the admin API.
    ProductId = "prd_";
    /// A policy.
    PolicyId = "pol_";
    /// A rule of automatic rotation.
    RotationRuleId = "rot_";
    /// An entry of the audit log.
    AuditId = "aud_";
    /// An event in the outbox.
    EventId = "evt_";
}

impl From<TokenId> for KeyId {
    /// The same ten characters: the secret of a token has the form of a key's.
    fn from(id: TokenId) -> Self {
        Self(id.0)
    }
}

/// Folds one random byte into a base62 character.
///
/// 256 is no multiple of 62, so eight of the characters come a little more often: an id names, it does
/// not protect. Secrets draw without that bias, see [`super::secret`].
fn base62_digit(random: u8) -> u8 {
    BASE62
        .get(usize::from(random % 62))
        .copied()
        .unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let id = KeyId::from_random([0, 61, 62, 255, 10, 36, 9, 35, 1, 2]);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn ids_of_another_kind_or_form_are_no_ids() {
        for text in [
            "",
            "key_",
            "key_123456789",
            "key_12345678901",
            "usr_1234567890",
            "key_12345678-0",
            "KEY_1234567890",
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(NotAnId), "{text}");
        }
    }
}
