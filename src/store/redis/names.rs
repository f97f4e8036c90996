//! Every key that Portcullis has in Redis, and which slot it lies in.
//!
//! What changes together carries the hash tag `{prefix}` and so lies in one slot, where one script can
//! change it whole. What is hot, the counts, is spread over 256 shards that are tags of their own.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::domain::change::Revision;
use crate::domain::id::KeyId;
use crate::domain::lease::LimitHolder;
use crate::domain::watch::QuestionId;

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

/// What lies apart from the control state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Counted {
    /// Up to where nodes were counted.
    Marks,
    /// When versions of a key were last used.
    Used(KeyId),
    /// A key's counts by hour.
    Hours(KeyId),
    /// A key's counts by day.
    Days(KeyId),
    /// What was given out of a quota.
    Quota {
        /// Whose.
        key: KeyId,
        /// Which.
        quota: String,
        /// The day its period began on.
        first_day: u32,
    },
    /// What a call made.
    Receipt,
}

impl Bucket {
    /// The first of them.
    pub(super) const fn first() -> Self {
        Self(0)
    }

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
    /// All there are.
    pub(super) const ALL: [Self; 6] = [
        Self::Owners,
        Self::Tokens,
        Self::Checkpoints,
        Self::Products,
        Self::Policies,
        Self::Rotation,
    ];

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

    /// What gates ask each other.
    pub(super) fn questions(&self) -> String {
        self.control("asked")
    }

    /// What was answered to a question.
    pub(super) fn answers(&self, question: QuestionId) -> String {
        self.control(&format!("told:{question}"))
    }

    /// Who does a job.
    pub(super) fn job(&self, job: &str) -> String {
        self.control(&format!("job:{job}"))
    }

    /// That a store is being carried here, and by whom.
    pub(super) fn carrying(&self) -> String {
        self.control("carrying")
    }

    /// The marks of all shards.
    pub(super) fn shards(&self) -> impl Iterator<Item = String> {
        (0..=u8::MAX).map(|shard| self.usage_marker(Shard(shard)))
    }

    /// What `SCAN` finds by: everything that lies apart from the control state and is kept, and receipts.
    pub(super) fn patterns(&self) -> [String; 3] {
        // A prefix has no letter that means more than itself.
        let prefix = &self.prefix;
        [
            format!("{prefix}:u:*"),
            format!("{prefix}:q:*"),
            format!("{{{prefix}}}:idem:*"),
        ]
    }

    /// What lies at a name that a pattern found.
    pub(super) fn read(&self, name: &str) -> Option<Counted> {
        let key = |text: &str| KeyId::from_chars(text.as_bytes()).ok();
        if let Some(hot) = name.strip_prefix(&format!("{}:u:", self.prefix)) {
            let (_shard, what) = hot.split_once(':')?;
            let Some((id, what)) = what.split_once(':') else {
                return (what == "w").then_some(Counted::Marks);
            };
            return match what.split_once(':').map_or(what, |(kind, _)| kind) {
                "l" => key(id).map(Counted::Used),
                "h" => key(id).map(Counted::Hours),
                "d" => key(id).map(Counted::Days),
                _ => None,
            };
        }
        if let Some(quota) = name.strip_prefix(&format!("{}:q:{{", self.prefix)) {
            let (id, rest) = quota.split_once("}:")?;
            let (quota, first_day) = rest.rsplit_once(':')?;
            return Some(Counted::Quota {
                key: key(id)?,
                quota: quota.to_owned(),
                first_day: first_day.parse().ok()?,
            });
        }
        let is_receipt = name.starts_with(&self.control("idem:"));
        is_receipt.then_some(Counted::Receipt)
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
    fn what_was_named_is_known_by_its_name() {
        let names = Names::new("pc");
        let id = key("3fXk29QmZa");
        for (name, counted) in [
            (names.last_used(id), Counted::Used(id)),
            (names.hours(id, 2026, 1), Counted::Hours(id)),
            (names.days(id, 2026), Counted::Days(id)),
            (names.usage_marker(Shard(0)), Counted::Marks),
            (names.receipt(&[1; 32]), Counted::Receipt),
            (
                names.quota(id, "product-a:b-1", 20_000),
                Counted::Quota {
                    key: id,
                    quota: "product-a:b-1".to_owned(),
                    first_day: 20_000,
                },
            ),
        ] {
            assert_eq!(names.read(&name), Some(counted), "{name}");
            let other = Names::new("p");
            assert_eq!(other.read(&name), None, "{name}");
        }
        assert_eq!(names.read("pc:l:{3fXk29QmZa}:key-1"), None);
        assert_eq!(names.read("{pc}:meta"), None);
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
