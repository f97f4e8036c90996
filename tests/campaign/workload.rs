//! Clients that use keys, and administrators who make, rotate and end them; all take down what they see.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::book::{Book, Credential};
use crate::history::{Change, Done, Outcome, Receipt, Use, What};
use crate::schedule::Random;
use crate::support::watch::{At, SECOND, Watch};
use crate::support::wire::{self, Answer, Client};

/// Where a gate listens, itself and its admin API; nothing while it does not take traffic.
pub(crate) type Door = Mutex<Option<(SocketAddr, SocketAddr)>>;

/// What all clients and administrators of a run share.
pub(crate) struct Scene {
    pub(crate) watch: Watch,
    pub(crate) doors: Vec<Door>,
    pub(crate) book: Mutex<Book>,
    pub(crate) uses: Mutex<Vec<Use>>,
    pub(crate) changes: Mutex<Vec<Change>>,
    pub(crate) is_over: AtomicBool,
    pub(crate) tags: AtomicU64,
}

impl Scene {
    pub(crate) fn door(&self, gate: usize) -> Option<(SocketAddr, SocketAddr)> {
        *self.doors[gate].lock().unwrap()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Uses keys at one gate, at a steady rate.
    pub(crate) fn use_keys(&self, gate: usize, mut random: Random) {
        let mut client: Option<Client> = None;
        let mut next = self.watch.now();
        while !self.is_over() {
            self.watch.until(next);
            // A client that was held up does not catch up in a burst.
            next = next.max(self.watch.now()) + random.between(SECOND / 60, SECOND / 30);
            let Some((address, _)) = self.door(gate) else {
                client = None;
                continue;
            };
            let Some(credential) = self.book.lock().unwrap().pick(&mut random) else {
                continue;
            };
            let client = match &mut client {
                Some(client) if client.gate() == address => client,
                other => other.insert(Client::new(address)),
            };
            let done = self.try_key(gate, client, &credential);
            self.uses.lock().unwrap().push(done);
        }
    }

    /// One request.
    pub(crate) fn try_key(&self, gate: usize, client: &mut Client, with: &Credential) -> Use {
        let tag = self.tags.fetch_add(1, Ordering::SeqCst);
        let sent = self.watch.now();
        let outcome = match client.ask(&with.secret, tag) {
            Ok(answer) => Outcome::Answered(
                answer.status,
                (answer.status != 200).then(|| answer.code()).flatten(),
            ),
            Err(error) => Outcome::Broken(error.to_string()),
        };
        Use {
            tag,
            gate,
            key: with.key.clone(),
            version: with.version,
            sent,
            done: self.watch.now(),
            outcome,
        }
    }

    /// Makes, rotates and ends keys at any gate, one call after the other.
    pub(crate) fn administer(&self, mut random: Random) {
        while !self.is_over() {
            self.watch.pause(random.between(SECOND / 50, SECOND / 4));
            let gate = random.below(self.doors.len() as u64) as usize;
            if let Some((_, admin)) = self.door(gate) {
                let call = Call {
                    scene: self,
                    gate,
                    admin,
                };
                self.act(&call, &mut random);
            }
        }
    }

    fn act(&self, call: &Call, random: &mut Random) {
        let all = random.chance(50);
        let is_full = self.book.lock().unwrap().is_full();
        match random.below(100) {
            0..40 if !is_full => {
                call.create("team", &json!({}));
            }
            40..43 => {
                let limited = self.book.lock().unwrap().limited.clone();
                if let Some(limited) = limited {
                    call.rotate_limited(&limited);
                }
            }
            43..47 => {
                let leaver = self.book.lock().unwrap().take_leaver();
                if let Some((owner, holds)) = leaver {
                    call.disable(&owner, holds);
                }
            }
            47..52 => {
                let replaced = self.book.lock().unwrap().take_replaced();
                if let Some(replaced) = replaced {
                    call.revoke_version(replaced, all);
                }
            }
            52..76 => {
                let taken = self.book.lock().unwrap().take(random);
                if let Some(taken) = taken {
                    call.rotate(taken, random.one_of(&GRACES));
                }
            }
            _ => {
                let taken = self.book.lock().unwrap().take(random);
                if let Some(taken) = taken {
                    call.revoke(taken, all);
                }
            }
        }
    }
}

/// An administrator at one gate.
pub(crate) struct Call<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) gate: usize,
    pub(crate) admin: SocketAddr,
}

