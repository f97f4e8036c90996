//! `keys` and `seal`: how secrets are made, hashed, and kept where they must be read again.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::domain::secret::{Hasher, Pepper, Scheme, is_env};
use crate::domain::token::TOKEN_PREFIX;

use super::fault::quoted;
use super::section::{Section, ValueOrSection};
use super::table::{Absent, Either, Field, Kind, List, Many, Nested, Table};
use super::units::DAY;
use super::walk::Walk;
use super::{Fleet, Keys, Seal};

pub(super) static KEYS: Nested = Nested {
    name: "keys",
    many: Many::One,
    table: &TABLE,
    absent: Absent::Means("each of its defaults"),
    says: "How secrets are made and hashed.",
};

static TABLE: Table = Table {
    name: "keys",
    says: "How secrets are made (`<prefix>_<env>_<id>_<random><crc>`) and hashed.",
    exactly_one: false,
    fields: &[&PREFIX, &ENVS, &PEPPER, &PREVIOUS_PEPPER, &TOMBSTONES_KEPT],
};

static PREFIX: Field<String> = Field {
    name: "prefix",
    kind: Kind::Text {
        what: "1 to 12 of `a-z 0-9`, and not `pct`, which admin tokens begin with",
        pattern: Some("^[a-z0-9]{1,12}$"),
        secret: false,
        parse: |text| {
            if is_env(text.as_bytes()) && text != TOKEN_PREFIX {
                Ok(text.to_owned())
            } else {
                Err(format!(
                    "{} is not 1 to 12 of `a-z 0-9`, or is what admin tokens begin with",
                    quoted(text)
                ))
            }
        },
    },
    absent: Absent::Default("pk"),
    says: "What secrets begin with. Changing it does not change the secrets there are.",
};

static ENVS: List<String> = List {
    name: "envs",
    kind: ENV,
    absent: Absent::Default("live, test"),
    says: "Environments a key may be made for; the first is the default.",
};

/// The name of an environment.
pub(super) const ENV: Kind<String> = Kind::Text {
    what: "1 to 12 of `a-z 0-9`",
    pattern: Some("^[a-z0-9]{1,12}$"),
    secret: false,
    parse: |text| {
        is_env(text.as_bytes())
            .then(|| text.to_owned())
            .ok_or_else(|| format!("{} is not 1 to 12 of `a-z 0-9`", quoted(text)))
    },
};

static PEPPER: Nested = Nested {
    name: "pepper",
    many: Many::One,
    table: &PEPPER_TABLE,
    absent: Absent::Means("SHA-256 without a pepper"),
    says: "Mixed into the hash of every new secret, so that a stolen store alone tests no guesses.",
};

static PREVIOUS_PEPPER: Either<()> = Either {
    name: "previous_pepper",
    kind: Kind::Word(&[("none", ())]),
    table: &PEPPER_TABLE,
    absent: Absent::Means("only `pepper` is tried"),
    says: "What secrets were hashed with before, while both are found in the store; `none` for plain SHA-256, as imported hashes are.",
};

static TOMBSTONES_KEPT: Field<Duration> = Field {
    name: "tombstones_kept",
    kind: Kind::duration(DAY, 3_650 * DAY),
    absent: Absent::Default("400d"),
    says: "How long a secret that has ended is still known, so that its use is refused by name and told of; longer than `fleet.max_staleness`.",
};

static PEPPER_TABLE: Table = Table {
    name: "pepper",
    says: "A pepper and the number it is known by in the store.",
    exactly_one: false,
    fields: &[&PEPPER_ID, &PEPPER_KEY],
};

static PEPPER_ID: Field<u32> = Field {
    name: "id",
    kind: Kind::count(1, 255),
    absent: Absent::Fault,
    says: "Stored with each hash; a new pepper needs a new one.",
};

static PEPPER_KEY: Field<Zeroizing<Vec<u8>>> = Field {
    name: "key",
    kind: Kind::Text {
        what: "at least 32 bytes in base64",
        pattern: Some("^[A-Za-z0-9+/]{43,}={0,2}$"),
        secret: true,
        parse: |text| {
            decoded(text)
                .filter(|key| key.len() >= 32)
                .ok_or_else(String::new)
        },
    },
    absent: Absent::Fault,
    says: "At least 32 bytes in base64, as `openssl rand -base64 32` makes them.",
};

pub(super) static SEAL: Nested = Nested {
    name: "seal",
    many: Many::One,
    table: &SEAL_TABLE,
    absent: Absent::Means("made by the embedded store; none with Redis"),
    says: "What secrets that must be read again are sealed with.",
};

