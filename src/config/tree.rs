//! The file as a tree whose every node knows where it stands.
//!
//! serde stops at the first thing it does not like, so the file is read into this first and walked
//! afterwards. A scalar keeps its text: what `1e3`, `no` or `0700` means is for the field to say.

use std::collections::HashMap;
use std::ops::Range;

use serde_yaml::granit_parser::{self, Event, Marker, Parser, ScalarStyle, Span, StrInput};
use zeroize::Zeroizing;

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    start: usize,
    end: usize,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Something that was already complained of: whoever reads it says no more.
    Unusable,
}

/// A text, a number or nothing: as written, before anyone says which.
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    /// Wiped, since it may have come from the environment.
    pub(super) text: Zeroizing<String>,
    /// Whether it stands without quotes.
    pub(super) plain: bool,
    /// The variable it was read from, if it was.
    pub(super) variable: Option<String>,
}

/// One field of a map.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) at: At,
    pub(super) value: Node,
}

/// Why a text is no tree.
#[derive(Debug)]
pub(super) struct NotATree {
    pub(super) at: At,
    pub(super) message: String,
}

impl At {
    /// The beginning of a file.
    pub(super) const START: Self = Self {
        line: 1,
        column: 1,
        start: 0,
        end: 0,
    };

    /// This line and column, and the bytes of the text from there.
    pub(super) fn new(line: usize, column: usize, bytes: Range<usize>) -> Self {
        Self {
            line,
            column,
            start: bytes.start,
            end: bytes.end,
        }
    }

    /// The bytes of the text it covers.
    pub(super) fn bytes(self) -> Range<usize> {
        self.start..self.end
    }

    fn of(span: &Span) -> Self {
        let start = Self::mark(&span.start);
        Self {
            end: span.end.byte_offset().unwrap_or(start.start),
            ..start
        }
    }

    fn mark(mark: &Marker) -> Self {
        let start = mark.byte_offset().unwrap_or(0);
        Self::new(mark.line().max(1), mark.col() + 1, start..start)
    }
}

impl Node {
    /// Whether it says nothing: `null`, `~`, or an empty text.
    pub(super) fn is_nothing(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => {
                scalar.text.is_empty()
                    || scalar.plain
                        && scalar.variable.is_none()
                        && matches!(scalar.text.as_str(), "~" | "null" | "Null" | "NULL")
            }
            Value::List(_) | Value::Map(_) | Value::Unusable => false,
        }
    }

    /// What to call its kind.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            _ if self.is_nothing() => "nothing",
            Value::Scalar(_) | Value::Unusable => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map of fields",
        }
    }

    /// How many nodes it is, itself among them.
    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) | Value::Unusable => 0,
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        }
    }
}

/// Reads the one document of a text; `None` if it holds nothing.
///
/// # Errors
/// Where the text is not YAML, or YAML that has no place in a configuration.
pub(super) fn parse(text: &str) -> Result<Option<Node>, NotATree> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    let mut builder = Builder {
        events: Parser::new_from_str_with_options(text, options),
        room: NODES_MAX,
        anchors: HashMap::new(),
    };
    let mut root = None;
    while let Some((event, at)) = builder.next()? {
        match event {
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd => {}
            _ if root.is_some() => {
                return Err(NotATree::new(at, "a configuration is one YAML document"));
            }
            event => root = Some(builder.node(event, at, 0)?),
        }
    }
    Ok(root.filter(|node| !node.is_nothing()))
}

