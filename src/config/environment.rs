//! `${NAME}` and `${NAME:-default}` in values, read from the environment.
//!
//! It happens in the tree, not in the text: places stay right, and a value cannot become YAML.

use zeroize::Zeroizing;

use super::fault::quoted;
use super::tree::{At, Node, Value};

/// Replaces what names a variable in every value below `node`; returns what could not be.
pub(super) fn expand(node: &mut Node, env: &dyn Fn(&str) -> Option<String>) -> Vec<(At, String)> {
    let mut faults = Vec::new();
    expand_into(node, env, &mut faults);
    faults
}

fn expand_into(
    node: &mut Node,
    env: &dyn Fn(&str) -> Option<String>,
    faults: &mut Vec<(At, String)>,
) {
    match &mut node.value {
        Value::Unusable => {}
        Value::List(items) => {
            for item in items {
                expand_into(item, env, faults);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                expand_into(&mut entry.value, env, faults);
            }
        }
        Value::Scalar(scalar) if scalar.text.contains("${") => match expanded(&scalar.text, env) {
            Ok((text, variable)) => {
                scalar.text = text;
                scalar.variable = variable;
            }
            Err(message) => {
                faults.push((node.at, message));
                node.value = Value::Unusable;
            }
        },
        Value::Scalar(_) => {}
    }
}

/// The text with its variables replaced, and the first of them.
type Expanded = (Zeroizing<String>, Option<String>);

fn expanded(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, String> {
    let mut out = Zeroizing::new(String::new());
    let mut first = None;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(literal) = after.strip_prefix("${") {
            out.push_str("${");
            rest = literal;
            continue;
        }
        let Some(reference) = after.strip_prefix('{') else {
            out.push('$');
            rest = after;
            continue;
        };
        let (inside, after) = reference
            .split_once('}')
            .ok_or("`${` is not closed; write `$${` for these characters themselves")?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_variable(name) {
            return Err(format!("{} names no variable", quoted(inside)));
        }
        // As in a shell: with a default, an empty variable is as good as none.
        let value = env(name)
            .map(Zeroizing::new)
            .filter(|value| default.is_none() || !value.is_empty());
        match (value, default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err(format!(
                    "the environment has no {name}; `${{{name}:-…}}` gives a default"
                ));
            }
        }
        first.get_or_insert_with(|| name.to_owned());
        rest = after;
    }
    out.push_str(rest);
    Ok((out, first))
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|char: char| char.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.com".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${HOST}".to_owned()),
            _ => None,
        }
    }

    fn text(text: &str) -> Result<String, String> {
        expanded(text, &env).map(|(text, _)| text.to_string())
    }

    #[test]
    fn a_variable_is_read_or_its_default_taken() {
        for (written, meant) in [
            ("${HOST}", "example.com"),
            (
                "https://${HOST}:1/${HOST}",
                "https://example.com:1/example.com",
            ),
            ("${NONE:-x:-y}", "x:-y"),
            ("${NONE:-}", ""),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY}", ""),
            ("${TRICK}", "${HOST}"),
            ("$${HOST}", "${HOST}"),
            ("a$b$", "a$b$"),
            ("$$${HOST}", "$${HOST}"),
        ] {
            assert_eq!(text(written), Ok(meant.to_owned()), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_read_names_the_variable() {
        assert!(text("${NONE}").unwrap_err().contains("NONE"));
        assert!(text("${NONE").unwrap_err().contains("not closed"));
        for odd in ["${}", "${1A}", "${A B}", "${:-x}"] {
            assert!(text(odd).unwrap_err().contains("no variable"), "{odd}");
        }
    }
}
