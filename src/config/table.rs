//! What may stand in the file: one table, from which it is read, described and documented.
//!
//! Each section declares its fields as `static`s: name, kind, what holds when it is left out, and a
//! sentence. The reader takes its bounds and defaults from them, `schema` makes the JSON Schema and
//! `reference` the documentation, so none of the three can say something else.

use std::time::Duration;

use super::units::Unit;

/// A section of the file: its fields, under one name.
pub(super) struct Table {
    /// What one of it is called; unique.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) says: &'static str,
    /// Whether exactly one of its fields must be given.
    pub(super) exactly_one: bool,
    /// What may stand in it.
    pub(super) fields: &'static [&'static dyn Described],
}

/// A field as schema and documentation see it.
pub(super) trait Described: Sync {
    /// Its name in the file.
    fn name(&self) -> &'static str;
    /// What it is for.
    fn says(&self) -> &'static str;
    /// What holds when it is left out.
    fn absent(&self) -> Absent;
    /// What may stand there.
    fn shape(&self) -> Shape;
    /// Why its default does not fit its kind.
    #[cfg(test)]
    fn wrong_default(&self) -> Option<String> {
        None
    }
}

/// What holds when a field is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// It must not be.
    Fault,
    /// As if this had been written; lists have `, ` between their items.
    Default(&'static str),
    /// This, in words.
    Means(&'static str),
}

impl Absent {
    /// The default as it would be written; nothing where there is none.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Default(text) => text,
            Self::Fault | Self::Means(_) => "",
        }
    }

    /// The items of a list's default.
    pub(super) fn items(self) -> impl Iterator<Item = &'static str> {
        self.text().split(", ").filter(|item| !item.is_empty())
    }
}

/// What may stand in a field.
pub(super) enum Shape {
    /// One value.
    Value(Form),
    /// A list of values.
    Values(Form),
    /// One section.
    Section(&'static Table),
    /// A list of sections.
    Sections(&'static Table),
    /// A map from names to sections.
    Named(&'static Table),
    /// One value, or one section.
    Either(Form, &'static Table),
}

/// What a single value looks like.
pub(super) enum Form {
    /// A number with a unit, between two bounds.
    Number { unit: Unit, min: u64, max: u64 },
    /// One of these.
    Words(Vec<&'static str>),
    /// A text.
    Text {
        what: &'static str,
        pattern: Option<&'static str>,
        secret: bool,
    },
}

/// How a single value is read.
pub(super) enum Kind<T: 'static> {
    /// A number with a unit, between two bounds.
    Number {
        unit: Unit,
        min: u64,
        max: u64,
        make: fn(u64) -> T,
    },
    /// One of these.
    Word(&'static [(&'static str, T)]),
    /// A text.
    Text {
        /// What it must be, with its article.
        what: &'static str,
        /// The same as a regular expression, where one says it.
        pattern: Option<&'static str>,
        /// Whether it must never be shown.
        secret: bool,
        /// Reads it, or says what is wrong. Of a secret the message may not quote anything; an empty one
        /// says only that it is not `what`.
        parse: fn(&str) -> Result<T, String>,
    },
}

/// A field with one value.
pub(super) struct Field<T: 'static> {
    pub(super) name: &'static str,
    pub(super) kind: Kind<T>,
    pub(super) absent: Absent,
    pub(super) says: &'static str,
}

/// A field with a list of values.
pub(super) struct List<T: 'static> {
    pub(super) name: &'static str,
    pub(super) kind: Kind<T>,
    pub(super) absent: Absent,
    pub(super) says: &'static str,
}

/// A field with one section or several.
pub(super) struct Nested {
    pub(super) name: &'static str,
    pub(super) many: Many,
    pub(super) table: &'static Table,
    pub(super) absent: Absent,
    pub(super) says: &'static str,
}

/// How many sections a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Many {
    One,
    List,
    Named,
}

/// A field with one value or one section.
pub(super) struct Either<T: 'static> {
    pub(super) name: &'static str,
    pub(super) kind: Kind<T>,
    pub(super) table: &'static Table,
    pub(super) absent: Absent,
    pub(super) says: &'static str,
}

impl<T: Clone> Kind<T> {
    /// Reads a text, or says what is wrong with it.
    pub(super) fn read(&self, text: &str) -> Result<T, String> {
        match self {
            Self::Number {
                unit,
                min,
                max,
                make,
            } => match unit.parse(text) {
                None => Err(format!(
                    "{} is not {}",
                    super::fault::quoted(text),
                    unit.what()
                )),
                Some(number) if number < *min => {
                    Err(format!("must be at least {}", unit.show(*min)))
                }
                Some(number) if number > *max => {
                    Err(format!("must be at most {}", unit.show(*max)))
                }
                Some(number) => Ok(make(number)),
            },
            Self::Word(words) => words
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, value)| value.clone())
                .ok_or_else(|| {
                    format!(
                        "{} is not {}{}",
                        super::fault::quoted(text),
                        self.what(),
                        super::nearest::did_you_mean(text, words.iter().map(|(word, _)| *word))
                    )
                }),
            Self::Text { parse, .. } => parse(text),
        }
    }
}

impl<T> Kind<T> {
    /// What a value must be, with its article.
    pub(super) fn what(&self) -> String {
        self.form().what()
    }

    /// Whether a value must never be shown.
    pub(super) const fn is_secret(&self) -> bool {
        matches!(self, Self::Text { secret: true, .. })
    }

