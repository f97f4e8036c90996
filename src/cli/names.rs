//! What is named on the command line: by its id, or by a name that it alone has.

use std::fmt::Display;
use std::str::FromStr;

use serde::Deserialize;

use super::client::Client;
use super::failure::Failure;
use super::render::visible;
use crate::api::page::Page;
use crate::domain::id::{ID_LEN, KeyId, OwnerId, PolicyId, TokenId};

/// A thing as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named<I> {
    /// This one.
    Id(I),
    /// The one that is called so.
    Name(String),
}

/// What may be named.
pub(crate) trait Kind: FromStr + Display + Copy {
    /// One of it, for people.
    const ONE: &'static str;
    /// Several of it.
    const MANY: &'static str;
    /// What its ids begin with.
    const PREFIX: &'static str;
    /// Where the admin API lists it.
    const PATH: &'static [&'static str];
    /// Whether that list is asked for a name.
    const BY_NAME: bool;
    /// What shows the ids there are.
    const COMMAND: &'static str;
}

impl Kind for KeyId {
    const ONE: &'static str = "key";
    const MANY: &'static str = "keys";
    const PREFIX: &'static str = Self::PREFIX;
    const PATH: &'static [&'static str] = &["admin", "keys"];
    const BY_NAME: bool = true;
    const COMMAND: &'static str = "portcullis keys list";
}

impl Kind for OwnerId {
    const ONE: &'static str = "owner";
    const MANY: &'static str = "owners";
    const PREFIX: &'static str = Self::PREFIX;
    const PATH: &'static [&'static str] = &["admin", "users"];
    const BY_NAME: bool = true;
    const COMMAND: &'static str = "portcullis owners list";
}

impl Kind for TokenId {
    const ONE: &'static str = "token";
    const MANY: &'static str = "tokens";
    const PREFIX: &'static str = Self::PREFIX;
    const PATH: &'static [&'static str] = &["admin", "tokens"];
    const BY_NAME: bool = false;
    const COMMAND: &'static str = "portcullis tokens list";
}

impl Kind for PolicyId {
    const ONE: &'static str = "policy";
    const MANY: &'static str = "policies";
    const PREFIX: &'static str = Self::PREFIX;
    const PATH: &'static [&'static str] = &["admin", "policies"];
    const BY_NAME: bool = false;
    const COMMAND: &'static str = "portcullis policies list";
}

/// A text is the id of something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is the id of {found}; ids of {wanted} begin with {prefix}")]
pub(crate) struct OtherKind {
    found: &'static str,
    wanted: &'static str,
    prefix: &'static str,
}

impl<I: Kind> FromStr for Named<I> {
    type Err = OtherKind;

    fn from_str(text: &str) -> Result<Self, OtherKind> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let is_id = |prefix: &str| {
            let rest = text.strip_prefix(prefix).unwrap_or_default();
            rest.len() == ID_LEN && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        match KINDS.iter().find(|(prefix, _)| is_id(prefix)) {
            None => Ok(Self::Name(text.to_owned())),
            Some((_, found)) => Err(OtherKind {
                found,
                wanted: I::MANY,
                prefix: I::PREFIX,
            }),
        }
    }
}

/// One of several that might be meant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Candidate {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Of an owner.
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
    /// Of a key.
    #[serde(default)]
    status: Option<String>,
    /// Of a token.
    #[serde(default)]
    revoked_at: Option<String>,
}

impl Candidate {
    fn has_ended(&self) -> bool {
        self.revoked_at.is_some() || self.status.as_deref() == Some("revoked")
    }

    /// `usr_… (team)`.
    fn shown(&self) -> String {
        let ended = self.has_ended().then_some("revoked");
        let about = self.kind.as_deref().or(self.status.as_deref()).or(ended);
        match about {
            Some(about) => format!("{} ({})", visible(&self.id), visible(about)),
            None => visible(&self.id).into_owned(),
        }
    }
}

impl<I: Kind> Named<I> {
    /// The id of what is meant; asks the admin API where that is not the id itself.
    ///
    /// # Errors
    /// [`Failure::Usage`] if nothing, or more than one thing, is called so.
    pub(crate) async fn resolve(&self, client: &Client) -> Result<I, Failure> {
        let name = match self {
            Self::Id(id) => return Ok(*id),
            Self::Name(name) => name,
        };
        let Some(found) = only::<I>(name, called::<I>(client, name).await?)? else {
            return Err(Failure::Usage(format!(
                "no {one} is called `{name}`; {command} shows names and ids, which look like {prefix}3fXk29QmZa",
                one = I::ONE,
                name = visible(name),
                command = I::COMMAND,
                prefix = I::PREFIX,
            )));
        };
        found.id.parse().map_err(|_| {
            Failure::Usage(format!("`{}` is no id of a {}", visible(&found.id), I::ONE))
        })
    }
}

