//! Which hash slot a command is for, and which master has it.
//!
//! A key's slot is the CRC-16 of the part in its first braces, or of the whole key, modulo 16,384 (Redis
//! Cluster specification, "Key distribution model").

use std::sync::Arc;

use redis::{Arg, Cmd, Value};

use super::server::Address;

/// Which master has which slot.
#[derive(Debug, Clone)]
pub(super) struct SlotMap {
    masters: Vec<Address>,
    /// For each slot, its place among the masters.
    owners: Vec<Option<u16>>,
}

impl SlotMap {
    /// Reads what `CLUSTER SLOTS` was answered by the node at `asked`; `None` if it is no such answer.
    pub(super) fn read(answer: Value, asked: &Address) -> Option<Self> {
        let Value::Array(ranges) = answer else {
            return None;
        };
        let mut map = Self {
            masters: Vec::new(),
            owners: vec![None; usize::from(SLOTS)],
        };
        for range in ranges {
            let Value::Array(range) = range else {
                return None;
            };
            let mut range = range.into_iter();
            let (first, last) = (slot_number(&range.next()?)?, slot_number(&range.next()?)?);
            let master = read_node(&range.next()?, asked)?;
            for slot in first..=last {
                map.give(slot, &master);
            }
        }
        Some(map)
    }

    /// The master of a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&Address> {
        let place = self.owners.get(usize::from(slot)).copied().flatten()?;
        self.masters.get(usize::from(place))
    }

    /// All masters that have slots.
    pub(super) fn owning(&self) -> Vec<Address> {
        let has_slots = |place: usize| {
            let mut owners = self.owners.iter().flatten();
            owners.any(|owner| usize::from(*owner) == place)
        };
        let masters = self.masters.iter().enumerate();
        masters
            .filter(|(place, _)| has_slots(*place))
            .map(|(_, master)| master.clone())
            .collect()
    }

    /// All masters that have slots, or had.
    pub(super) fn masters(&self) -> &[Address] {
        &self.masters
    }

    /// Notes that a slot has another master.
    pub(super) fn give(&mut self, slot: u16, master: &Address) {
        let place = self.masters.iter().position(|held| held == master);
        let place = place.unwrap_or_else(|| {
            self.masters.push(master.clone());
            self.masters.len() - 1
        });
        if let Some(owner) = self.owners.get_mut(usize::from(slot)) {
            *owner = u16::try_from(place).ok();
        }
    }
}

/// The slot of the first key of a command; `None` if it has none. The others lie there too, or the server
/// says so.
pub(super) fn of_command(command: &Cmd) -> Option<u16> {
    let mut args = command.args_iter().map(|arg| match arg {
        Arg::Simple(bytes) => bytes,
        _ => &[],
    });
    let name = args.next()?.to_ascii_uppercase();
    let key = match name.as_slice() {
        b"EVAL" | b"EVALSHA" => args.nth(2),
        b"XREAD" => args
            .by_ref()
            .find(|arg| arg.eq_ignore_ascii_case(b"STREAMS"))
            .and_then(|_| args.next()),
        b"XINFO" | b"OBJECT" | b"MEMORY" => args.nth(1),
        b"PING" | b"INFO" | b"ROLE" | b"TIME" | b"WAIT" | b"CLUSTER" | b"SCRIPT" => None,
        _ => args.next(),
    };
    key.map(of_key)
}

/// The slot of a key.
pub(super) fn of_key(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS
}

fn tag(key: &[u8]) -> &[u8] {
    let open = key.iter().position(|byte| *byte == b'{');
    let inside = open.and_then(|open| key.get(open + 1..));
    let tag = inside.and_then(|inside| {
        let close = inside.iter().position(|byte| *byte == b'}')?;
        inside.get(..close)
    });
    tag.filter(|tag| !tag.is_empty()).unwrap_or(key)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ ((crc >> 15) * 0x1021)
        })
    })
}

fn slot_number(value: &Value) -> Option<u16> {
    let Value::Int(number) = value else {
        return None;
    };
    u16::try_from(*number).ok().filter(|slot| *slot < SLOTS)
}

