//! Reading what the mirror lacks of the audit log, the newest first, a page between two looks at the feed:
//! a million entries must not keep a gate from following.

use redis::{Cmd, Value};

use super::connect::{Cause, Connection, Fault};
use super::follow::Shared;
use super::names::Names;
use crate::domain::audit::chain::Sealed;
use crate::store::{StoreError, record};

impl Shared {
    /// Reads a page of what the mirror lacks; whether more is missing after it.
    ///
    /// # Errors
    /// If the store cannot be read, or the mirror not be written.
    pub(super) async fn fill_audit(&self, connection: &Connection) -> Result<bool, Fault> {
        let read = async |gap: String| self.audit_page(connection, &gap).await;
        match self.mirror.fill_audit(read).await {
            Ok(is_missing) => Ok(is_missing),
            Err(Trouble::Store(fault)) => Err(fault),
            Err(Trouble::Mirror(source)) => Err(self.mirror_fault(source)),
        }
    }

    /// The entries up to `gap`, the id of a stream, and what is missing before them.
    async fn audit_page(
        &self,
        connection: &Connection,
        gap: &str,
    ) -> Result<(Vec<Sealed>, Option<String>), Trouble> {
        let answer: Value = connection.ask(&ask(&self.names, gap)).await?;
        let damaged = || {
            self.link.blame(Cause::Damaged {
                what: "its audit log cannot be read".to_owned(),
            })
        };
        let (mut entries, first) = read(answer).ok_or_else(damaged)?;
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
        let is_last = entries.len() < PAGE;
        let gap = first.filter(|_| !is_last).map(|first| format!("({first}"));
        Ok((entries, gap))
    }
}

fn ask(names: &Names, gap: &str) -> Cmd {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(names.audit()).arg(gap).arg("-");
    command.arg("COUNT").arg(PAGE);
    command
}

/// The entries of an answer, and the id of the oldest.
fn read(answer: Value) -> Option<(Vec<Sealed>, Option<String>)> {
    let Value::Array(answer) = answer else {
        return None;
    };
    let mut entries = Vec::with_capacity(answer.len());
    let mut oldest = None;
    for entry in answer {
        let Value::Array(entry) = entry else {
            return None;
        };
        let [Value::BulkString(id), Value::Array(fields)] = <[Value; 2]>::try_from(entry).ok()?
        else {
            return None;
        };
        let Some(Value::BulkString(sealed)) = fields.into_iter().nth(1) else {
            return None;
        };
        oldest = Some(String::from_utf8(id).ok()?);
        entries.push(record::decode_sealed(&sealed).ok()?);
    }
    Some((entries, oldest))
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

/// How many entries are read at once: a few hundred kilobytes.
const PAGE: usize = 500;
