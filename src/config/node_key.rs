//! The key by which a gate is known, where its environment gives it: the one thing that is read from there
//! without the file naming it, so that it need stand on no disk.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use zeroize::Zeroizing;

use crate::domain::audit::form::unhex;

use super::tree::At;
use super::walk::Walk;

/// The seed of an Ed25519 key (RFC 8032 §5.1.5).
#[derive(Clone, PartialEq, Eq)]
pub struct NodeSeed(Zeroizing<[u8; 32]>);

impl NodeSeed {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hex digits, or 32 bytes in base64.
    fn read(text: &str) -> Option<Self> {
        if text.len() == 64 {
            let text = Zeroizing::new(text.to_ascii_lowercase());
            return unhex(&text).map(Zeroizing::new).map(Self);
        }
        let decoded = match text.len() {
            43 => STANDARD_NO_PAD.decode(text),
            _ => STANDARD.decode(text),
        };
        let decoded = Zeroizing::new(decoded.ok()?);
        let seed = decoded.as_slice().try_into().ok()?;
        Some(Self(Zeroizing::new(seed)))
    }
}

impl std::fmt::Debug for NodeSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeSeed(…)")
    }
}

/// The seed in the environment; an empty variable is as good as none.
pub(super) fn read(env: &dyn Fn(&str) -> Option<String>, walk: &mut Walk) -> Option<NodeSeed> {
    let text = Zeroizing::new(env(VARIABLE)?);
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let seed = NodeSeed::read(text);
    if seed.is_none() {
        let message = format!(
            "{VARIABLE} in the environment is no node key: 64 hex digits are one, or 32 bytes in base64"
        );
        walk.fault("", At::START, message);
    }
    seed
}

const VARIABLE: &str = "PORTCULLIS_NODE_KEY";

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> (Option<NodeSeed>, bool) {
        let mut walk = Walk::default();
        let env = |name: &str| (name == VARIABLE).then(|| text.to_owned());
        let seed = read(&env, &mut walk);
        let faults = walk.finish("f", "").err();
        if let Some(faults) = &faults {
            let said = faults.to_string();
            assert!(said.contains(VARIABLE), "{said}");
            assert!(text.len() < 4 || !said.contains(text), "{said}");
        }
        (seed, faults.is_some())
    }

    #[test]
    fn a_node_key_is_hex_or_base64_and_nothing_else() {
        let bytes: [u8; 32] = std::array::from_fn(|at| at as u8 * 8 + 7);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = STANDARD.encode(bytes);
        for text in [
            hex.clone(),
            hex.to_uppercase(),
            base64.clone(),
            base64.trim_end_matches('=').to_owned(),
            format!(" {base64}\n"),
        ] {
            let (seed, is_fault) = given(&text);
            assert_eq!(seed.unwrap().bytes(), &bytes, "{text}");
            assert!(!is_fault);
        }
        assert_eq!(given(""), (None, false));
        assert_eq!(given(" \n"), (None, false));
        for text in [
            &hex[..62],
            &format!("{hex}00"),
            &hex.replace('f', "g"),
            &STANDARD.encode([1; 31]),
            &STANDARD.encode([1; 33]),
            &base64.replace('=', "!"),
            "secret",
            &"ä".repeat(32),
        ] {
            assert_eq!(given(text), (None, true), "{text}");
        }
    }

    #[test]
    fn a_node_key_does_not_show() {
        let (seed, _) = given(&"5a".repeat(32));
        assert_eq!(format!("{seed:?}"), "Some(NodeSeed(…))");
    }
}