static SEAL_TABLE: Table = Table {
    name: "seal",
    says: "What secrets that must be read again are sealed with; the same for all gates of a fleet.",
    exactly_one: false,
    fields: &[&SEAL_KEY, &SEAL_PREVIOUS],
};

static SEAL_KEY: Field<Zeroizing<[u8; 32]>> = Field {
    name: "key",
    kind: KEY_32,
    absent: Absent::Means("made by the embedded store; none with Redis"),
    says: "32 bytes in base64.",
};

static SEAL_PREVIOUS: List<Zeroizing<[u8; 32]>> = List {
    name: "previous",
    kind: KEY_32,
    absent: Absent::Means("none"),
    says: "Keys that still open what they sealed, while `key` is rotated.",
};

const KEY_32: Kind<Zeroizing<[u8; 32]>> = Kind::Text {
    what: "32 bytes in base64",
    pattern: Some("^[A-Za-z0-9+/]{43}=$"),
    secret: true,
    parse: |text| {
        decoded(text)
            .and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok())
            .map(Zeroizing::new)
            .ok_or_else(String::new)
    },
};

fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(text).ok().map(Zeroizing::new)
}

/// `fleet` says for how long a gate may serve on what it holds.
pub(super) fn read(root: &Section, walk: &mut Walk, fleet: &Fleet) -> Keys {
    let section = root.section(walk, &KEYS);
    let prefix = section.get(walk, &PREFIX);
    let envs = section.list(walk, &ENVS);
    section.check_not_empty(walk, ENVS.name);
    for (number, env) in envs.iter().enumerate() {
        if envs
            .iter()
            .take(number)
            .any(|other| other.value == env.value)
        {
            walk.fault_of(env, "is given twice");
        }
    }
    let hasher = hasher(&section, walk);
    let tombstones_kept = section.get(walk, &TOMBSTONES_KEPT);
    // A gate that was cut off may admit a secret until it is stale. One that ended meanwhile must be known for
    // longer, or that gate could come back to a store that has never heard of it.
    if tombstones_kept <= fleet.max_staleness {
        walk.fault(
            section.path_of(TOMBSTONES_KEPT.name),
            section.at_of(TOMBSTONES_KEPT.name),
            "must be longer than `fleet.max_staleness`: a gate that is cut off may admit an ended secret for that long",
        );
    }
    Keys {
        prefix,
        envs: envs.into_iter().map(|env| env.value).collect(),
        hasher,
        tombstones_kept,
    }
}

fn hasher(section: &Section, walk: &mut Walk) -> Hasher {
    let given = section.given(walk, &PEPPER);
    let current = given.as_ref().and_then(|given| pepper(given, walk));
    let previous = match section.either(walk, &PREVIOUS_PEPPER) {
        None => None,
        Some(ValueOrSection::Value(none)) => {
            if given.is_none() {
                walk.fault_of(
                    &none,
                    "is what is used anyway, as long as there is no `pepper`",
                );
            }
            Some(Scheme::Plain)
        }
        Some(ValueOrSection::Section(previous)) => {
            let scheme = pepper(&previous, walk);
            if let (Some(current), Some(scheme)) = (&current, &scheme)
                && current.id == scheme.id
            {
                walk.fault(
                    previous.path_of(PEPPER_ID.name),
                    previous.at_of(PEPPER_ID.name),
                    "is also the number of `pepper`",
                );
            }
            scheme.map(Scheme::Peppered)
        }
    };
    Hasher::new(current, previous)
}

fn pepper(section: &Section, walk: &mut Walk) -> Option<Pepper> {
    let id = section.read(walk, &PEPPER_ID);
    let key = section.read(walk, &PEPPER_KEY);
    Some(Pepper {
        id: u8::try_from(id?.value).ok()?,
        key: key?.value,
    })
}

pub(super) fn read_seal(root: &Section, walk: &mut Walk) -> Option<Seal> {
    let section = root.given(walk, &SEAL)?;
    let key = section.read(walk, &SEAL_KEY);
    let previous = section.list(walk, &SEAL_PREVIOUS);
    if !section.has(SEAL_KEY.name) && !previous.is_empty() {
        walk.fault(
            section.path_of(SEAL_PREVIOUS.name),
            section.at_of(SEAL_PREVIOUS.name),
            "needs a `key` that seals from now on",
        );
    }
    Some(Seal {
        key: key?.value,
        previous: previous.into_iter().map(|key| key.value).collect(),
    })
}
