//! Walking the tree: every value is read, every fault is kept, and the walk goes on.

use std::ops::Range;

use super::fault::{Faults, Lines, quoted};
use super::nearest::did_you_mean;
use super::table::Kind;
use super::tree::{At, Node, Value};

/// What was found on the way.
#[derive(Debug, Default)]
pub(super) struct Walk {
    found: Vec<Found>,
    /// What is not wrong, but an operator should know.
    pub(super) warnings: Vec<String>,
    /// The bytes of the file that are secret.
    hidden: Vec<Range<usize>>,
}

#[derive(Debug)]
struct Found {
    path: String,
    at: At,
    message: String,
}

/// A value, with where it stood.
#[derive(Debug, Clone)]
pub(super) struct Read<T> {
    pub(super) value: T,
    pub(super) at: At,
    pub(super) path: String,
    /// How a message may call it: quoted, or not at all where it may be secret.
    pub(super) shown: String,
}

impl Walk {
    /// Keeps a fault, and goes on.
    pub(super) fn fault(&mut self, path: impl Into<String>, at: At, message: impl Into<String>) {
        self.found.push(Found {
            path: path.into(),
            at,
            message: message.into(),
        });
    }

    /// Keeps a fault of a value that was read.
    pub(super) fn fault_of<T>(&mut self, read: &Read<T>, message: impl Into<String>) {
        self.fault(read.path.clone(), read.at, message);
    }

    /// Keeps out of the message what may be a secret in a line that could not be parsed.
    pub(super) fn hide_unparsed(&mut self, text: &str, at: At) {
        let mut start = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            if number + 1 == at.line {
                let secret = SECRET_WORDS.iter().filter_map(|word| line.find(word)).min();
                if let Some(from) = secret {
                    self.hidden.push(start + from..start + line.len());
                }
            }
            start += line.len();
        }
    }

    /// The faults of the file, if there are any, in its order.
    pub(super) fn finish(mut self, file: &str, text: &str) -> Result<Vec<String>, Faults> {
        if self.found.is_empty() {
            return Ok(self.warnings);
        }
        self.found
            .sort_by_key(|found| (found.at.line, found.at.column));
        let lines = Lines::new(text, self.hidden);
        let faults = self
            .found
            .into_iter()
            .map(|found| lines.fault(found.at, found.path, found.message))
            .collect();
        Err(Faults {
            file: file.to_owned(),
            faults,
        })
    }

    /// Reads a single value, or says why it is none.
    pub(super) fn value<T: Clone>(
        &mut self,
        path: &str,
        node: &Node,
        kind: &Kind<T>,
    ) -> Option<Read<T>> {
        let Value::Scalar(scalar) = &node.value else {
            self.wrong_kind(path, node, &kind.what());
            return None;
        };
        let is_secret = kind.is_secret() || may_show_a_secret(&scalar.text);
        if is_secret {
            self.hide_below(node);
        }
        // The messages about secrets never quote them.
        let may_be_said = kind.is_secret() || scalar.variable.is_none() && !is_secret;
        let shown = match &scalar.variable {
            Some(name) => format!("the value of `${{{name}}}`"),
            None if is_secret => "the value".to_owned(),
            None => quoted(&scalar.text),
        };
        match kind.read(&scalar.text) {
            _ if scalar.text.is_empty() => {
                self.fault(
                    path,
                    node.at,
                    format!("is empty; it must be {}", kind.what()),
                );
                None
            }
            Ok(value) => Some(Read {
                value,
                at: node.at,
                path: path.to_owned(),
                shown,
            }),
            Err(message) if may_be_said && !message.is_empty() => {
                self.fault(path, node.at, message);
                None
            }
            Err(_) => {
                self.fault(path, node.at, format!("{shown} is not {}", kind.what()));
                None
            }
        }
    }

    /// Says that something else stands where `expected` should.
    pub(super) fn wrong_kind(&mut self, path: &str, node: &Node, expected: &str) {
        if !matches!(node.value, Value::Unusable) {
            let found = node.kind();
            self.fault(path, node.at, format!("must be {expected}, not {found}"));
        }
    }
}

impl<T> Read<T> {
    /// "`x` is not one of …", with the nearest of what is known.
    pub(super) fn unknown<'k>(
        &self,
        what: &str,
        text: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) -> String {
        let hint = if self.shown.starts_with('`') {
            did_you_mean(text, known)
        } else {
            String::new()
        };
        format!("there is no {what} {}{hint}", self.shown)
    }
}

impl Walk {
    /// Keeps everything at or below a node out of every message.
    pub(super) fn hide_below(&mut self, node: &Node) {
        match &node.value {
            Value::Scalar(_) | Value::Unusable => self.hidden.push(node.at.bytes()),
            Value::List(items) => items.iter().for_each(|item| self.hide_below(item)),
            Value::Map(entries) => entries
                .iter()
                .for_each(|entry| self.hide_below(&entry.value)),
        }
    }
}

/// Where a line that is no YAML has one of these, the rest of it is not shown.
const SECRET_WORDS: [&str; 7] = [
    "token:",
    "password:",
    "pepper:",
    "seal:",
    "previous",
    "redis://",
    "rediss://",
];

/// Whether a text is an address with a user, a password or a query in it, any of which may be a secret.
fn may_show_a_secret(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(_, rest)| rest.contains(['@', '?']))
}
