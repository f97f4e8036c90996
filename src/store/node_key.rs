//! The key by which a gate is known: made once, kept on its disk, and never anywhere else.

use std::fs;
use std::io;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::StoreError;
use super::local::{DataDir, LocalError};

/// An Ed25519 key (RFC 8032). What it signs, its public half proves.
pub struct NodeKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
    mirror: MirrorKey,
}

/// What the gate's mirror is authenticated with: made of the node key, which it does not tell.
#[derive(Clone)]
pub struct MirrorKey(Zeroizing<[u8; 32]>);

impl MirrorKey {
    pub(super) fn bytes(&self) -> &[u8] {
        &*self.0
    }
}

impl std::fmt::Debug for MirrorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MirrorKey(…)")
    }
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKey(…)")
    }
}

impl NodeKey {
    /// The key that a seed makes, where the gate was given one: it stands in the place of the one on its
    /// disk, which is neither read nor made.
    ///
    /// # Errors
    /// If it makes none.
    pub fn given(seed: &[u8; SEED_LEN]) -> Result<Self, LocalError> {
        let path = "PORTCULLIS_NODE_KEY".into();
        Self::of(seed).ok_or(LocalError::NotAKey { path })
    }

    /// One that nobody keeps.
    pub(super) fn for_once() -> Result<Self, StoreError> {
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        getrandom::fill(&mut *seed).map_err(StoreError::unavailable)?;
        Self::of(&*seed).ok_or_else(|| StoreError::unavailable("random bytes make no key"))
    }

    /// The key in `dir`, made if there is none.
    ///
    /// # Errors
    /// If it cannot be read or kept, or what is there is no key: a damaged one is not replaced in silence,
    /// since what it signed would then be nobody's.
    pub fn open(dir: &DataDir) -> Result<Self, LocalError> {
        let path = dir.path().join(FILE_NAME);
        let seed = match fs::read(&path) {
            Ok(seed) => Zeroizing::new(seed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut seed = Zeroizing::new(vec![0; SEED_LEN]);
                getrandom::fill(&mut seed).map_err(|error| LocalError::Disk {
                    path: path.clone(),
                    what: "made",
                    source: io::Error::other(error),
                })?;
                dir.keep(FILE_NAME, &seed)?;
                seed
            }
            Err(source) => {
                return Err(LocalError::Disk {
                    path,
                    what: "read",
                    source,
                });
            }
        };
        Self::of(&seed).ok_or(LocalError::NotAKey { path })
    }

    /// The key in a directory that a gate may be using, which is made there if there is none and no gate is.
    ///
    /// # Errors
    /// If it cannot be read or kept, or what is there is no key.
    pub fn beside(path: &std::path::Path) -> Result<Self, LocalError> {
        match DataDir::open(path) {
            Ok(dir) => Self::open(&dir),
            Err(LocalError::InUse { .. }) => {
                let path = path.join(FILE_NAME);
                let seed = fs::read(&path).map(Zeroizing::new);
                let seed = seed.map_err(super::local::disk(&path, "read"))?;
                Self::of(&seed).ok_or(LocalError::NotAKey { path })
            }
            Err(error) => Err(error),
        }
    }

    fn of(seed: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        let mut mirror = Hmac::<Sha256>::new_from_slice(seed).ok()?;
        mirror.update(b"portcullis mirror 1");
        let mirror = MirrorKey(Zeroizing::new(mirror.finalize().into_bytes().into()));
        Some(Self {
            pair,
            public,
            mirror,
        })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// What the mirror of this gate is authenticated with.
    #[must_use]
    pub const fn mirror_key(&self) -> &MirrorKey {
        &self.mirror
    }

    /// The signature of `text`.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> [u8; 64] {
        // Invariant: a signature of Ed25519 has 64 bytes.
        let signature = self.pair.sign(text);
        signature.as_ref().try_into().unwrap_or([0; 64])
    }

    /// A secret of this gate for one purpose: what it vouches for there proves nothing elsewhere.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        // Signatures of Ed25519 are the same every time (RFC 8032 §5.1.6), and nobody else makes them.
        let seed = Zeroizing::new(self.sign(purpose.as_bytes()));
        Zeroizing::new(Sha256::digest(*seed).into())
    }
}

const FILE_NAME: &str = "node.key";
const SEED_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::checkpoint::is_signed;

    #[test]
    fn the_key_is_the_same_at_every_start_and_signs() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        let made = NodeKey::open(&dir).unwrap();
        let again = NodeKey::open(&dir).unwrap();
        assert_eq!(made.public(), again.public());
        let signature = again.sign(b"text");
        assert!(is_signed(&made.public(), b"text", &signature));
        assert!(!is_signed(&made.public(), b"texts", &signature));
    }

    #[test]
    fn a_key_that_is_given_signs_and_leaves_the_disk_alone() {
        // RFC 8032 §7.1, test 1.
        let seed =
            *b"\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\
            \x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
        let key = NodeKey::given(&seed).unwrap();
        assert!(key.public().starts_with(&[0xd7, 0x5a, 0x98, 0x01]));
        assert!(is_signed(&key.public(), b"text", &key.sign(b"text")));
    }

    #[test]
    fn a_damaged_key_is_not_replaced_in_silence() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        fs::write(root.path().join(FILE_NAME), b"short").unwrap();
        let refused = NodeKey::open(&dir).unwrap_err();
        assert!(matches!(refused, LocalError::NotAKey { .. }));
        assert_eq!(fs::read(root.path().join(FILE_NAME)).unwrap(), b"short");
    }
}
