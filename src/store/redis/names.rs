//! Every key that Portcullis has in Redis, and which slot it lies in.
//!
//! What changes together carries the hash tag `{prefix}` and so lies in one slot, where one script can
//! change it whole. What is hot, the counts, is spread over 256 shards that are tags of their own.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::domain::change::Revision;
use crate::domain::id::KeyId;
use crate::domain::lease::LimitHolder;

/// The names below one prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

/// One of the 4,096 hashes that keys lie in: one of a million fields could neither be read at once nor
/// move to another node without stopping both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Bucket(u16);

/// One of the 256 shards that counts lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shard(u8);

/// A hash of records that are few: id → record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Table {
    /// Owners.
    Owners,
    /// Admin tokens.
    Tokens,
    /// Checkpoints of the audit chain.
    Checkpoints,
    /// Products.
    Products,
    /// Policies.
    Policies,
    /// Rules of automatic rotation.
    Rotation,
}

impl Bucket {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..BUCKETS).map(Self)
    }

    /// Where a key lies: the first 12 bits of the SHA-256 of its id.
    pub(super) fn of(id: KeyId) -> Self {
        let [high, low] = leading_bytes(id);
        Self(u16::from(high) << 4 | u16::from(low) >> 4)
    }
}

impl Shard {
    /// Where the counts of a key lie: the first 8 bits of the SHA-256 of its id.
    pub(super) fn of(id: KeyId) -> Self {
        let [high, _] = leading_bytes(id);
        Self(high)
    }
}

impl Table {
    const fn word(self) -> &'static str {
        match self {
            Self::Owners => "owners",
            Self::Tokens => "tokens",
            Self::Checkpoints => "checkpoints",
            Self::Products => "products",
            Self::Policies => "policies",
            Self::Rotation => "rotation",
        }
    }
}

impl Names {
    /// The names that begin with `prefix`.
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// Where the store stands: format, incarnation, revision, id of the last change.
    pub(super) fn meta(&self) -> String {
        self.control("meta")
    }

    /// The changes, one stream entry a revision.
    pub(super) fn feed(&self) -> String {
        self.control("feed")
    }

    /// The audit log.
    pub(super) fn audit(&self) -> String {
        self.control("audit")
    }

    /// The personal values of the audit log, by the numbers of its entries: apart, so that they can go.
    pub(super) fn veils(&self) -> String {
        self.control("veils")
    }

    /// The outbox.
    pub(super) fn events(&self) -> String {
        self.control("events")
    }

    /// The gates.
    pub(super) fn nodes(&self) -> String {
        self.control("nodes")
    }

    /// Who has applied a change that someone waits for.
    pub(super) fn acks(&self, revision: Revision) -> String {
        self.control(&format!("ack:{revision}"))
    }

    /// Who does a job.
    pub(super) fn job(&self, job: &str) -> String {
        self.control(&format!("job:{job}"))
    }

    /// One of the hashes that keys lie in.
    pub(super) fn bucket(&self, bucket: Bucket) -> String {
        self.control(&format!("k:{:03x}", bucket.0))
    }

    /// A hash of records that are few.
    pub(super) fn table(&self, table: Table) -> String {
        self.control(&format!("t:{}", table.word()))
    }

    /// What a call under this idempotency digest made.
    pub(super) fn receipt(&self, digest: &[u8; 32]) -> String {
        self.control(&format!("idem:{}", hex(digest)))
    }

    /// Up to which batch each node has been counted in this shard.
    pub(super) fn usage_marker(&self, shard: Shard) -> String {
        format!("{}:u:{{{:03x}}}:w", self.prefix, shard.0)
    }

    /// When each version of a key was last used.
    pub(super) fn last_used(&self, key: KeyId) -> String {
        self.counts(key, "l")
    }

    /// A key's counts by hour, of one month.
    pub(super) fn hours(&self, key: KeyId, year: i16, month: i8) -> String {
        self.counts(key, &format!("h:{year:04}{month:02}"))
    }

