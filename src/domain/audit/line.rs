//! Reads an exported line whose body stands in it byte for byte, as whoever exports writes it.
//!
//! Such a line is the canonical body with `hash`, `salts` and `erased` added and the personal values shown.
//! Leaving the former out and putting the hashes back takes a few copies, where reading it into values and
//! writing those canonically takes three times as long. A line that was formatted anew, or altered, is none.

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};
use sha2::{Digest as _, Sha256};

use super::chain::{self, Digest, Head};
use super::form::unhex;

/// What a line says of its place, whose hash is that of its body.
pub(super) struct Written {
    /// Its number and its hash.
    pub(super) at: Head,
    /// The hash that it says the one before has.
    pub(super) previous: Digest,
}

/// The entry in `line`; `None` if this is no way to read it.
pub(super) fn read(line: &str) -> Option<Written> {
    let mut entry = fields(line)?;
    let mut take = |name| {
        let at = entry.iter().position(|field| field.0 == name)?;
        Some(entry.remove(at).1)
    };
    let hash: Digest = unhex(text(take("hash")?)?)?;
    let mut lifted = Lifted {
        salts: take("salts").map_or(Some(Vec::new()), fields)?,
        erased: take("erased").map_or(Some(Vec::new()), fields)?,
    };
    let value = |name| entry.iter().find(|field| field.0 == name);
    let seq = value("seq")?.1.parse().ok()?;
    let previous = unhex(text(value("previous_hash")?.1)?)?;
    let mut body = String::with_capacity(line.len());
    lifted.veil_fields(&entry, "", &mut body)?;
    let digest: Digest = Sha256::digest(&body).into();
    let is_whole = lifted.salts.is_empty() && lifted.erased.is_empty();
    (is_whole && digest == hash).then_some(Written {
        at: Head { seq, hash },
        previous,
    })
}

/// The veil of a line: what is to be put back, by its place.
struct Lifted<'a> {
    /// The salt of each value that is shown.
    salts: Vec<(&'a str, &'a str)>,
    /// What stands for each that is not.
    erased: Vec<(&'a str, &'a str)>,
}

impl Lifted<'_> {
    /// Writes the value at `place` as the body has it.
    fn veil(&mut self, value: &str, place: &str, body: &mut String) -> Option<()> {
        if let Some(salt) = take(&mut self.salts, place) {
            let value: Value = serde_json::from_str(value).ok()?;
            let said = chain::commit(&unhex(text(salt)?)?, &value);
            body.push('"');
            body.push_str(&said);
            body.push('"');
        } else if let Some(said) = take(&mut self.erased, place) {
            // A value beside the hash that stands for it would be shown and never checked.
            (value == "null").then_some(())?;
            body.push_str(said);
        } else if !self.has_below(place) {
            body.push_str(value);
        } else if value.starts_with('{') {
            self.veil_fields(&fields(value)?, place, body)?;
        } else {
            body.push('[');
            for (at, item) in items(value)?.into_iter().enumerate() {
                body.push_str(if at == 0 { "" } else { "," });
                self.veil(item, &format!("{place}/{at}"), body)?;
            }
            body.push(']');
        }
        Some(())
    }

    fn veil_fields(
        &mut self,
        fields: &[(&str, &str)],
        place: &str,
        body: &mut String,
    ) -> Option<()> {
        let mut mark = '{';
        for (name, value) in fields {
            body.push(mark);
            body.push('"');
            body.push_str(name);
            body.push_str("\":");
            self.veil(value, &format!("{place}/{name}"), body)?;
            mark = ',';
        }
        body.push('}');
        Some(())
    }

    fn has_below(&self, place: &str) -> bool {
        let is_below = |(of, _): &(&str, &str)| {
            of.strip_prefix(place)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        self.salts.iter().any(is_below) || self.erased.iter().any(is_below)
    }
}

fn take<'a>(values: &mut Vec<(&'a str, &'a str)>, place: &str) -> Option<&'a str> {
    let at = values.iter().position(|(of, _)| *of == place)?;
    Some(values.swap_remove(at).1)
}

/// A text that is cut into JSON values with nothing between them that canonical JSON has not.
struct Cut<'a>(&'a str);

impl<'a> Cut<'a> {
    fn mark(&mut self, mark: char) -> Option<()> {
        self.0 = self.0.strip_prefix(mark)?;
        Some(())
    }

    fn value(&mut self) -> Option<&'a str> {
        let mut values = Deserializer::from_str(self.0).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let (value, rest) = self.0.split_at_checked(values.byte_offset())?;
        self.0 = rest;
        // Space before it would belong to it.
        (!value.starts_with([' ', '\n', '\r', '\t'])).then_some(value)
    }
}

