//! The paths that routes match: written as the gate compares them, byte for byte.

use crate::domain::route::PathMatch;

use super::fault::quoted;
use super::section::Section;
use super::table::{Absent, Field, Kind};
use super::walk::{Read, Walk};

pub(super) static PREFIX: Field<String> = Field {
    name: "path_prefix",
    kind: PATH,
    absent: Absent::Means("`/`, as long as no other path is given"),
    says: "A path and all below it, by whole segments: `/v1` fits `/v1` and `/v1/x`, not `/v10`.",
};

pub(super) static EXACT: Field<String> = Field {
    name: "path",
    kind: PATH,
    absent: Absent::Means("not used"),
    says: "This path alone.",
};

pub(super) static TEMPLATE: Field<String> = Field {
    name: "path_template",
    kind: Kind::Text {
        what: "a path with a variable in place of a segment, such as `/users/{id}/orders`",
        pattern: Some("^/.*\\{[a-z][a-z0-9_]*\\}"),
        secret: false,
        parse: |text| match wrong_template(text) {
            None => Ok(text.to_owned()),
            Some(why) => Err(format!("{} {why}", quoted(text))),
        },
    },
    absent: Absent::Means("not used"),
    says: "A path with variables in place of segments: `/users/{id}/orders`.",
};

const PATH: Kind<String> = Kind::Text {
    what: "a path as it is compared: beginning with `/`, without escapes, `//` or dot segments",
    pattern: Some("^/[^%?#{}\\s]*$"),
    secret: false,
    parse: |text| match wrong_path(text) {
        None => Ok(text.to_owned()),
        Some(why) => Err(format!("{} {why}", quoted(text))),
    },
};

/// The path of a match; `None` if it is wrong.
pub(super) fn read(section: &Section, walk: &mut Walk) -> Option<PathMatch> {
    let fields = [&PREFIX, &EXACT, &TEMPLATE];
    let mut given = fields.into_iter().filter(|field| section.has(field.name));
    let Some(field) = given.next() else {
        return Some(PathMatch::Prefix("/".to_owned()));
    };
    for other in given.collect::<Vec<_>>() {
        let message = format!("cannot stand beside `{}`", field.name);
        walk.fault(
            section.path_of(other.name),
            section.at_of(other.name),
            message,
        );
        section.read(walk, other);
    }
    let read = section.read(walk, field)?;
    if is_reserved(&read.value) {
        refuse_reserved(&read, walk);
        return None;
    }
    Some(if field.name == PREFIX.name {
        PathMatch::Prefix(read.value)
    } else if field.name == EXACT.name {
        PathMatch::Exact(read.value)
    } else {
        PathMatch::Template(read.value)
    })
}

fn refuse_reserved(read: &Read<String>, walk: &mut Walk) {
    walk.fault_of(
        read,
        "is the gate's own: paths below `/.portcullis/` are never forwarded",
    );
}

fn is_reserved(path: &str) -> bool {
    path.split('/').nth(1) == Some(".portcullis")
}

/// The path with its variables' names left out: two of the same shape fit the same requests.
pub(super) fn shape(path: &PathMatch) -> PathMatch {
    match path {
        PathMatch::Template(template) => PathMatch::Template(
            template
                .split('/')
                .map(|segment| {
                    if segment.starts_with('{') {
                        "{}"
                    } else {
                        segment
                    }
                })
                .collect::<Vec<_>>()
                .join("/"),
        ),
        PathMatch::Exact(_) | PathMatch::Prefix(_) => path.clone(),
    }
}

fn wrong_path(path: &str) -> Option<&'static str> {
    if path.contains(['{', '}']) {
        return Some("has a variable; use `path_template`");
    }
    wrong_form(path)
}

fn wrong_template(template: &str) -> Option<&'static str> {
    let mut names = Vec::new();
    for segment in template
        .split('/')
        .filter(|segment| segment.contains(['{', '}']))
    {
        let Some(name) = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        else {
            return Some("must have each variable in place of a whole segment");
        };
        let is_variable = name.starts_with(|char: char| char.is_ascii_lowercase())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !is_variable {
            return Some("has a variable whose name is not of `a-z 0-9 _`");
        }
        if names.contains(&name) {
            return Some("has two variables of one name");
        }
        names.push(name);
    }
    if names.is_empty() {
        return Some("has no variable; use `path` or `path_prefix`");
    }
    wrong_form(&template.replace(['{', '}'], ""))
}

/// Why no canonical request path (RFC 3986 §3.3, escapes decoded, dots resolved) is this one.
fn wrong_form(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("must begin with `/`");
    }
    if path.contains("//") {
        return Some("must not have `//`");
    }
    if path.contains('%') {
        return Some("must not have escapes; paths are compared as they are after decoding");
    }
    if path.contains(['?', '#']) {
        return Some("must not have a query or a fragment; only the path is compared");
    }
    let is_dots = |segment: &str| {
        let name = segment.split(';').next().unwrap_or(segment);
        name == "." || name == ".."
    };
    if path.split('/').any(is_dots) {
        return Some("must not have `.` or `..` as a segment");
    }
    // pchar without escapes, and `/`.
    let may_stand =
        |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
    if !path.bytes().all(may_stand) {
        return Some("has a character that no path has");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_it_is_compared() {
        for path in ["/", "/v1", "/v1/", "/a.b/..c", "/x;v=1", "/@me", "/~u"] {
            assert_eq!(wrong_path(path), None, "{path}");
        }
        for path in [
            "", "v1", "//", "/a//b", "/a/./b", "/..", "/..;x/", "/a%20b", "/a?b", "/a#b", "/a b",
            "/a\\b", "/ä", "/{id}", "/a\nb", "/a|b",
        ] {
            assert!(wrong_path(path).is_some(), "{path}");
        }
    }

    #[test]
    fn a_template_has_variables_in_place_of_segments() {
        for path in ["/users/{id}", "/{a}/{b_2}/c"] {
            assert_eq!(wrong_template(path), None, "{path}");
        }
        for path in [
            "/users", "/u{id}", "/{}", "/{ID}", "/{a}/{a}", "/{a", "{a}", "/{*a}", "//{a}",
            "/{a}/..",
        ] {
            assert!(wrong_template(path).is_some(), "{path}");
        }
    }

    #[test]
    fn variables_names_do_not_tell_templates_apart() {
        let template = |text: &str| PathMatch::Template(text.to_owned());
        assert_eq!(shape(&template("/u/{id}")), shape(&template("/u/{name}")));
        assert_ne!(shape(&template("/u/{id}")), shape(&template("/v/{id}")));
    }

    #[test]
    fn only_the_first_segment_is_reserved() {
        for (path, reserved) in [
            ("/.portcullis", true),
            ("/.portcullis/me", true),
            ("/.portcullis2", false),
            ("/a/.portcullis", false),
            ("/", false),
        ] {
            assert_eq!(is_reserved(path), reserved, "{path}");
        }
    }
}