impl Call<'_> {
    /// Makes a key with more fields than it needs; it is used from then on where nothing else is said.
    pub(crate) fn create(&self, owner: &str, more: &Value) -> Option<Credential> {
        let made = self.create_unused(owner, more)?.0;
        self.scene.book.lock().unwrap().add(made.clone());
        Some(made)
    }

    /// Makes a key: its secret, and the id of its owner.
    pub(crate) fn create_unused(&self, owner: &str, more: &Value) -> Option<(Credential, String)> {
        let mut body = json!({"name": "campaign", "owner": {"name": owner, "type": "team"}});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let mut made = None;
        self.change(
            What::Create,
            "POST",
            "/admin/keys",
            &body,
            |change, told| {
                made = credential_of(told);
                change
                    .keys
                    .extend(made.iter().map(|(it, _)| it.key.clone()));
            },
        );
        made
    }

    fn rotate(&self, old: Credential, grace: At) {
        let path = format!("/admin/keys/{}/rotate", old.key);
        let body =
            json!({"grace": format!("{}ms", grace / (SECOND / 1_000)), "reason": "campaign"});
        let what = What::Rotate {
            from: old.version,
            grace,
        };
        let mut made = None;
        let result = self.change(what, "POST", &path, &body, |change, told| {
            change.keys.push(old.key.clone());
            made = credential_of(told);
        });
        let mut book = self.scene.book.lock().unwrap();
        match (made, result) {
            (Some((new, _)), _) => {
                book.add(new);
                if grace > 60 * SECOND {
                    book.replace(old.clone());
                }
                book.end(old);
            }
            (None, Done::Refused(..)) => book.put_back(old),
            (None, _) => book.end(old),
        }
    }

    /// Rotates the key with the shared limit, whose old version goes on for a while.
    fn rotate_limited(&self, old: &Credential) {
        let path = format!("/admin/keys/{}/rotate", old.key);
        let grace = 3 * SECOND;
        let what = What::Rotate {
            from: old.version,
            grace,
        };
        let body = json!({"grace": "3s", "reason": "campaign"});
        let mut made = None;
        self.change(what, "POST", &path, &body, |change, told| {
            change.keys.push(old.key.clone());
            made = credential_of(told);
            // Somebody else may have rotated it a moment before.
            if let (What::Rotate { from, .. }, Some((new, _))) = (&mut change.what, &made) {
                *from = new.version - 1;
            }
        });
        if let Some((new, _)) = made {
            let mut book = self.scene.book.lock().unwrap();
            book.note(&new);
            if book
                .limited
                .as_ref()
                .is_some_and(|it| it.version < new.version)
            {
                book.limited = Some(new);
            }
        }
    }

    fn revoke(&self, old: Credential, all: bool) {
        let path = format!("/admin/keys/{}?reason=campaign{}", old.key, wait(all));
        // It is used all the while: what passes once the call was answered is what a campaign looks for.
        self.scene.book.lock().unwrap().end(old.clone());
        let result = self.change(
            What::Revoke { all },
            "DELETE",
            &path,
            &Value::Null,
            |change, _| {
                change.keys.push(old.key.clone());
            },
        );
        if let Done::Refused(..) = result {
            self.scene.book.lock().unwrap().put_back(old);
        }
    }

    fn revoke_version(&self, old: Credential, all: bool) {
        let (key, version) = (&old.key, old.version);
        let path = format!(
            "/admin/keys/{key}/versions/{version}?reason=campaign{}",
            wait(all)
        );
        let what = What::RevokeVersion { version, all };
        self.change(what, "DELETE", &path, &Value::Null, |change, _| {
            change.keys.push(old.key.clone());
        });
        self.scene.book.lock().unwrap().end(old);
    }

    fn disable(&self, owner: &str, holds: Vec<Credential>) {
        let path = format!("/admin/users/{owner}/keys/disable");
        let body = json!({"reason": "campaign"});
        {
            let mut book = self.scene.book.lock().unwrap();
            holds.iter().for_each(|held| book.end(held.clone()));
        }
        let result = self.change(What::Disable, "POST", &path, &body, |change, _| {
            change.owner = Some(owner.to_owned());
            change.keys.extend(holds.iter().map(|it| it.key.clone()));
        });
        if let Done::Refused(..) = result {
            let mut book = self.scene.book.lock().unwrap();
            holds.into_iter().for_each(|held| book.put_back(held));
        }
    }

    /// Makes one call and takes it down; `tell` adds whom it is about, with what was answered.
    fn change(
        &self,
        what: What,
        method: &str,
        path: &str,
        body: &Value,
        tell: impl FnOnce(&mut Change, &Value),
    ) -> Done {
        let watch = self.scene.watch;
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let sent = watch.now();
        let answer = wire::admin(self.admin, method, path, &body);
        let done = watch.now();
        let told = answer.as_ref().map_or(Value::Null, Answer::json);
        let result = match &answer {
            Err(error) => Done::Unknown(error.to_string()),
            Ok(answer) if answer.status >= 500 => {
                Done::Unknown(format!("{} {told}", answer.status))
            }
            Ok(answer) if answer.status >= 400 => Done::Refused(answer.status, answer.code()),
            Ok(answer) => Done::Acknowledged(receipt(watch, answer.status, &told)),
        };
        let mut change = Change {
            what,
            gate: self.gate,
            keys: Vec::new(),
            owner: None,
            sent,
            done,
            result: result.clone(),
        };
        tell(&mut change, &told);
        self.scene.changes.lock().unwrap().push(change);
        result
    }
}

/// What an answer says of how far a change has come.
fn receipt(watch: Watch, status: u16, told: &Value) -> Receipt {
    let moment = |value: &Value| value.as_str().and_then(|text| watch.moment(text));
    let revocation = &told["revocation"];
    let list = |name: &str| revocation[name].as_array().into_iter().flatten();
    let name = |value: &Value| value.as_str().map(str::to_owned);
    let pending =
        list("pending").filter_map(|it| Some((name(&it["node"])?, moment(&it["stops_by"]))));
    Receipt {
        status,
        retires_at: moment(&told["previous"]["retires_at"]),
        applied_on: list("applied_on").filter_map(name).collect(),
        pending: pending.collect(),
    }
}

/// The secret that an answer shows, and whose it is.
fn credential_of(told: &Value) -> Option<(Credential, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let key = &told["key"];
    let credential = Credential {
        key: text(&key["id"])?,
        version: key["version"].as_u64()? as u32,
        secret: text(&told["secret"])?,
    };
    Some((credential, text(&key["owner"]["id"])?))
}

fn wait(all: bool) -> &'static str {
    if all { "&wait=all&timeout=2s" } else { "" }
}

/// What a rotation may leave to the version before.
const GRACES: [At; 4] = [0, SECOND * 3 / 2, 3 * SECOND, 3_600 * SECOND];
