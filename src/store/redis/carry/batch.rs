//! Many writes, sent together; each is answered for, and what was new is counted.

use redis::{Cmd, Pipeline, Value};

use super::super::connect::{Fault, Link};
use crate::store::StoreError;

/// Writes that wait to be sent.
pub(super) struct Batch<'a> {
    link: &'a Link,
    commands: Pipeline,
    /// Whether the answer to each counts what was new.
    counts: Vec<bool>,
    bytes: usize,
    /// How many fields and entries were new, of those that count.
    added: u64,
}

impl<'a> Batch<'a> {
    pub(super) fn new(link: &'a Link) -> Self {
        Self {
            link,
            commands: redis::pipe(),
            counts: Vec::new(),
            bytes: 0,
            added: 0,
        }
    }

    /// Has one field set that is not there yet.
    pub(super) async fn field(
        &mut self,
        hash: &str,
        field: &[u8],
        value: &[u8],
    ) -> Result<(), StoreError> {
        let mut set = redis::cmd("HSET");
        set.arg(hash).arg(field).arg(value);
        self.send(set, value.len() + 128, true).await
    }

    /// Has one entry added to a stream.
    pub(super) async fn entry(
        &mut self,
        stream: &str,
        id: &str,
        fields: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(), StoreError> {
        let mut add = redis::cmd("XADD");
        add.arg(stream).arg(id);
        let mut bytes = 128;
        for (name, value) in fields {
            add.arg(name).arg(value);
            bytes += name.len() + value.len();
        }
        self.send(add, bytes, true).await
    }

    /// Has something else done, of which nothing is counted.
    pub(super) async fn other(&mut self, command: Cmd) -> Result<(), StoreError> {
        self.send(command, 128, false).await
    }

    async fn send(&mut self, command: Cmd, bytes: usize, counts: bool) -> Result<(), StoreError> {
        self.commands.add_command(command);
        self.counts.push(counts);
        self.bytes += bytes;
        if self.counts.len() >= AT_ONCE || self.bytes >= BYTES_AT_ONCE {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends what waits; how many fields and entries were new in all.
    pub(super) async fn flush(&mut self) -> Result<u64, Fault> {
        if self.counts.is_empty() {
            return Ok(self.added);
        }
        let answers: Vec<Value> = self.link.ask_all(&self.commands).await?;
        for (answer, counts) in answers.iter().zip(&self.counts) {
            match answer {
                Value::Int(new) if *counts => self.added += u64::try_from(*new).unwrap_or(0),
                // The id of an entry.
                Value::BulkString(_) if *counts => self.added += 1,
                _ => {}
            }
        }
        self.commands = redis::pipe();
        self.counts.clear();
        self.bytes = 0;
        Ok(self.added)
    }
}

const AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 256 * 1_024;