/// The fields of an object, by names that rise and need no escape.
fn fields(object: &str) -> Option<Vec<(&str, &str)>> {
    let mut cut = Cut(object);
    let mut fields: Vec<(&str, &str)> = Vec::with_capacity(24);
    cut.mark('{')?;
    while !cut.0.starts_with('}') {
        if !fields.is_empty() {
            cut.mark(',')?;
        }
        let name = text(cut.value()?)?;
        cut.mark(':')?;
        if fields.last().is_some_and(|(before, _)| *before >= name) {
            return None;
        }
        fields.push((name, cut.value()?));
    }
    (cut.0 == "}").then_some(fields)
}

fn items(array: &str) -> Option<Vec<&str>> {
    let mut cut = Cut(array);
    let mut items = Vec::new();
    cut.mark('[')?;
    while !cut.0.starts_with(']') {
        if !items.is_empty() {
            cut.mark(',')?;
        }
        items.push(cut.value()?);
    }
    (cut.0 == "]").then_some(items)
}

/// What stands between the quotes of a string that needs no escape.
fn text(value: &str) -> Option<&str> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains('\\')).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::chain::{Head, Sealed};
    use super::super::verify::Link;
    use super::super::{Action, Actor, AuditEntry, FieldChange, Outcome};
    use super::*;
    use crate::domain::id::AuditId;
    use crate::domain::time::Timestamp;

    fn sealed() -> Sealed {
        let entry = AuditEntry {
            id: AuditId::from_random([1; 10]),
            timestamp: Timestamp::from_millis(7),
            action: Action::KeyUpdate,
            outcome: Outcome::Done,
            actor: Actor {
                kind: "token".into(),
                id: "tok_1".into(),
                name: "Ann \"the\" ops, {[".into(),
            },
            address: Some("203.0.113.7".into()),
            request_id: None,
            reason: Some("left\n".into()),
            key: None,
            key_version: Some(3),
            owner: None,
            changes: vec![
                FieldChange {
                    field: "status".into(),
                    from: "active".into(),
                    to: "revoked".into(),
                },
                FieldChange {
                    field: "metadata".into(),
                    from: json!(null),
                    to: json!({"b": [1, "x"], "a": {}}),
                },
            ],
            rotation: None,
        };
        Head::default().seal(&entry, [7; 16])
    }

    fn line(sealed: &Sealed) -> String {
        sealed.form_to_verify().unwrap().to_string()
    }

    fn told(line: &str) -> Option<Link> {
        Link::as_written(line)
    }

    #[test]
    fn a_line_as_it_was_exported_is_read_as_its_form_is() {
        let whole = sealed();
        let erased = Sealed {
            veil: None,
            ..whole.clone()
        };
        let mut partly = whole.clone();
        partly.veil.as_mut().unwrap().values.remove("/actor/name");
        for sealed in [&whole, &erased, &partly] {
            let link = told(&line(sealed)).unwrap();
            assert_eq!(
                link.at,
                Head {
                    seq: 1,
                    hash: sealed.hash
                }
            );
            assert!(link.is_sound);
            let form = sealed.form_to_verify().unwrap();
            assert_eq!(Link::of_form(form), Ok(link));
        }
    }

    #[test]
    fn a_line_that_was_formatted_anew_is_left_to_be_read_at_length() {
        let line = line(&sealed());
        for anew in [
            line.replacen(',', ", ", 1),
            line.replacen(':', ": ", 1),
            line.replacen("\"type\"", "\"\\u0074ype\"", 1),
            format!("{line} "),
            serde_json::to_string_pretty(&serde_json::from_str::<Value>(&line).unwrap()).unwrap(),
        ] {
            assert_eq!(told(&anew), None, "{anew}");
            assert!(Link::of_line(&anew).unwrap().is_sound, "{anew}");
        }
    }

    /// Whatever is altered, this is not the way by which it passes.
    #[test]
    fn a_line_of_which_any_byte_was_altered_is_not_taken() {
        let whole = line(&sealed());
        for at in 0..whole.len() {
            for flip in [1, 2, 32] {
                let mut bytes = whole.clone().into_bytes();
                bytes[at] ^= flip;
                let Ok(altered) = String::from_utf8(bytes) else {
                    continue;
                };
                assert_eq!(told(&altered), None, "{altered}");
            }
        }
        let mut form = serde_json::from_str::<Value>(&whole).unwrap();
        form["salts"]["/nowhere"] = "00".into();
        assert_eq!(told(&form.to_string()), None);
        let twice = whole.replacen("{\"actor\"", "{\"actor\":1,\"actor\"", 1);
        assert_eq!(told(&twice), None);
        let shown = line(&Sealed {
            veil: None,
            ..sealed()
        })
        .replacen("\"address\":null", "\"address\":\"10.0.0.1\"", 1);
        assert_eq!(told(&shown), None);
        assert!(Link::of_line(&shown).is_err());
    }
}
