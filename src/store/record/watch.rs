//! Questions between gates and their answers, as they lie in a shared store for some seconds.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::form::{Bytes, DecodeError, decode, encode, known};
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::permission::Method;
use crate::domain::summary::{Counts, Rows, Summary, Whose};
use crate::domain::watch::{Batch, Question, QuestionId, StatusFilter, Telling, Told, Wanted};

/// Writes a question.
#[must_use]
pub fn encode_question(question: &Question) -> Vec<u8> {
    let Wanted {
        key,
        owner,
        status,
        route,
        method,
    } = &question.wanted;
    encode(&StoredQuestion {
        id: Bytes(question.id.0),
        from: &question.from,
        to: question.to.as_deref(),
        telling: telling_word(question.telling),
        key: key.map(|key| Bytes(*key.as_bytes())),
        owner: owner.map(|owner| Bytes(*owner.as_bytes())),
        status: status.map(|status| status.to_string()),
        route: route.as_deref(),
        method: method.map(Method::as_str),
    })
}

/// Reads a question.
///
/// # Errors
/// If the bytes are no question, or one that this binary does not understand: it would answer something else.
pub fn decode_question(bytes: &[u8]) -> Result<Question, DecodeError> {
    let stored: StoredQuestion<'_> = decode(bytes)?;
    let status = stored.status.as_deref().map(StatusFilter::from_word);
    let method = stored.method.map(Method::from_token);
    Ok(Question {
        id: QuestionId(stored.id.0),
        from: stored.from.into(),
        to: stored.to.map(Arc::from),
        telling: known("telling", telling_of(stored.telling))?,
        wanted: Wanted {
            key: read_key(stored.key)?,
            owner: read_owner(stored.owner)?,
            status: status.map(|it| known("status", it)).transpose()?,
            route: stored.route.map(Arc::from),
            method: method.map(|it| known("method", it)).transpose()?,
        },
    })
}

/// Writes an answer.
#[must_use]
pub fn encode_batch(batch: &Batch) -> Vec<u8> {
    let (lines, counts) = match &batch.told {
        Told::Requests(lines) => (Some(Cow::Borrowed(lines.as_slice())), None),
        Told::Counts(summary) => (None, Some(StoredSummary::of(summary))),
    };
    encode(&StoredBatch {
        node: &batch.node,
        boot: batch.boot,
        seen: batch.seen,
        lines,
        counts,
    })
}

/// Reads an answer.
///
/// # Errors
/// If the bytes are no answer, or one that this binary does not understand.
pub fn decode_batch(bytes: &[u8]) -> Result<Batch, DecodeError> {
    let stored: StoredBatch<'_> = decode(bytes)?;
    let told = match (stored.lines, stored.counts) {
        (Some(lines), None) => Told::Requests(lines.into_owned()),
        (None, Some(counts)) => Told::Counts(Box::new(counts.read()?)),
        _ => return Err(DecodeError::Value("told")),
    };
    Ok(Batch {
        node: stored.node.into(),
        boot: stored.boot,
        seen: stored.seen,
        told,
    })
}

// An older gate must not pass over a condition that it does not know: it would tell of requests that were not
// asked for. So fields that are unknown here are an error, unlike in what is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredQuestion<'a> {
    id: Bytes<16>,
    from: &'a str,
    telling: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    to: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Bytes<10>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Bytes<10>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    route: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    method: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct StoredBatch<'a> {
    node: &'a str,
    boot: u64,
    seen: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lines: Option<Cow<'a, [String]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts: Option<StoredSummary>,
}

#[derive(Serialize, Deserialize)]
struct StoredSummary {
    span_us: u64,
    total: StoredCounts,
    keys: Vec<(StoredWhose<(Bytes<10>, Bytes<10>)>, StoredCounts)>,
    owners: Vec<(StoredWhose<Bytes<10>>, StoredCounts)>,
    routes: Vec<(StoredWhose<String>, StoredCounts)>,
}

/// One, nobody, or all others.
#[derive(Serialize, Deserialize)]
enum StoredWhose<T> {
    One(T),
    Nobody,
    Others,
}

/// Requests, refused, errors, bytes in and out; how many in which bucket. Without names, because there may be a
/// thousand a second.
#[derive(Serialize, Deserialize)]
struct StoredCounts([u64; 5], Vec<(u16, u32)>);

impl<T> StoredWhose<T> {
    fn of<D>(whose: &Whose<D>, store: impl FnOnce(&D) -> T) -> Self {
        match whose {
            Whose::One(one) => Self::One(store(one)),
            Whose::Nobody => Self::Nobody,
            Whose::Others => Self::Others,
        }
    }

    fn read<D>(
        self,
        read: impl FnOnce(T) -> Result<D, DecodeError>,
    ) -> Result<Whose<D>, DecodeError> {
        Ok(match self {
            Self::One(one) => Whose::One(read(one)?),
            Self::Nobody => Whose::Nobody,
            Self::Others => Whose::Others,
        })
    }
}

impl StoredCounts {
    fn of(counts: &Counts) -> Self {
        let Counts {
            requests,
            refused,
            errors,
            bytes_in,
            bytes_out,
            latency,
        } = counts;
        let buckets = latency
            .iter()
            .map(|(bucket, count)| (u16::try_from(bucket).unwrap_or(u16::MAX), count));
        Self(
            [*requests, *refused, *errors, *bytes_in, *bytes_out],
            buckets.collect(),
        )
    }

