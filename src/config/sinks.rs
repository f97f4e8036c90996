//! `sinks`: where the secrets of keys that rotate by themselves are handed over.

use std::path::{Path, PathBuf};

use crate::domain::id::{KeyId, OwnerId};
use crate::domain::key::Risk;
use crate::domain::selector::Selector;

use super::fault::quoted;
use super::section::{Named, Section};
use super::table::{Absent, Field, Kind, Many, Nested, Table};
use super::walk::Walk;

/// A place where secrets are handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    /// What logs and audit entries call it.
    pub name: String,
    /// The keys whose secrets go there.
    pub selector: Selector,
    /// What it is.
    pub kind: SinkKind,
}

/// What a sink is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    /// A file per key on this machine.
    File(FileSink),
}

/// A file per key, replaced whole with each new secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSink {
    /// The folder, which is there.
    pub folder: PathBuf,
    /// The name of the file in it, in parts.
    pub name: Vec<NamePart>,
    /// What is written.
    pub format: FileFormat,
}

/// A part of a file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamePart {
    /// As it stands there.
    Text(String),
    /// `{id}`: the key's id.
    Id,
    /// `{name}`: the key's name.
    Name,
    /// `{env}`: its environment.
    Env,
}

/// What is written into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFormat {
    /// The secret and a line feed.
    Plain,
    /// A JSON object with the secret and what there is to know of it.
    Json,
    /// `VARIABLE=secret`, as shells and service managers read it.
    Env(String),
}

/// How a file is written, by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FormatWord {
    Plain,
    Json,
    Env,
}

pub(super) static SINKS: Nested = Nested {
    name: "sinks",
    many: Many::Named,
    table: &SINK,
    absent: Absent::Means("none: no key rotates by itself"),
    says: "Where the secrets of keys that rotate by themselves are handed over.",
};

static SINK: Table = Table {
    name: "sink",
    says: "A place where secrets are handed over, under a name of 1 to 64 of `a-z 0-9 _ -`.",
    exactly_one: false,
    fields: &[&KIND, &PATH, &FORMAT, &VARIABLE, &SELECTOR],
};

static KIND: Field<()> = Field {
    name: "kind",
    kind: Kind::Word(&[("file", ())]),
    absent: Absent::Fault,
    says: "What it is: a `file` per key on this machine, readable by its owner alone, replaced whole.",
};

static PATH: Field<(PathBuf, Vec<NamePart>)> = Field {
    name: "path",
    kind: Kind::Text {
        what: "an absolute path whose last part may hold `{id}`, `{name}` and `{env}`",
        pattern: Some("^/.+$"),
        secret: false,
        parse: template,
    },
    absent: Absent::Fault,
    says: "The file. Its folder must be there; its name holds `{id}` unless `selector` names one key, so that no two keys share it.",
};

static FORMAT: Field<FormatWord> = Field {
    name: "format",
    kind: Kind::Word(&[
        ("plain", FormatWord::Plain),
        ("json", FormatWord::Json),
        ("env", FormatWord::Env),
    ]),
    absent: Absent::Default("plain"),
    says: "What is written: the secret on a line (`plain`), an object with `secret`, `key_id`, `version` and `fingerprint` (`json`), or `VARIABLE=secret` (`env`).",
};

static VARIABLE: Field<String> = Field {
    name: "variable",
    kind: Kind::Text {
        what: "a variable's name: a letter or `_`, then letters, digits and `_`",
        pattern: Some("^[A-Za-z_][A-Za-z0-9_]{0,127}$"),
        secret: false,
        parse: |text| {
            let fits = text.len() <= 128
                && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            fits.then(|| text.to_owned())
                .ok_or_else(|| format!("{} is not a variable's name", quoted(text)))
        },
    },
    absent: Absent::Default("API_KEY"),
    says: "What the variable is called in the format `env`.",
};

static SELECTOR: Nested = Nested {
    name: "selector",
    many: Many::One,
    table: &SELECTOR_TABLE,
    absent: Absent::Means("every key"),
    says: "Whose secrets go there. Of two sinks that cover a key the narrower one gets its secret.",
};

static SELECTOR_TABLE: Table = Table {
    name: "selector",
    says: "Some of the keys. The narrowest comes first: one key, an owner, a product, a label, a class of risk.",
    exactly_one: true,
    fields: &[&KEY_ID, &OWNER, &PRODUCT, &LABEL, &RISK],
};

static KEY_ID: Field<KeyId> = Field {
    name: "key_id",
    kind: Kind::Text {
        what: "the id of a key, `key_` and ten letters or digits",
        pattern: Some("^key_[0-9A-Za-z]{10}$"),
        secret: false,
        parse: |text| {
            text.parse()
                .map_err(|_| format!("{} is not the id of a key", quoted(text)))
        },
    },
    absent: Absent::Means("not asked"),
    says: "One key.",
};

static OWNER: Field<OwnerId> = Field {
    name: "owner",
    kind: Kind::Text {
        what: "the id of an owner, `usr_` and ten letters or digits",
        pattern: Some("^usr_[0-9A-Za-z]{10}$"),
        secret: false,
        parse: |text| {
            text.parse()
                .map_err(|_| format!("{} is not the id of an owner", quoted(text)))
        },
    },
    absent: Absent::Means("not asked"),
    says: "The keys of an owner.",
};

