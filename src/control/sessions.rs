//! Sessions: who is signed in to the dashboard of this gate, and the links that owners sign in by.
//!
//! A session is no right of its own. It stands for an admin token, or for an owner, and at each call it is
//! asked anew whether that token still opens the door, or that owner is still in good standing: what ends
//! those ends it, on every gate, at once.
//!
//! They live in this gate's memory and nowhere else (docs/adr/0019): neither a disk nor the store holds
//! anything that opens a door. What a browser and a link carry is 256 random bits; kept is their SHA-256.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::control::ControlError;
use crate::control::caller::{About as _, Caller};
use crate::control::tokens::{TokenDigest, TokenService};
use crate::control::writer::{Draft, Writer, draw};
use crate::domain::audit::{Action, FieldChange};
use crate::domain::id::OwnerId;
use crate::domain::owner::Owner;
use crate::domain::time::{Clock, Reading, Timestamp};
use crate::store::Store;

/// Opens, recognises and ends sessions.
pub struct SessionService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
    tokens: Arc<TokenService>,
    book: Mutex<Book>,
}

/// What is shown to open a session.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// An admin token.
    Token(&'a str),
    /// The code of an owner's link.
    Code(&'a str),
}

/// A session that was opened.
pub struct Opened {
    /// What the browser is to carry from now on.
    pub cookie: Zeroizing<String>,
    /// Who it is.
    pub caller: Caller,
}

/// A link that an owner signs in by, once.
pub struct Link {
    /// What it carries.
    pub code: Zeroizing<String>,
    /// When it stops working, used or not.
    pub expires_at: Timestamp,
}

/// Whether being asked for counts as use, and so puts off the end of an idle session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Someone calls.
    AsUse,
    /// Something goes on by itself, and only wants to know whether it still may.
    AsNothing,
}

impl SessionService {
    /// A service over `store`, for the tokens of `tokens`; that someone signed in is written down by `writer`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        writer: Arc<Writer>,
        tokens: Arc<TokenService>,
    ) -> Self {
        Self {
            store,
            clock,
            writer,
            tokens,
            book: Mutex::default(),
        }
    }

    /// Makes a link that signs an owner in, once and soon.
    ///
    /// # Errors
    /// [`ControlError::Bound`], [`ControlError::NotFound`], [`ControlError::OwnerDisabled`], or what the
    /// store returns.
    pub async fn invite(&self, caller: &Caller, id: OwnerId) -> Result<Link, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        let owner = self.store.owner(id).await?;
        let owner = owner.ok_or(ControlError::NotFound)?;
        if owner.disabled_at.is_some() {
            return Err(ControlError::OwnerDisabled);
        }
        let now = self.clock.read();
        let expires_at = now.wall.after(LINK_FOR);
        self.write_down(caller, Some(&owner), "link_until", &expires_at.to_string())
            .await?;
        let (code, name) = random()?;
        self.book
            .lock()
            .add_link(name, Invited { owner: id, at: now }, now);
        Ok(Link { code, expires_at })
    }

    /// Opens a session for whoever shows `credential`, `from` where and in which call; `None` if nobody is
    /// known by it. A link is used up by it, unless that could not be written down.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn open(
        &self,
        credential: Credential<'_>,
        from: impl FnOnce(&mut Caller) + Send,
    ) -> Result<Option<Opened>, ControlError> {
        let (holder, used) = match credential {
            Credential::Token(secret) => match self.tokens.digest(secret) {
                Some(digest) => (Holder::Token(digest), None),
                None => return Ok(None),
            },
            Credential::Code(code) => {
                let name = name_of(code);
                match self.book.lock().take_link(&name, self.clock.read()) {
                    Some(invited) => (Holder::Owner(invited.owner), Some((name, invited))),
                    None => return Ok(None),
                }
            }
        };
        let opened = self.open_for(holder, from).await;
        if let (Err(_), Some((name, invited))) = (&opened, used) {
            self.book.lock().add_link(name, invited, self.clock.read());
        }
        opened
    }

    async fn open_for(
        &self,
        holder: Holder,
        from: impl FnOnce(&mut Caller) + Send,
    ) -> Result<Option<Opened>, ControlError> {
        let Some(mut caller) = self.caller(&holder).await? else {
            return Ok(None);
        };
        from(&mut caller);
        let owner = match caller.bound_to {
            Some(owner) => self.store.owner(owner).await?,
            None => None,
        };
        self.write_down(&caller, owner.as_ref(), "session", "opened")
            .await?;
        let (cookie, name) = random()?;
        let now = self.clock.read();
        let session = Session {
            holder,
            opened: now,
            used: now,
        };
        self.book.lock().add_session(name, session, now);
        Ok(Some(Opened { cookie, caller }))
    }

    /// Who holds the session of this cookie; `None` if there is none, or no longer.
    ///
    /// # Errors
    /// What the store returns: not being able to look is no reason to say no.
    pub async fn recognise(
        &self,
        cookie: &str,
        counts: Counts,
    ) -> Result<Option<Caller>, ControlError> {
        let name = name_of(cookie);
        let holder = self.book.lock().holder(&name, self.clock.read(), counts);
        let Some(holder) = holder else {
            return Ok(None);
        };
        let caller = self.caller(&holder).await?;
        if caller.is_none() {
            self.book.lock().sessions.remove(&name);
        }
        Ok(caller)
    }

    /// Ends the session of this cookie, if there is one.
    ///
    /// # Errors
    /// What the store returns; the session has ended all the same.
    pub async fn close(&self, caller: &Caller, cookie: &str) -> Result<(), ControlError> {
        if self.book.lock().sessions.remove(&name_of(cookie)).is_none() {
            return Ok(());
        }
        let owner = match caller.bound_to {
            Some(owner) => self.store.owner(owner).await?,
            None => None,
        };
        self.write_down(caller, owner.as_ref(), "session", "closed")
            .await
    }

    /// Ends the sessions of an owner who was switched off, and the links it was sent: letting it back in is
    /// to bring none of them back.
    pub fn end_of(&self, owner: OwnerId) {
        let mut book = self.book.lock();
        book.sessions
            .retain(|_, session| !matches!(session.holder, Holder::Owner(of) if of == owner));
        book.links.retain(|_, link| link.owner != owner);
    }

    async fn caller(&self, holder: &Holder) -> Result<Option<Caller>, ControlError> {
        match holder {
            Holder::Token(digest) => self.tokens.holder(digest).await,
            Holder::Owner(id) => {
                let owner = self.store.owner(*id).await?;
                let owner = owner.filter(|owner| owner.disabled_at.is_none());
                Ok(owner.as_ref().map(Caller::owner))
            }
        }
    }

    async fn write_down(
        &self,
        caller: &Caller,
        owner: Option<&Owner>,
        what: &str,
        to: &str,
    ) -> Result<(), ControlError> {
        let draft = || {
            async {
                let mut entry = caller.did(Action::Session, self.clock.now())?;
                if let Some(owner) = owner {
                    entry = entry.about_owner(owner);
                }
                entry.changes = vec![FieldChange {
                    field: what.to_owned(),
                    from: serde_json::Value::Null,
                    to: to.into(),
                }];
                Ok(Draft {
                    writes: Vec::new(),
                    audit: vec![entry],
                    value: (),
                })
            }
            .boxed()
        };
        self.writer.commit(draft).await.map(|done| done.value)
    }
}