struct Builder<'t> {
    events: Parser<'t, StrInput<'t>>,
    /// How many more nodes there may be.
    room: usize,
    anchors: HashMap<usize, Node>,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, At)>, NotATree> {
        match self.events.next() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, At::of(&span)))),
            Some(Err(error)) => Err(NotATree::new(At::mark(error.marker()), error.info())),
        }
    }

    fn child(&mut self) -> Result<(Event<'t>, At), NotATree> {
        self.next()?
            .ok_or_else(|| NotATree::new(At::START, "the file ends in the middle of a value"))
    }

    fn node(&mut self, event: Event<'t>, at: At, depth: usize) -> Result<Node, NotATree> {
        if depth > DEPTH_MAX {
            return Err(NotATree::new(at, "values are nested too deeply"));
        }
        self.take_room(1, at)?;
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor, tag.is_some()),
            _ => (0, false),
        };
        if tagged {
            return Err(NotATree::new(at, "YAML tags have no meaning here"));
        }
        let (at, value) = match event {
            Event::Alias(anchor) => return self.alias(anchor, at),
            Event::Scalar(text, style, ..) => (
                at,
                Value::Scalar(Scalar {
                    text: Zeroizing::new(text.into_owned()),
                    plain: style == ScalarStyle::Plain,
                    variable: None,
                }),
            ),
            Event::SequenceStart(..) => (at, Value::List(self.items(depth)?)),
            Event::MappingStart(..) => (at, Value::Map(self.entries(depth)?)),
            _ => return Err(NotATree::new(at, "a value is missing here")),
        };
        let node = Node { at, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, NotATree> {
        let mut items = Vec::new();
        loop {
            match self.child()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, NotATree> {
        let mut entries = Vec::new();
        loop {
            let (event, at) = match self.child()? {
                (Event::MappingEnd, _) => return Ok(entries),
                child => child,
            };
            let name = match self.node(event, at, depth + 1)?.value {
                Value::Scalar(name) => name.text.to_string(),
                _ => return Err(NotATree::new(at, "the name of a field is a single value")),
            };
            let (event, value_at) = self.child()?;
            let value = self.node(event, value_at, depth + 1)?;
            entries.push(Entry { name, at, value });
        }
    }

    /// A copy of what the anchor names. Copies count, so a few lines cannot become millions of nodes.
    fn alias(&mut self, anchor: usize, at: At) -> Result<Node, NotATree> {
        let Some(size) = self.anchors.get(&anchor).map(Node::size) else {
            return Err(NotATree::new(at, "an alias cannot stand inside its anchor"));
        };
        self.take_room(size, at)?;
        self.anchors
            .get(&anchor)
            .cloned()
            .ok_or_else(|| NotATree::new(at, "an alias cannot stand inside its anchor"))
    }

    fn take_room(&mut self, nodes: usize, at: At) -> Result<(), NotATree> {
        self.room = self
            .room
            .checked_sub(nodes)
            .ok_or_else(|| NotATree::new(at, format!("more than {NODES_MAX} values")))?;
        Ok(())
    }
}

impl NotATree {
    fn new(at: At, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

/// Deeper than any configuration, shallower than any stack.
const DEPTH_MAX: usize = 32;
/// Room for some ten thousand routes.
const NODES_MAX: usize = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (usize, usize, String) {
        match parse(text) {
            Err(why) => (why.at.line, why.at.column, why.message),
            Ok(node) => (0, 0, format!("{node:?}")),
        }
    }

    #[test]
    fn every_node_knows_its_place() {
        let root = parse("a: 1\nb:\n  - {c: \"x\"}\n").unwrap().unwrap();
        let Value::Map(entries) = &root.value else {
            panic!("{root:?}");
        };
        assert_eq!((entries[1].at.line, entries[1].at.column), (2, 1));
        let Value::List(items) = &entries[1].value.value else {
            panic!("{root:?}");
        };
        assert_eq!((items[0].at.line, items[0].at.column), (3, 5));
        let Value::Map(inner) = &items[0].value else {
            panic!("{root:?}");
        };
        assert_eq!((inner[0].at.line, inner[0].at.column), (3, 6));
        assert_eq!(
            (inner[0].value.at.line, inner[0].value.at.column),
            (3, 9),
            "{root:?}"
        );
        assert_eq!(inner[0].value.at.bytes(), 16..19);
    }

    #[test]
    fn a_file_without_a_value_is_empty() {
        for text in ["", "\n", "# only a comment\n", "---\n", "~", "null\n"] {
            assert!(parse(text).unwrap().is_none(), "{text:?}");
        }
    }

    #[test]
    fn an_alias_is_a_copy() {
        let root = parse("a: &x [1, 2]\nb: *x\n").unwrap().unwrap();
        assert_eq!(root.size(), 7);
    }

    #[test]
    fn what_has_no_place_in_a_configuration_is_refused_where_it_stands() {
        assert_eq!(refused("a: 1\n---\nb: 2\n").0, 3);
        assert_eq!(
            refused("a: !x 1\n").2,
            "YAML tags have no meaning here".to_owned()
        );
        assert_eq!(refused("a: *nowhere\n").0, 1);
        assert_eq!(refused("a: &x [*x]\n").0, 1);
        assert!(refused("a: 1\nb: [\n").0 > 1);
        assert_eq!(refused("? [a]\n: 1\n").0, 1);
    }

    #[test]
    fn neither_depth_nor_aliases_make_it_large() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(refused(&bomb).2.contains("more than"));
    }
}