    fn form(&self) -> Form {
        match self {
            Self::Number { unit, min, max, .. } => Form::Number {
                unit: *unit,
                min: *min,
                max: *max,
            },
            Self::Word(words) => Form::Words(words.iter().map(|(word, _)| *word).collect()),
            Self::Text {
                what,
                pattern,
                secret,
                ..
            } => Form::Text {
                what,
                pattern: *pattern,
                secret: *secret,
            },
        }
    }
}

impl Form {
    /// What a value must be, with its article.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Number { unit, .. } => unit.what().to_owned(),
            Self::Words(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                match quoted.split_last() {
                    Some((last, before)) if !before.is_empty() => {
                        format!("{} or {last}", before.join(", "))
                    }
                    Some((only, _)) => only.clone(),
                    None => String::new(),
                }
            }
            Self::Text { what, .. } => (*what).to_owned(),
        }
    }
}

impl Kind<Duration> {
    /// A duration between two bounds in milliseconds.
    pub(super) const fn duration(min: u64, max: u64) -> Self {
        Self::Number {
            unit: Unit::Duration,
            min,
            max,
            make: Duration::from_millis,
        }
    }
}

impl Kind<u64> {
    /// A size between two bounds in bytes.
    pub(super) const fn size(min: u64, max: u64) -> Self {
        Self::Number {
            unit: Unit::Size,
            min,
            max,
            make: |bytes| bytes,
        }
    }
}

impl Kind<usize> {
    /// A size between two bounds in bytes, for what is held in memory.
    pub(super) const fn memory(min: u64, max: u64) -> Self {
        Self::Number {
            unit: Unit::Size,
            min,
            max,
            make: to_usize,
        }
    }

    /// So many things in memory.
    pub(super) const fn number(min: u64, max: u64) -> Self {
        Self::Number {
            unit: Unit::Count,
            min,
            max,
            make: to_usize,
        }
    }
}

impl Kind<u32> {
    /// So many things.
    pub(super) const fn count(min: u32, max: u32) -> Self {
        Self::Number {
            unit: Unit::Count,
            min: min as u64,
            max: max as u64,
            make: |number| u32::try_from(number).unwrap_or(u32::MAX),
        }
    }
}

impl Kind<bool> {
    /// `true` or `false`; no other word is either.
    pub(super) const SWITCH: Self = Self::Word(&[("true", true), ("false", false)]);
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

macro_rules! described {
    ($kind:ident, $self:ident => $shape:expr) => {
        impl<T: Clone + Sync> Described for $kind<T> {
            fn name(&self) -> &'static str {
                self.name
            }

            fn says(&self) -> &'static str {
                self.says
            }

            fn absent(&self) -> Absent {
                self.absent
            }

            fn shape(&$self) -> Shape {
                $shape
            }

            #[cfg(test)]
            fn wrong_default(&self) -> Option<String> {
                let Absent::Default(text) = self.absent else {
                    return None;
                };
                text.split(", ")
                    .filter(|text| !text.is_empty())
                    .find_map(|text| self.kind.read(text).err())
            }
        }
    };
}

described!(Field, self => Shape::Value(self.kind.form()));
described!(List, self => Shape::Values(self.kind.form()));
described!(Either, self => Shape::Either(self.kind.form(), self.table));

impl Described for Nested {
    fn name(&self) -> &'static str {
        self.name
    }

    fn says(&self) -> &'static str {
        self.says
    }

    fn absent(&self) -> Absent {
        self.absent
    }

    fn shape(&self) -> Shape {
        match self.many {
            Many::One => Shape::Section(self.table),
            Many::List => Shape::Sections(self.table),
            Many::Named => Shape::Named(self.table),
        }
    }
}

impl Table {
    /// This table and all below it, each once, each before what it leads to.
    pub(super) fn all(&'static self) -> Vec<&'static Self> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect(&'static self, found: &mut Vec<&'static Self>) {
        if found.iter().any(|known| known.name == self.name) {
            return;
        }
        found.push(self);
        for field in self.fields {
            if let Some(below) = field.shape().table() {
                below.collect(found);
            }
        }
    }

    /// Whether a secret may stand in it, or in a section below it.
    pub(super) fn holds_secrets(&'static self) -> bool {
        self.all()
            .iter()
            .flat_map(|table| table.fields)
            .any(|field| field.shape().is_secret())
    }
}

impl Shape {
    /// Whether what stands there must never be shown.
    pub(super) const fn is_secret(&self) -> bool {
        matches!(
            self,
            Self::Value(Form::Text { secret: true, .. })
                | Self::Values(Form::Text { secret: true, .. })
        )
    }

    /// The section it leads to.
    pub(super) const fn table(&self) -> Option<&'static Table> {
        match self {
            Self::Value(_) | Self::Values(_) => None,
            Self::Section(table)
            | Self::Sections(table)
            | Self::Named(table)
            | Self::Either(_, table) => Some(table),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::resolve::CONFIGURATION;

    #[test]
    fn every_default_fits_its_kind() {
        for table in CONFIGURATION.all() {
            for field in table.fields {
                assert_eq!(
                    field.wrong_default(),
                    None,
                    "{}.{}",
                    table.name,
                    field.name()
                );
            }
        }
    }

    #[test]
    fn names_are_unique_and_every_field_says_something() {
        for table in CONFIGURATION.all() {
            for (number, field) in table.fields.iter().enumerate() {
                assert!(
                    table.fields[..number]
                        .iter()
                        .all(|other| other.name() != field.name())
                );
                assert!(field.says().ends_with('.'), "{}", field.name());
            }
        }
    }
}