/// What a session or a link is kept under: SHA-256 of what opens it.
type Name = [u8; 32];

/// Whom a session stands for.
#[derive(Clone, PartialEq)]
enum Holder {
    Token(TokenDigest),
    Owner(OwnerId),
}

struct Session {
    holder: Holder,
    opened: Reading,
    used: Reading,
}

#[derive(Clone, Copy)]
struct Invited {
    owner: OwnerId,
    at: Reading,
}

/// All sessions and links of this gate. Bounded: beyond that, the one longest unused makes room; first of all
/// one of whoever has very many, so that nobody signs others out by signing in.
#[derive(Default)]
struct Book {
    sessions: HashMap<Name, Session>,
    links: HashMap<Name, Invited>,
}

impl Book {
    fn add_session(&mut self, name: Name, session: Session, now: Reading) {
        if self.sessions.len() >= SESSIONS_MAX {
            self.sessions.retain(|_, session| session.is_open(now));
        }
        let is_theirs = |it: &Session| it.holder == session.holder;
        let used = |it: &Session| it.used.mono_ns;
        make_room(&mut self.sessions, SESSIONS_EACH_MAX, is_theirs, used);
        make_room(&mut self.sessions, SESSIONS_MAX, |_| true, used);
        self.sessions.insert(name, session);
    }

    fn add_link(&mut self, name: Name, link: Invited, now: Reading) {
        if self.links.len() >= LINKS_MAX {
            self.links.retain(|_, link| now.since(link.at) < LINK_FOR);
        }
        make_room(&mut self.links, LINKS_MAX, |_| true, |it| it.at.mono_ns);
        self.links.insert(name, link);
    }

    /// Takes a link out, which makes it work once.
    fn take_link(&mut self, name: &Name, now: Reading) -> Option<Invited> {
        let link = self.links.remove(name)?;
        (now.since(link.at) < LINK_FOR).then_some(link)
    }

    fn holder(&mut self, name: &Name, now: Reading, counts: Counts) -> Option<Holder> {
        let session = self.sessions.get_mut(name)?;
        if !session.is_open(now) {
            self.sessions.remove(name);
            return None;
        }
        if counts == Counts::AsUse {
            session.used = now;
        }
        Some(session.holder.clone())
    }
}

impl Session {
    fn is_open(&self, now: Reading) -> bool {
        now.since(self.used) < IDLE && now.since(self.opened) < LONGEST
    }
}