/// A node: its preferred endpoint, its port, and more. An endpoint that is nil, empty or `?` is not known to
/// the node that was asked: it is where that one is.
fn read_node(value: &Value, asked: &Address) -> Option<Address> {
    let Value::Array(node) = value else {
        return None;
    };
    let [host, Value::Int(port), ..] = node.as_slice() else {
        return None;
    };
    let host = match host {
        Value::BulkString(bytes) if !matches!(bytes.as_slice(), b"" | b"?") => {
            Arc::from(std::str::from_utf8(bytes).ok()?)
        }
        Value::BulkString(_) | Value::Nil => Arc::clone(&asked.host),
        _ => return None,
    };
    let port = u16::try_from(*port).ok()?;
    Some(Address { host, port })
}

const SLOTS: u16 = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::read(text).unwrap()
    }

    #[test]
    fn a_keys_slot_is_that_of_what_is_in_its_first_braces() {
        // CRC-16/XMODEM of "123456789", by the Redis Cluster specification.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As `CLUSTER KEYSLOT` has them.
        for (key, slot) in [
            ("foo", 12_182),
            ("{foo}:bar", 12_182),
            ("a{foo}{bar}", 12_182),
            ("", 0),
        ] {
            assert_eq!(of_key(key.as_bytes()), slot, "{key}");
        }
        assert_eq!(of_key(b"{}x"), crc16(b"{}x") % SLOTS);
        assert_eq!(of_key(b"{x"), crc16(b"{x") % SLOTS);
        assert_eq!(of_key(b"a{{b}}"), of_key(b"{b"));
    }

    #[test]
    fn a_command_goes_where_its_first_key_is() {
        let slot = |words: &[&str]| {
            let mut command = Cmd::new();
            command.arg(words);
            of_command(&command)
        };
        let foo = Some(12_182);
        assert_eq!(slot(&["HGET", "foo", "x"]), foo);
        assert_eq!(slot(&["EVALSHA", "abc", "1", "foo", "x"]), foo);
        assert_eq!(slot(&["eval", "return 1", "2", "foo", "x"]), foo);
        assert_eq!(slot(&["XRANGE", "foo", "-", "+"]), foo);
        assert_eq!(
            slot(&["XREAD", "BLOCK", "1", "COUNT", "2", "STREAMS", "foo", "0"]),
            foo
        );
        assert_eq!(slot(&["XINFO", "STREAM", "foo"]), foo);
        for none in [&["TIME"] as &[_], &["WAIT", "1", "100"], &["PING", "foo"]] {
            assert_eq!(slot(none), None);
        }
    }

    #[test]
    fn a_map_names_the_master_of_each_slot_and_learns() {
        let text = |text: &str| Value::BulkString(text.into());
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let range = |first, last, nodes: Vec<Value>| {
            let mut range = vec![Value::Int(first), Value::Int(last)];
            range.extend(nodes);
            Value::Array(range)
        };
        let answer = Value::Array(vec![
            range(
                0,
                99,
                vec![node(text("10.0.0.1"), 1), node(text("10.0.0.9"), 9)],
            ),
            range(200, 16_383, vec![node(text("::2"), 2)]),
            range(100, 100, vec![node(Value::Nil, 3)]),
        ]);
        let asked = address("10.0.0.3:3");
        let mut map = SlotMap::read(answer, &asked).unwrap();
        let owner = |map: &SlotMap, slot| map.owner(slot).map(ToString::to_string);
        assert_eq!(owner(&map, 99).as_deref(), Some("10.0.0.1:1"));
        assert_eq!(owner(&map, 100).as_deref(), Some("10.0.0.3:3"));
        assert_eq!(owner(&map, 101), None);
        assert_eq!(owner(&map, 16_383).as_deref(), Some("[::2]:2"));
        assert_eq!(owner(&map, 16_384), None);
        assert_eq!(map.masters().len(), 3);

        map.give(99, &address("10.0.0.4:4"));
        assert_eq!(owner(&map, 99).as_deref(), Some("10.0.0.4:4"));
        assert_eq!(owner(&map, 98).as_deref(), Some("10.0.0.1:1"));

        for broken in [Value::Nil, Value::Array(vec![Value::Int(1)])] {
            assert!(SlotMap::read(broken, &asked).is_none());
        }
        let beyond = range(0, 16_384, vec![node(text("a"), 1)]);
        assert!(SlotMap::read(Value::Array(vec![beyond]), &asked).is_none());
    }
}
