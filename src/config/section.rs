//! One section of the file: its fields by name, with their faults and their defaults.

use std::collections::HashMap;

use super::fault::{printable, quoted};
use super::nearest::nearest;
use super::table::{Absent, Either, Field, Kind, List, Nested, Table};
use super::tree::{At, Entry, Node, Value};
use super::walk::{Read, Walk};

/// One section of the file, or what it would be if it had been written.
#[derive(Debug, Clone)]
pub(super) struct Section<'n> {
    /// Where it is: `routes[0].match`; empty for the whole.
    pub(super) path: String,
    pub(super) at: At,
    entries: &'n [Entry],
}

/// A section under a name that the file chose.
#[derive(Debug)]
pub(super) struct Named<'n> {
    pub(super) name: String,
    pub(super) name_at: At,
    pub(super) section: Section<'n>,
}

/// What stands in a field that takes one value or a section.
#[derive(Debug)]
pub(super) enum ValueOrSection<'n, T> {
    Value(Read<T>),
    Section(Section<'n>),
}

impl<'n> Section<'n> {
    /// The whole file as a section.
    pub(super) fn root(walk: &mut Walk, node: &'n Node, table: &'static Table) -> Self {
        Self::open(walk, String::new(), node, table)
    }

    /// Opens a section: says which of its fields are unknown, given twice, or missing.
    fn open(walk: &mut Walk, path: String, node: &'n Node, table: &'static Table) -> Self {
        let Value::Map(entries) = &node.value else {
            if table.holds_secrets() {
                walk.hide_below(node);
            }
            walk.wrong_kind(&path, node, "a map of fields");
            return Self::absent(path, node.at);
        };
        let section = Self {
            path,
            at: node.at,
            entries,
        };
        section.check_twice(walk);
        section.check_known(walk, table);
        section.check_missing(walk, table);
        section
    }

    /// A section that is not there: every field has its default.
    fn absent(path: String, at: At) -> Self {
        Self {
            path,
            at,
            entries: &[],
        }
    }

    fn check_twice(&self, walk: &mut Walk) {
        let mut seen = HashMap::new();
        for entry in self.entries {
            if let Some(first) = seen.insert(entry.name.as_str(), entry.at) {
                let message = format!("is given twice, first in line {}", first.line);
                walk.fault(self.path_of(&entry.name), entry.at, message);
                seen.insert(entry.name.as_str(), first);
            }
        }
    }

    fn check_known(&self, walk: &mut Walk, table: &Table) {
        for entry in self.entries {
            let field = table.fields.iter().find(|field| field.name() == entry.name);
            match field {
                Some(field) if field.shape().is_secret() => walk.hide_below(&entry.value),
                Some(_) => {}
                None => {
                    // It may be a secret under a wrong name.
                    walk.hide_below(&entry.value);
                    let known = table.fields.iter().map(|field| field.name());
                    let hint = match nearest(&entry.name, known.clone()) {
                        _ if entry.name == "<<" => {
                            "; merge keys are not read here, write the fields out".to_owned()
                        }
                        Some(near) => format!("; did you mean `{near}`?"),
                        None => {
                            let known: Vec<String> =
                                known.map(|name| format!("`{name}`")).collect();
                            format!("; known here: {}", known.join(", "))
                        }
                    };
                    walk.fault(
                        self.path_of(&entry.name),
                        entry.at,
                        format!("there is no such field{hint}"),
                    );
                }
            }
        }
    }

    fn check_missing(&self, walk: &mut Walk, table: &Table) {
        for field in table.fields {
            // A field that is only misspelt is not missing: that it has another name was said.
            let names = || table.fields.iter().map(|field| field.name());
            let is_misspelt = || {
                let mut unknown = self
                    .entries
                    .iter()
                    .filter(|entry| names().all(|name| name != entry.name.as_str()));
                unknown.any(|entry| nearest(&entry.name, names()) == Some(field.name()))
            };
            if field.absent() == Absent::Fault
                && self.entry(field.name()).is_none()
                && !is_misspelt()
            {
                let at = self
                    .entries
                    .iter()
                    .find(|entry| entry.name == field.name())
                    .map_or(self.at, |entry| entry.at);
                walk.fault(self.path_of(field.name()), at, "is missing");
            }
        }
        let given: Vec<&Entry> = table
            .fields
            .iter()
            .filter_map(|field| self.entry(field.name()))
            .collect();
        if table.exactly_one && given.len() != 1 {
            let names: Vec<String> = table
                .fields
                .iter()
                .map(|field| format!("`{}`", field.name()))
                .collect();
            let last = given.iter().map(|entry| entry.at);
            let at = last
                .max_by_key(|at| (at.line, at.column))
                .unwrap_or(self.at);
            walk.fault(
                self.path.clone(),
                at,
                format!("must have exactly one of {}", names.join(", ")),
            );
        }
    }