static PRODUCT: Field<String> = Field {
    name: "product",
    kind: TEXT,
    absent: Absent::Means("not asked"),
    says: "The keys that are given a product.",
};

static LABEL: Field<(String, Option<String>)> = Field {
    name: "label",
    kind: Kind::Text {
        what: "a label, as `name` or `name=value`",
        pattern: Some("^[^=]+(=.*)?$"),
        secret: false,
        parse: |text| {
            Selector::label(text).ok_or_else(|| format!("{} names no label", quoted(text)))
        },
    },
    absent: Absent::Means("not asked"),
    says: "The keys with a label, of this value if one is given.",
};

static RISK: Field<Risk> = Field {
    name: "risk",
    kind: Kind::Word(&[
        ("high", Risk::High),
        ("standard", Risk::Standard),
        ("low", Risk::Low),
    ]),
    absent: Absent::Means("not asked"),
    says: "The keys of a class of risk.",
};

const TEXT: Kind<String> = Kind::Text {
    what: "a text that is not empty",
    pattern: Some("^.+$"),
    secret: false,
    parse: |text| {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        Ok(text.to_owned())
    },
};

/// Reads the sinks, in the order of the file.
pub(super) fn read(root: &Section, walk: &mut Walk) -> Vec<Sink> {
    let sinks = root.named(walk, &SINKS);
    sinks.iter().map(|named| sink(named, walk)).collect()
}

fn sink(named: &Named, walk: &mut Walk) -> Sink {
    let section = &named.section;
    let is_name = (1..=64).contains(&named.name.len())
        && named.name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte)
        });
    if !is_name {
        let message = "is not a sink's name: 1 to 64 of `a-z 0-9 _ -`";
        walk.fault(section.path.clone(), named.name_at, message);
    }
    section.read(walk, &KIND);
    let selector = selector(section, walk);
    let (mut folder, mut name) = (PathBuf::new(), Vec::new());
    if let Some(path) = section.read(walk, &PATH) {
        if !path.value.0.is_dir() {
            walk.fault_of(&path, "is in a folder that does not exist");
        }
        let is_shared = !path.value.1.contains(&NamePart::Id);
        if is_shared && !matches!(selector, Selector::Key(_)) {
            let message =
                "must hold `{id}`: without it two keys would overwrite each other's secret";
            walk.fault_of(&path, message);
        }
        (folder, name) = path.value;
    }
    let variable = section.get(walk, &VARIABLE);
    let format = match section.get(walk, &FORMAT) {
        FormatWord::Plain => FileFormat::Plain,
        FormatWord::Json => FileFormat::Json,
        FormatWord::Env => FileFormat::Env(variable),
    };
    Sink {
        name: named.name.clone(),
        selector,
        kind: SinkKind::File(FileSink {
            folder,
            name,
            format,
        }),
    }
}

fn selector(section: &Section, walk: &mut Walk) -> Selector {
    let Some(section) = section.given(walk, &SELECTOR) else {
        return Selector::All;
    };
    if let Some(id) = section.read(walk, &KEY_ID) {
        Selector::Key(id.value)
    } else if let Some(owner) = section.read(walk, &OWNER) {
        Selector::Owner(owner.value)
    } else if let Some(product) = section.read(walk, &PRODUCT) {
        Selector::Product(product.value)
    } else if let Some(label) = section.read(walk, &LABEL) {
        let (name, value) = label.value;
        Selector::Label { name, value }
    } else if let Some(risk) = section.read(walk, &RISK) {
        Selector::Risk(risk.value)
    } else {
        // A fault, or nothing at all, which is a fault too: the file is not used.
        Selector::All
    }
}

/// Takes a path apart: its folder, and the parts of its last name.
fn template(text: &str) -> Result<(PathBuf, Vec<NamePart>), String> {
    let path = Path::new(text);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|it| it.to_str()))
    else {
        return Err(format!("{} names no file", quoted(text)));
    };
    if !path.is_absolute() {
        return Err(format!("{} is not absolute", quoted(text)));
    }
    if text.ends_with('/') || folder.to_string_lossy().contains(['{', '}']) {
        return Err("may hold `{…}` in its last part alone".to_owned());
    }
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((word, after)) = after.split_once('}') else {
            return Err(format!("has a `{{` without its `}}` in {}", quoted(name)));
        };
        if !before.is_empty() {
            parts.push(NamePart::Text(before.to_owned()));
        }
        parts.push(match word {
            "id" => NamePart::Id,
            "name" => NamePart::Name,
            "env" => NamePart::Env,
            _ => {
                return Err(format!(
                    "knows `{{id}}`, `{{name}}` and `{{env}}`, not {}",
                    quoted(word)
                ));
            }
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(NamePart::Text(rest.to_owned()));
    }
    Ok((folder.to_owned(), parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_folder_and_the_parts_of_a_name() {
        let (folder, name) = template("/run/keys/{env}-{id}.json").unwrap();
        assert_eq!(folder, Path::new("/run/keys"));
        assert_eq!(
            name,
            [
                NamePart::Env,
                NamePart::Text("-".into()),
                NamePart::Id,
                NamePart::Text(".json".into())
            ]
        );
        for wrong in [
            "keys/{id}",
            "/",
            "/run/{id}/key",
            "/run/keys/",
            "/run/{id",
            "/run/{secret}",
            "/run/..",
        ] {
            assert!(template(wrong).is_err(), "{wrong}");
        }
    }
}
