//! The secret of a key: its text, its checksum, its hash, and what of it may be shown.
//!
//! `<prefix>_<env>_<id>_<random><crc>`: the id names the key, thirty base62 characters (≥ 178 bits) make
//! it unguessable, and the checksum lets a mistyped or cut credential be refused without a look-up.
//!
//! **Why a plain hash.** A password needs a slow hash because it can be guessed. 178 random bits cannot,
//! at any speed, so SHA-256 protects them as well as argon2 would, and a request pays 60 ns for it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::id::{BASE62, ID_LEN, KeyId};

/// How many random characters a secret has.
const RANDOM_LEN: usize = 30;
/// How many characters its checksum has: 62^6 > 2^32.
const CRC_LEN: usize = 6;
/// The longest credential that is looked at; anything longer is no key.
pub const CREDENTIAL_MAX: usize = 512;

/// The text of a secret. Shown once; wiped when dropped; never printed by `Debug`.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text for a secret, as when one is imported.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Makes the secret of a key. `draw` fills its argument from the system's generator.
    ///
    /// # Errors
    /// What `draw` returns.
    pub fn generate<E>(
        prefix: &str,
        env: &str,
        id: KeyId,
        mut draw: impl FnMut(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut text = Zeroizing::new(String::with_capacity(
            prefix.len() + env.len() + ID_LEN + RANDOM_LEN + CRC_LEN + 3,
        ));
        for part in [prefix, "_", env, "_", id.chars(), "_"] {
            text.push_str(part);
        }
        let mut missing = RANDOM_LEN;
        while missing > 0 {
            let mut random = Zeroizing::new([0_u8; RANDOM_LEN * 2]);
            draw(random.as_mut_slice())?;
            // 248 = 4 × 62: dropping the rest leaves every character equally likely.
            for digit in random.iter().filter(|byte| **byte < 248).take(missing) {
                text.push(char::from(
                    BASE62.get(usize::from(digit % 62)).copied().unwrap_or(b'0'),
                ));
                missing -= 1;
            }
        }
        let crc = base62_crc(text.as_bytes());
        text.extend(crc.iter().map(|digit| char::from(*digit)));
        Ok(Self(text))
    }

    /// The text itself, for the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What of it may be shown and logged.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether a credential can be one of ours, decided from its text alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Our form, and the checksum is right.
    Ours,
    /// Our form, but the checksum is wrong: refused without a look-up.
    Mistyped,
    /// Some other form: an imported secret, or none at all.
    Foreign,
}

/// Looks at the text of a credential.
#[must_use]
pub fn form(prefix: &str, credential: &[u8]) -> Form {
    match split(prefix, credential) {
        None => Form::Foreign,
        Some((body, crc)) if base62_crc(body) == crc => Form::Ours,
        Some(_) => Form::Mistyped,
    }
}

/// What precedes the checksum, and the checksum, of a text of our form.
fn split<'a>(prefix: &str, credential: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let rest = credential
        .strip_prefix(prefix.as_bytes())?
        .strip_prefix(b"_")?;
    let tail_at = rest.len().checked_sub(ID_LEN + RANDOM_LEN + CRC_LEN + 2)?;
    let (env, tail) = rest.split_at_checked(tail_at)?;
    let (id, random) = tail.strip_prefix(b"_")?.split_at_checked(ID_LEN)?;
    let random = random.strip_prefix(b"_")?;
    let named = is_env(env) && id.iter().chain(random).all(u8::is_ascii_alphanumeric);
    named
        .then(|| credential.split_at_checked(credential.len() - CRC_LEN))
        .flatten()
}