/// The id of what is named, as text, if anything is.
///
/// # Errors
/// As [`Named::resolve`].
pub(crate) async fn resolved<I: Kind>(
    named: Option<&Named<I>>,
    client: &Client,
) -> Result<Option<String>, Failure> {
    match named {
        Some(named) => Ok(Some(named.resolve(client).await?.to_string())),
        None => Ok(None),
    }
}

/// All that are called so: exactly, or else in other letters' case. What has ended is left out where
/// something of that name has not.
pub(crate) async fn called<I: Kind>(
    client: &Client,
    name: &str,
) -> Result<Vec<Candidate>, Failure> {
    let mut query = Vec::new();
    if I::BY_NAME {
        query.push(("name", name.to_owned()));
    }
    query.push(("limit", "1000".to_owned()));
    let listed = client.list(I::PATH, query, true).await?;
    let mut found = listed.read::<Page<Candidate>>()?.items;
    let wanted = name.to_lowercase();
    found.retain(|it| it.name.to_lowercase() == wanted);
    keep_if_any(&mut found, |it| it.name == name);
    keep_if_any(&mut found, |it| !it.has_ended());
    Ok(found)
}

/// The only one of them, if there is one.
///
/// # Errors
/// [`Failure::Usage`] with the ids, if there are several.
pub(crate) fn only<I: Kind>(
    name: &str,
    mut found: Vec<Candidate>,
) -> Result<Option<Candidate>, Failure> {
    if found.len() < 2 {
        return Ok(found.pop());
    }
    let shown: Vec<String> = found.iter().take(SHOWN).map(Candidate::shown).collect();
    let more = match found.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(Failure::Usage(format!(
        "several {many} are called `{name}`; say which by its id: {ids}{more}",
        many = I::MANY,
        name = visible(name),
        ids = shown.join(", "),
    )))
}

fn keep_if_any(found: &mut Vec<Candidate>, keep: impl Fn(&Candidate) -> bool) {
    if found.iter().any(&keep) {
        found.retain(keep);
    }
}

/// What each kind of id begins with.
const KINDS: [(&str, &str); 6] = [
    (KeyId::PREFIX, "a key"),
    (OwnerId::PREFIX, "an owner"),
    (TokenId::PREFIX, "a token"),
    (PolicyId::PREFIX, "a policy"),
    ("prd_", "a product"),
    ("rot_", "a rule of rotation"),
];
/// How many are told of where one was meant.
const SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, id: &str, status: &str) -> Candidate {
        Candidate {
            id: id.to_owned(),
            name: name.to_owned(),
            kind: None,
            status: Some(status.to_owned()),
            revoked_at: None,
        }
    }

    #[test]
    fn an_id_of_another_kind_is_told_from_a_name() {
        let read = |text: &str| text.parse::<Named<KeyId>>();
        assert!(matches!(read("key_0123456789"), Ok(Named::Id(_))));
        for name in ["shop", "key_", "usr_x", "key_012345678", "usr_01234567-9"] {
            assert_eq!(read(name), Ok(Named::Name(name.to_owned())), "{name}");
        }
        let fault = read("usr_0123456789").unwrap_err().to_string();
        assert!(
            fault.contains("an owner") && fault.contains("key_"),
            "{fault}"
        );
    }

    #[test]
    fn one_that_is_named_is_found_and_several_are_told_with_their_ids() {
        let one = candidate("shop", "key_1", "active");
        let other = candidate("shop", "key_2", "suspended");
        let only = |found: &[&Candidate]| {
            only::<KeyId>("shop", found.iter().map(|it| (*it).clone()).collect())
        };
        assert_eq!(only(&[]).unwrap(), None);
        assert_eq!(only(&[&one]).unwrap(), Some(one.clone()));
        let fault = only(&[&one, &other]).unwrap_err().to_string();
        assert!(
            fault.contains("key_1 (active), key_2 (suspended)"),
            "{fault}"
        );
    }
}