    fn read(self) -> Counts {
        let [requests, refused, errors, bytes_in, bytes_out] = self.0;
        let mut counts = Counts {
            requests,
            refused,
            errors,
            bytes_in,
            bytes_out,
            ..Counts::default()
        };
        for (bucket, count) in self.1 {
            counts.latency.add(usize::from(bucket), count);
        }
        counts
    }
}

impl StoredSummary {
    fn of(summary: &Summary) -> Self {
        Self {
            span_us: u64::try_from(summary.span.as_micros()).unwrap_or(u64::MAX),
            total: StoredCounts::of(&summary.total),
            keys: stored(&summary.keys, |(key, owner)| {
                (Bytes(*key.as_bytes()), Bytes(*owner.as_bytes()))
            }),
            owners: stored(&summary.owners, |owner| Bytes(*owner.as_bytes())),
            routes: stored(&summary.routes, |route| route.to_string()),
        }
    }

    fn read(self) -> Result<Summary, DecodeError> {
        Ok(Summary {
            span: Duration::from_micros(self.span_us),
            total: self.total.read(),
            keys: rows(self.keys, |(key, owner)| {
                Ok((key_of(key)?, owner_of(owner)?))
            })?,
            owners: rows(self.owners, owner_of)?,
            routes: rows(self.routes, |route| Ok(route.into()))?,
        })
    }
}

type StoredRows<T> = Vec<(StoredWhose<T>, StoredCounts)>;

fn stored<D, T>(rows: &Rows<D>, store: impl Fn(&D) -> T) -> StoredRows<T> {
    let row = |(whose, counts): &(Whose<D>, Counts)| {
        (StoredWhose::of(whose, &store), StoredCounts::of(counts))
    };
    rows.iter().map(row).collect()
}

fn rows<T, D>(
    stored: StoredRows<T>,
    read: impl Fn(T) -> Result<D, DecodeError>,
) -> Result<Rows<D>, DecodeError> {
    let row =
        |(whose, counts): (StoredWhose<T>, StoredCounts)| Ok((whose.read(&read)?, counts.read()));
    stored.into_iter().map(row).collect()
}

fn key_of(bytes: Bytes<10>) -> Result<KeyId, DecodeError> {
    known("key", KeyId::from_chars(&bytes.0).ok())
}

fn owner_of(bytes: Bytes<10>) -> Result<OwnerId, DecodeError> {
    known("owner", OwnerId::from_chars(&bytes.0).ok())
}

fn read_key(bytes: Option<Bytes<10>>) -> Result<Option<KeyId>, DecodeError> {
    bytes.map(key_of).transpose()
}

fn read_owner(bytes: Option<Bytes<10>>) -> Result<Option<OwnerId>, DecodeError> {
    bytes.map(owner_of).transpose()
}

const fn telling_word(telling: Telling) -> &'static str {
    match telling {
        Telling::Requests => "requests",
        Telling::Counts => "counts",
    }
}

fn telling_of(word: &str) -> Option<Telling> {
    let all = [Telling::Requests, Telling::Counts];
    all.into_iter()
        .find(|telling| telling_word(*telling) == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::summary::Passed;

    fn question() -> Question {
        Question {
            id: QuestionId([7; 16]),
            from: "gate-1".into(),
            to: Some("gate-2".into()),
            telling: Telling::Counts,
            wanted: Wanted {
                key: Some(KeyId::from_random([1; 10])),
                owner: Some(OwnerId::from_random([2; 10])),
                status: StatusFilter::from_word("4xx"),
                route: Some("orders".into()),
                method: Some(Method::Get),
            },
        }
    }

    #[test]
    fn a_question_reads_back() {
        let asked = question();
        assert_eq!(decode_question(&encode_question(&asked)).unwrap(), asked);
        let least = Question {
            to: None,
            telling: Telling::Requests,
            wanted: Wanted::default(),
            ..asked
        };
        assert_eq!(decode_question(&encode_question(&least)).unwrap(), least);
    }

    /// Else a gate would tell of more than was asked for, to someone who may not know it.
    #[test]
    fn a_condition_of_a_newer_gate_is_not_passed_over() {
        #[derive(Serialize)]
        struct Newer<'a> {
            id: Bytes<16>,
            from: &'a str,
            telling: &'a str,
            weather: &'a str,
        }
        let newer = encode(&Newer {
            id: Bytes([7; 16]),
            from: "gate-1",
            telling: "counts",
            weather: "rain",
        });
        assert!(matches!(decode_question(&newer), Err(DecodeError::Form(_))));
    }

    #[test]
    fn an_answer_reads_back_whatever_it_tells() {
        let mut counts = Counts::default();
        counts.count(&Passed {
            status: 503,
            took: Duration::from_millis(7),
            bytes_out: 9,
            ..Passed::default()
        });
        let (key, owner) = (KeyId::from_random([1; 10]), OwnerId::from_random([2; 10]));
        let summary = Summary {
            span: Duration::from_micros(1_000_123),
            total: counts.clone(),
            keys: vec![
                (Whose::One((key, owner)), counts.clone()),
                (Whose::Others, counts.clone()),
            ],
            owners: vec![(Whose::One(owner), counts.clone())],
            routes: vec![
                (Whose::One("orders".into()), counts.clone()),
                (Whose::Nobody, counts),
            ],
        };
        for told in [
            Told::Requests(vec![]),
            Told::Requests(vec!["{}".into(), "x".into()]),
            Told::Counts(Box::new(summary)),
        ] {
            let batch = Batch {
                node: "gate-2".into(),
                boot: u64::MAX,
                seen: 12,
                told,
            };
            let bytes = encode_batch(&batch);
            assert_eq!(decode_batch(&bytes).unwrap(), batch);
            assert!(decode_batch(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}
