//! Reading what the mirror lacks of the audit log, the newest first, a page between two looks at the feed:
//! a million entries must not keep a gate from following. A change that comes waits for no more than a page, and
//! while pages are read most of the time is left to changes and to the rest of the machine.

use std::ops::RangeInclusive;
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::Instant;
use tracing::warn;

use super::connect::{Cause, Connection, Fault};
use super::follow::Shared;
use super::names::Names;
use crate::domain::audit::chain::Sealed;
use crate::store::record::DecodeError;
use crate::store::{StoreError, record};

impl Shared {
    /// Reads a page of what the mirror lacks; whether more is missing after it.
    ///
    /// # Errors
    /// If the store cannot be read, or the mirror not be written.
    pub(super) async fn fill_audit(
        &self,
        connection: &Connection,
        page: &mut Page,
    ) -> Result<bool, Fault> {
        let most = page.entries;
        let mut read_at = Instant::now();
        let read = async |gap: String| {
            let page = self.audit_page(connection, &gap, most).await;
            read_at = Instant::now();
            page
        };
        let filled = self.mirror.fill_audit(read).await;
        // How long the store is away says nothing of how much can be written here.
        page.took(read_at.elapsed());
        match filled {
            Ok(is_missing) => Ok(is_missing),
            Err(Trouble::Store(fault)) => Err(fault),
            Err(Trouble::Mirror(source)) => Err(self.mirror_fault(source)),
        }
    }

    /// At most `most` entries up to `gap`, the id of a stream, and what is missing before them.
    async fn audit_page(
        &self,
        connection: &Connection,
        gap: &str,
        most: usize,
    ) -> Result<(Vec<Sealed>, Option<String>), Trouble> {
        let answer: Value = connection.ask(&ask(&self.names, gap, most)).await?;
        let damaged = || {
            self.link.blame(Cause::Damaged {
                what: "its audit log cannot be read".to_owned(),
            })
        };
        let Part {
            mut entries,
            oldest,
            length,
        } = self.read(answer).ok_or_else(damaged)?;
        if !entries.is_empty() {
            let mut veils = redis::cmd("HMGET");
            veils.arg(self.names.veils());
            for entry in &entries {
                veils.arg(entry.seq);
            }
            let veils: Vec<Option<Vec<u8>>> = connection.ask(&veils).await?;
            for (entry, veil) in entries.iter_mut().zip(veils) {
                let veil = veil.filter(|veil| !veil.is_empty());
                entry.veil = veil.and_then(|veil| record::decode_veil(&veil).ok());
            }
        }
        let is_last = length < most;
        let gap = oldest.filter(|_| !is_last);
        Ok((entries, gap.map(|oldest| format!("({oldest}"))))
    }

    /// Reads an answer. An entry that is none is set aside: it must not keep a gate from following the
    /// store, and verifying tells that it is missing.
    fn read(&self, answer: Value) -> Option<Part> {
        let Value::Array(answer) = answer else {
            return None;
        };
        let length = answer.len();
        let (mut entries, mut oldest) = (Vec::with_capacity(length), None);
        for entry in answer {
            let Value::Array(entry) = entry else {
                return None;
            };
            let [Value::BulkString(id), fields] = <[Value; 2]>::try_from(entry).ok()? else {
                return None;
            };
            let id = String::from_utf8(id).ok()?;
            match sealed(fields) {
                Ok(sealed) => entries.push(sealed),
                Err(why) => {
                    let error = &why as &dyn std::error::Error;
                    warn!(store.key = %id, error, "an audit entry cannot be read and is set aside");
                    self.mirror.set_aside(1);
                }
            }
            oldest = Some(id);
        }
        Some(Part {
            entries,
            oldest,
            length,
        })
    }
}

/// How much is read at once, by how long the last page took.
pub(super) struct Page {
    entries: usize,
    rest: Duration,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            entries: 64,
            rest: *REST.start(),
        }
    }
}

impl Page {
    fn took(&mut self, time: Duration) {
        let entries = if time > HELD_MAX {
            self.entries / 2
        } else if time < HELD_MAX / 3 {
            self.entries * 2
        } else {
            self.entries
        };
        self.entries = entries.clamp(*ENTRIES.start(), *ENTRIES.end());
        self.rest = (time * 2).clamp(*REST.start(), *REST.end());
    }

    /// How long is to be waited for news before the next.
    pub(super) const fn rest(&self) -> Duration {
        self.rest
    }
}

/// A part of the stream, the newest first.
struct Part {
    entries: Vec<Sealed>,
    /// The id of the last of them.
    oldest: Option<String>,
    /// How many there were, with those that could not be read.
    length: usize,
}

fn ask(names: &Names, gap: &str, most: usize) -> Cmd {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(names.audit()).arg(gap).arg("-");
    command.arg("COUNT").arg(most);
    command
}

/// The entry that is the value of the only field.
fn sealed(fields: Value) -> Result<Sealed, DecodeError> {
    let Value::Array(fields) = fields else {
        return Err(DecodeError::Value("fields"));
    };
    match fields.into_iter().nth(1) {
        Some(Value::BulkString(sealed)) => record::decode_sealed(&sealed),
        _ => Err(DecodeError::Value("fields")),
    }
}

/// What went wrong, and on which side.
enum Trouble {
    Store(Fault),
    Mirror(StoreError),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Store(fault)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Mirror(error)
    }
}

/// How long changes may have to wait for a page.
const HELD_MAX: Duration = Duration::from_millis(10);
/// How many entries a page has, at least and at most.
const ENTRIES: RangeInclusive<usize> = 16..=512;
/// How long is waited for news after a page, at least and at most.
const REST: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_shrink_where_changes_would_wait_for_them_and_grow_where_they_would_not() {
        let mut page = Page::default();
        let mut after = |ms| {
            page.took(Duration::from_millis(ms));
            (page.entries, page.rest.as_millis())
        };
        assert_eq!(after(40), (32, 80));
        assert_eq!(after(11), (16, 22));
        assert_eq!(after(400), (16, 100));
        assert_eq!(after(6), (16, 12));
        assert_eq!(after(2), (32, 4));
        assert_eq!(after(0), (64, 1));
        for _ in 0..9 {
            after(0);
        }
        assert_eq!(after(0), (512, 1));
    }
}