/// Removes the oldest of those that count until one more of them has room.
fn make_room<T>(
    all: &mut HashMap<Name, T>,
    most: usize,
    counts: impl Fn(&T) -> bool,
    age: impl Fn(&T) -> u64,
) {
    while all.values().filter(|it| counts(it)).count() >= most {
        let counted = all.iter().filter(|(_, it)| counts(it));
        let Some(oldest) = counted.min_by_key(|(_, it)| age(it)) else {
            return;
        };
        let name = *oldest.0;
        all.remove(&name);
    }
}

fn name_of(text: &str) -> Name {
    Sha256::digest(text).into()
}

/// 256 random bits as text, and what they are kept under.
fn random() -> Result<(Zeroizing<String>, Name), ControlError> {
    let bytes = Zeroizing::new(draw::<32>()?);
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
    let name = name_of(&text);
    Ok((text, name))
}

/// How long a session lasts without use.
const IDLE: Duration = Duration::from_mins(30);
/// How long a session lasts, however much it is used.
const LONGEST: Duration = Duration::from_hours(12);
/// How long a link works.
const LINK_FOR: Duration = Duration::from_mins(15);
/// How many sessions there may be at once.
const SESSIONS_MAX: usize = 4_096;
/// How many there may be of one token, or of one owner.
const SESSIONS_EACH_MAX: usize = 64;
/// How many links there may be at once.
const LINKS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Reading {
        Reading {
            wall: Timestamp::default(),
            mono_ns: seconds * 1_000_000_000,
        }
    }

    fn of(owner: u8, seconds: u64) -> Session {
        Session {
            holder: Holder::Owner(OwnerId::from_random([owner; 10])),
            opened: at(seconds),
            used: at(seconds),
        }
    }

    #[test]
    fn a_session_ends_half_an_hour_after_its_last_use() {
        let mut book = Book::default();
        book.add_session([1; 32], of(1, 0), at(0));
        assert!(
            book.holder(&[1; 32], at(1_799), Counts::AsNothing)
                .is_some()
        );
        assert!(book.holder(&[1; 32], at(1_799), Counts::AsUse).is_some());
        assert!(
            book.holder(&[1; 32], at(3_598), Counts::AsNothing)
                .is_some()
        );
        assert!(book.holder(&[1; 32], at(3_599), Counts::AsUse).is_none());
        assert!(book.sessions.is_empty());
    }

    #[test]
    fn no_session_lasts_longer_than_half_a_day() {
        let mut book = Book::default();
        book.add_session([1; 32], of(1, 0), at(0));
        for minute in (0..720).step_by(10) {
            assert!(
                book.holder(&[1; 32], at(minute * 60), Counts::AsUse)
                    .is_some()
            );
        }
        assert!(book.holder(&[1; 32], at(43_199), Counts::AsUse).is_some());
        assert!(book.holder(&[1; 32], at(43_200), Counts::AsUse).is_none());
    }

    #[test]
    fn a_link_works_once_and_for_a_quarter_of_an_hour() {
        let mut book = Book::default();
        let invited = |seconds| Invited {
            owner: OwnerId::from_random([1; 10]),
            at: at(seconds),
        };
        book.add_link([1; 32], invited(0), at(0));
        assert!(book.take_link(&[1; 32], at(899)).is_some());
        assert!(book.take_link(&[1; 32], at(899)).is_none());
        book.add_link([1; 32], invited(0), at(0));
        assert!(book.take_link(&[1; 32], at(900)).is_none());
    }

    #[test]
    fn however_many_sign_in_the_book_stays_as_large_as_it_may_be() {
        let mut book = Book::default();
        for number in 0..u64::try_from(SESSIONS_MAX).unwrap() + 10 {
            let (mut name, mut owner) = ([0; 32], [0; 10]);
            name[..8].copy_from_slice(&number.to_be_bytes());
            owner[..8].copy_from_slice(&number.to_be_bytes());
            let session = Session {
                holder: Holder::Owner(OwnerId::from_random(owner)),
                ..of(1, number / 100)
            };
            book.add_session(name, session, at(number / 100));
        }
        assert_eq!(book.sessions.len(), SESSIONS_MAX);
    }

    #[test]
    fn however_often_one_signs_in_the_others_stay_signed_in() {
        let mut book = Book::default();
        book.add_session([1; 32], of(1, 0), at(0));
        for number in 0..=u8::try_from(SESSIONS_EACH_MAX).unwrap() {
            book.add_session([number + 2; 32], of(2, 1 + u64::from(number)), at(100));
        }
        assert_eq!(book.sessions.len(), 1 + SESSIONS_EACH_MAX);
        let mut is_open = |name| {
            book.holder(&[name; 32], at(100), Counts::AsNothing)
                .is_some()
        };
        assert_eq!([is_open(1), is_open(2), is_open(3)], [true, false, true]);
    }
}