    /// The field of this name, unless it says nothing. Of two, the first.
    fn entry(&self, name: &str) -> Option<&'n Entry> {
        self.entries
            .iter()
            .find(|entry| entry.name == name)
            .filter(|entry| !entry.value.is_nothing())
    }

    /// Whether a field of this name says something.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Where the field of this name stands; the section itself where it is left out.
    pub(super) fn at_of(&self, name: &str) -> At {
        self.entry(name).map_or(self.at, |entry| entry.at)
    }

    /// Says so where the list or the map of this name is given and holds nothing.
    pub(super) fn check_not_empty(&self, walk: &mut Walk, name: &str) {
        if let Some(entry) = self.entry(name) {
            let is_empty = match &entry.value.value {
                Value::List(items) => items.is_empty(),
                Value::Map(entries) => entries.is_empty(),
                Value::Scalar(_) | Value::Unusable => false,
            };
            if is_empty {
                walk.fault(self.path_of(name), entry.value.at, "must have at least one");
            }
        }
    }

    /// The path of a field of this section.
    pub(super) fn path_of(&self, name: &str) -> String {
        let name = printable(&name.chars().take(64).collect::<String>());
        if self.path.is_empty() {
            name
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The value of a field, if it is given and right.
    pub(super) fn read<T: Clone>(&self, walk: &mut Walk, field: &Field<T>) -> Option<Read<T>> {
        let entry = self.entry(field.name)?;
        walk.value(&self.path_of(field.name), &entry.value, &field.kind)
    }

    /// The value of a field, or its default.
    pub(super) fn get<T: Clone>(&self, walk: &mut Walk, field: &Field<T>) -> T {
        self.read(walk, field)
            .map_or_else(|| Self::default(field), |read| read.value)
    }

    /// What a field means that is left out.
    pub(super) fn default<T: Clone>(field: &Field<T>) -> T {
        default_of(&field.kind, field.absent.text())
    }

    /// The values of a list, or its defaults.
    pub(super) fn list<T: Clone>(&self, walk: &mut Walk, list: &List<T>) -> Vec<Read<T>> {
        let path = self.path_of(list.name);
        let Some(entry) = self.entry(list.name) else {
            return list
                .absent
                .items()
                .map(|text| Read {
                    value: default_of(&list.kind, text),
                    at: self.at,
                    path: path.clone(),
                    shown: quoted(text),
                })
                .collect();
        };
        items(walk, &path, &entry.value)
            .filter_map(|(path, node)| walk.value(&path, node, &list.kind))
            .collect()
    }

    /// The section of a field; where it is left out, one in which everything is left out.
    pub(super) fn section(&self, walk: &mut Walk, nested: &Nested) -> Section<'n> {
        self.given(walk, nested)
            .unwrap_or_else(|| Section::absent(self.path_of(nested.name), self.at))
    }

    /// The section of a field, if it is given.
    pub(super) fn given(&self, walk: &mut Walk, nested: &Nested) -> Option<Section<'n>> {
        let entry = self.entry(nested.name)?;
        Some(Section::open(
            walk,
            self.path_of(nested.name),
            &entry.value,
            nested.table,
        ))
    }

    /// The sections of a field that holds a list of them.
    pub(super) fn sections(&self, walk: &mut Walk, nested: &Nested) -> Vec<Section<'n>> {
        let Some(entry) = self.entry(nested.name) else {
            return Vec::new();
        };
        let path = self.path_of(nested.name);
        items(walk, &path, &entry.value)
            .map(|(path, node)| Section::open(walk, path, node, nested.table))
            .collect()
    }

    /// The sections of a field that holds a map from names to them.
    pub(super) fn named(&self, walk: &mut Walk, nested: &Nested) -> Vec<Named<'n>> {
        let Some(entry) = self.entry(nested.name) else {
            return Vec::new();
        };
        let path = self.path_of(nested.name);
        let Value::Map(entries) = &entry.value.value else {
            walk.wrong_kind(&path, &entry.value, "a map from names to sections");
            return Vec::new();
        };
        let names = Section {
            path,
            at: entry.value.at,
            entries,
        };
        names.check_twice(walk);
        entries
            .iter()
            .map(|entry| {
                let path = names.path_of(&entry.name);
                let section = if entry.value.is_nothing() {
                    let nothing = Section::absent(path, entry.at);
                    nothing.check_missing(walk, nested.table);
                    nothing
                } else {
                    Section::open(walk, path, &entry.value, nested.table)
                };
                Named {
                    name: entry.name.clone(),
                    name_at: entry.at,
                    section,
                }
            })
            .collect()
    }

    /// The value or the section of a field, if either is given.
    pub(super) fn either<T: Clone>(
        &self,
        walk: &mut Walk,
        either: &Either<T>,
    ) -> Option<ValueOrSection<'n, T>> {
        let entry = self.entry(either.name)?;
        let path = self.path_of(either.name);
        match &entry.value.value {
            Value::Scalar(_) => walk
                .value(&path, &entry.value, &either.kind)
                .map(ValueOrSection::Value),
            Value::Map(_) => Some(ValueOrSection::Section(Section::open(
                walk,
                path,
                &entry.value,
                either.table,
            ))),
            Value::List(_) | Value::Unusable => {
                let expected = format!("{} or a map of fields", either.kind.what());
                walk.wrong_kind(&path, &entry.value, &expected);
                None
            }
        }
    }
}

/// The items of a list, each with its path; a fault and nothing if it is none.
fn items<'n>(
    walk: &mut Walk,
    path: &str,
    node: &'n Node,
) -> impl Iterator<Item = (String, &'n Node)> + use<'n> {
    let items: &[Node] = match &node.value {
        Value::List(items) => items,
        _ => {
            walk.wrong_kind(path, node, "a list");
            &[]
        }
    };
    let path = path.to_owned();
    items
        .iter()
        .enumerate()
        .map(move |(number, node)| (format!("{path}[{number}]"), node))
}

fn default_of<T: Clone>(kind: &Kind<T>, text: &str) -> T {
    #[expect(
        clippy::expect_used,
        reason = "defaults are constants, and `every_default_fits_its_kind` reads each of them"
    )]
    kind.read(text).expect("a default fits its kind")
}