    /// A key's counts by day, of one year.
    pub(super) fn days(&self, key: KeyId, year: i16) -> String {
        self.counts(key, &format!("d:{year:04}"))
    }

    /// What was given out of a key's quota, in the period that began on a day.
    pub(super) fn quota(&self, key: KeyId, quota: &str, first_day: u32) -> String {
        format!("{}:q:{{{}}}:{quota}:{first_day}", self.prefix, key.chars())
    }

    /// The bucket of a limit that gates share.
    pub(super) fn lease(&self, holder: &LimitHolder, limit: &str) -> String {
        format!("{}:l:{{{holder}}}:{limit}", self.prefix)
    }

    fn control(&self, what: &str) -> String {
        format!("{{{}}}:{what}", self.prefix)
    }

    fn counts(&self, key: KeyId, what: &str) -> String {
        let shard = Shard::of(key).0;
        format!("{}:u:{{{shard:03x}}}:{}:{what}", self.prefix, key.chars())
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Invariant: writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The sixteen bytes that 32 hexadecimal digits stand for.
pub(super) fn unhex(text: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(text).ok().filter(|t| t.len() == 32)?;
    let well_formed = text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok()?;
    well_formed.then(|| number.to_be_bytes())
}

fn leading_bytes(id: KeyId) -> [u8; 2] {
    let digest: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    let [high, low, ..] = digest;
    [high, low]
}

const BUCKETS: u16 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(chars: &str) -> KeyId {
        KeyId::from_chars(chars.as_bytes()).unwrap()
    }

    #[test]
    fn what_changes_together_carries_one_hash_tag() {
        let names = Names::new("pc");
        assert_eq!(names.meta(), "{pc}:meta");
        assert_eq!(names.feed(), "{pc}:feed");
        assert_eq!(names.audit(), "{pc}:audit");
        assert_eq!(names.nodes(), "{pc}:nodes");
        assert_eq!(names.acks(Revision(7)), "{pc}:ack:7");
        assert_eq!(names.table(Table::Owners), "{pc}:t:owners");
        assert_eq!(
            names.receipt(&[0xab; 32]),
            format!("{{pc}}:idem:{}", "ab".repeat(32))
        );
    }

    #[test]
    fn a_keys_bucket_and_shard_are_the_first_bits_of_its_ids_hash() {
        // sha256("3fXk29QmZa") = 2f9a…; both must stay for ever, since what is stored is found by them.
        let digest: [u8; 32] = Sha256::digest(b"3fXk29QmZa").into();
        let text = hex(&digest);
        let names = Names::new("pc");
        let id = key("3fXk29QmZa");
        assert_eq!(
            names.bucket(Bucket::of(id)),
            format!("{{pc}}:k:{}", &text[..3])
        );
        assert_eq!(
            names.hours(id, 2026, 1),
            format!("pc:u:{{0{}}}:3fXk29QmZa:h:202601", &text[..2])
        );
        assert_eq!(
            names.usage_marker(Shard::of(id)),
            format!("pc:u:{{0{}}}:w", &text[..2])
        );
    }

    #[test]
    fn there_are_4096_buckets() {
        let names = Names::new("pc");
        let all: Vec<_> = Bucket::all().map(|bucket| names.bucket(bucket)).collect();
        assert_eq!(all.len(), 4_096);
        assert_eq!(all.first().map(String::as_str), Some("{pc}:k:000"));
        assert_eq!(all.last().map(String::as_str), Some("{pc}:k:fff"));
    }

    #[test]
    fn hexadecimal_reads_back_and_nothing_else_is_taken_for_it() {
        assert_eq!(unhex(hex(&[7; 16]).as_bytes()), Some([7; 16]));
        assert_eq!(unhex(b"07"), None);
        assert_eq!(unhex(&[b'+'; 32]), None);
        assert_eq!(unhex(&[b'g'; 32]), None);
    }
}