/// Whether a text may be the environment in a secret: `[a-z0-9]{1,12}`.
#[must_use]
pub fn is_env(env: &[u8]) -> bool {
    (1..=12).contains(&env.len())
        && env
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// CRC-32 (IEEE) in base62, high digit first, padded with `0`.
fn base62_crc(bytes: &[u8]) -> [u8; CRC_LEN] {
    let mut rest = crc32fast::hash(bytes);
    let mut digits = [b'0'; CRC_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

/// The first six bytes of SHA-256 of a secret: names it everywhere, reveals nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 6]);

impl Fingerprint {
    /// The fingerprint of a secret's text, whatever scheme its hash has.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self::of_sha256(&Sha256::digest(secret).into())
    }

    /// The fingerprint of a secret of which only SHA-256 is known.
    #[must_use]
    pub fn of_sha256(digest: &[u8; 32]) -> Self {
        let mut first = [0; 6];
        first.copy_from_slice(digest.first_chunk::<6>().unwrap_or(&[0; 6]));
        Self(first)
    }

    /// The six bytes as stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// Six stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is kept of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash {
    /// Which pepper went in; 0 for none (plain SHA-256).
    pub pepper: u8,
    /// The digest.
    pub digest: [u8; 32],
}

impl KeyHash {
    /// Compares in a time that does not depend on where two hashes differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.pepper == other.pepper && bool::from(self.digest.ct_eq(&other.digest))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// A secret of the gate mixed into every hash, so that a stolen store alone tests no guesses.
#[derive(Clone)]
pub struct Pepper {
    /// Stored with each hash it made; 1 to 255.
    pub id: u8,
    /// At least 32 bytes.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper({})", self.id)
    }
}

/// Turns secrets into hashes: the newest scheme for new ones, and the one before it while it is replaced.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    current: Option<Pepper>,
    previous: Option<Scheme>,
}

/// How a hash is made.
#[derive(Debug, Clone)]
pub enum Scheme {
    /// SHA-256.
    Plain,
    /// HMAC-SHA-256 with a pepper.
    Peppered(Pepper),
}

impl Hasher {
    /// Hashes with `current`, and with `previous` too when looking up.
    #[must_use]
    pub fn new(current: Option<Pepper>, previous: Option<Scheme>) -> Self {
        Self { current, previous }
    }

    /// The hash that a new secret is stored by.
    #[must_use]
    pub fn hash(&self, secret: &[u8]) -> KeyHash {
        match &self.current {
            None => plain(secret),
            Some(pepper) => peppered(pepper, secret),
        }
    }

    /// Whether a secret is found by its plain SHA-256, as hashes from elsewhere are made.
    #[must_use]
    pub const fn finds_plain(&self) -> bool {
        self.current.is_none() || matches!(self.previous, Some(Scheme::Plain))
    }

    /// The other hash a secret may have been stored by, while two schemes are live.
    #[must_use]
    pub fn other_hash(&self, secret: &[u8]) -> Option<KeyHash> {
        match self.previous.as_ref()? {
            Scheme::Plain => Some(plain(secret)),
            Scheme::Peppered(pepper) => Some(peppered(pepper, secret)),
        }
    }
}

fn plain(secret: &[u8]) -> KeyHash {
    KeyHash {
        pepper: 0,
        digest: Sha256::digest(secret).into(),
    }
}

fn peppered(pepper: &Pepper, secret: &[u8]) -> KeyHash {
    // HMAC takes a key of any length (RFC 2104 §2), so the error cannot happen; an empty digest matches nothing.
    let digest = Hmac::<Sha256>::new_from_slice(&pepper.key).map_or([0; 32], |mut mac| {
        mac.update(secret);
        mac.finalize().into_bytes().into()
    });
    KeyHash {
        pepper: pepper.id,
        digest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate(seed: u8) -> Secret {
        let mut next = seed;
        let made = Secret::generate("pk", "live", KeyId::from_random([7; 10]), |bytes| {
            for byte in bytes {
                next = next.wrapping_mul(31).wrapping_add(17);
                *byte = next;
            }
            Ok::<(), std::convert::Infallible>(())
        });
        match made {
            Ok(secret) => secret,
            Err(never) => match never {},
        }
    }

    #[test]
    fn a_secret_has_the_documented_form() {
        let secret = generate(1);
        let parts: Vec<&str> = secret.reveal().split('_').collect();
        assert_eq!(
            parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
            [2, 4, 10, 36]
        );
        assert_eq!(form("pk", secret.reveal().as_bytes()), Form::Ours);
    }

    #[test]
    fn any_single_changed_character_is_noticed_without_a_look_up() {
        let secret = generate(2);
        for at in "pk_live_".len()..secret.reveal().len() {
            let mut text = secret.reveal().as_bytes().to_vec();
            if text[at] == b'_' {
                continue;
            }
            text[at] = if text[at] == b'a' { b'b' } else { b'a' };
            assert_eq!(form("pk", &text), Form::Mistyped, "position {at}");
        }
    }

    #[test]
    fn other_forms_are_looked_up_since_they_may_have_been_imported() {
        for text in [
            "",
            "pk",
            "pk_live",
            "sk_live_3fXk29QmZa_x",
            "0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(form("pk", text.as_bytes()), Form::Foreign, "{text}");
        }
    }

    #[test]
    fn the_checksum_is_the_ieee_one_in_base62() {
        // CRC-32 of "123456789" is 0xCBF43926 = 3421780262.
        assert_eq!(&base62_crc(b"123456789"), b"3jZRME");
        assert_eq!(base62_crc(b"").as_slice(), b"000000");
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = generate(3);
        assert!(!format!("{secret:?}").contains(secret.reveal()));
    }

    #[test]
    fn a_pepper_changes_the_hash_but_not_the_fingerprint() {
        let hasher = Hasher::new(
            Some(Pepper {
                id: 1,
                key: Zeroizing::new(vec![9; 32]),
            }),
            Some(Scheme::Plain),
        );
        let secret = generate(4);
        let (new, old) = (
            hasher.hash(secret.reveal().as_bytes()),
            hasher.other_hash(secret.reveal().as_bytes()),
        );
        assert_eq!(old, Some(plain(secret.reveal().as_bytes())));
        assert!(!new.matches(&plain(secret.reveal().as_bytes())));
        assert_eq!(
            secret.fingerprint(),
            Fingerprint::of_sha256(&plain(secret.reveal().as_bytes()).digest)
        );
    }
}
