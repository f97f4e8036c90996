//! Products, policies and rules of automatic rotation: few, in one table, read whole.

use rusqlite::{Connection, params};

use super::fault::{Fault, Quarantine};
use crate::domain::change::{Gone, Write};
use crate::domain::rules::RuleSet;
use crate::store::record::{self, DecodeError};

/// Writes a rule in the place of what had its id, or takes it away. What is no rule is passed over.
pub(super) fn put(transaction: &Connection, write: &Write) -> Result<(), Fault> {
    let (kind, id, record) = match write {
        Write::Product(kept) => (PRODUCT, kept.id.chars(), record::encode_product(kept)),
        Write::Policy(policy) => (POLICY, policy.id.chars(), record::encode_policy(policy)),
        Write::RotationRule(rule) => (
            ROTATION,
            rule.id.chars(),
            record::encode_rotation_rule(rule),
        ),
        Write::Gone(Gone::Product(id)) => return remove(transaction, PRODUCT, id.chars()),
        Write::Gone(Gone::Policy(id)) => return remove(transaction, POLICY, id.chars()),
        Write::Gone(Gone::RotationRule(id)) => return remove(transaction, ROTATION, id.chars()),
        Write::Key(_)
        | Write::Owner(_)
        | Write::Token(_)
        | Write::Receipt(_)
        | Write::Checkpoint(_)
        | Write::Erasure(_)
        | Write::Event(_) => {
            return Ok(());
        }
    };
    transaction
        .prepare_cached(
            "INSERT INTO rules (kind, id, record) VALUES (?1, ?2, ?3)
             ON CONFLICT (kind, id) DO UPDATE SET record = excluded.record",
        )?
        .execute(params![kind, id, record])?;
    Ok(())
}

/// The kind and the id of the rule that a write is about.
pub(super) fn name(write: &Write) -> Option<(&'static str, &str)> {
    match write {
        Write::Product(kept) => Some((PRODUCT, kept.id.chars())),
        Write::Policy(policy) => Some((POLICY, policy.id.chars())),
        Write::RotationRule(rule) => Some((ROTATION, rule.id.chars())),
        Write::Gone(Gone::Product(id)) => Some((PRODUCT, id.chars())),
        Write::Gone(Gone::Policy(id)) => Some((POLICY, id.chars())),
        Write::Gone(Gone::RotationRule(id)) => Some((ROTATION, id.chars())),
        Write::Key(_)
        | Write::Owner(_)
        | Write::Token(_)
        | Write::Receipt(_)
        | Write::Checkpoint(_)
        | Write::Erasure(_)
        | Write::Event(_) => None,
    }
}

/// All there are, but for those that cannot be read.
pub(super) fn all(connection: &Connection, quarantine: &Quarantine) -> Result<RuleSet, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT kind, id, record FROM rules ORDER BY kind, id")?;
    let mut rows = statement.query([])?;
    let mut rules = RuleSet::default();
    while let Some(row) = rows.next()? {
        let (kind, id): (String, String) = (row.get(0)?, row.get(1)?);
        let bytes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        match read(&kind, bytes) {
            Ok(write) => {
                rules.apply(&write);
            }
            Err(why) => quarantine.take("rules", &id, &why),
        }
    }
    Ok(rules)
}

fn read(kind: &str, bytes: &[u8]) -> Result<Write, DecodeError> {
    match kind {
        PRODUCT => record::decode_product(bytes).map(Write::Product),
        POLICY => record::decode_policy(bytes).map(Write::Policy),
        ROTATION => record::decode_rotation_rule(bytes).map(Write::RotationRule),
        _ => Err(DecodeError::Value("kind")),
    }
}

fn remove(transaction: &Connection, kind: &str, id: &str) -> Result<(), Fault> {
    transaction
        .prepare_cached("DELETE FROM rules WHERE kind = ?1 AND id = ?2")?
        .execute([kind, id])?;
    Ok(())
}

const PRODUCT: &str = "product";
const POLICY: &str = "policy";
const ROTATION: &str = "rotation";
