//! A Rust file as text, cut into code, comments and literals.

use std::fs;
use std::path::Path;

/// A file taken apart. `comments` and `literals` have its lines, with all else blank.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) comments: String,
    pub(crate) literals: String,
    pub(crate) tokens: Vec<Token>,
}

/// A word, `::`, or one other character of the code.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let kinds = kinds(text);
        let only = |wanted: Kind| -> String {
            let chars = text.chars().zip(&kinds);
            chars
                .map(|(c, kind)| if *kind == wanted || c == '\n' { c } else { ' ' })
                .collect()
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            comments: only(Kind::Comment),
            literals: only(Kind::Literal),
            tokens: tokens(&only(Kind::Code)),
        }
    }

    pub(crate) fn is_under(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// Whether this is the front of a folder: a mod.rs with more beside it than its own tests.
    pub(crate) fn is_front(&self) -> bool {
        let names_child = |at: &usize| {
            self.is_at(*at, "mod") && self.is_at(at + 2, ";") && !self.is_at(at + 1, "tests")
        };
        self.path.ends_with("/mod.rs") && (0..self.tokens.len()).any(|at| names_child(&at))
    }

    pub(crate) fn is_at(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.text == text)
    }

    pub(crate) fn has_at(&self, at: usize, texts: &[&str]) -> bool {
        texts
            .iter()
            .enumerate()
            .all(|(offset, text)| self.is_at(at.wrapping_add(offset), text))
    }

    /// Where the tests at the foot begin: the whole of a `tests.rs`, the end where there are none.
    pub(crate) fn tests_begin(&self) -> usize {
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            return 0;
        }
        let marker = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
        (0..self.tokens.len())
            .find(|at| self.has_at(*at, &marker))
            .unwrap_or(self.tokens.len())
    }

    /// The segments of this file's module path: `src/store/redis/mod.rs` is `store`, `redis`.
    fn module_path(&self) -> Option<Vec<&str>> {
        let inside = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        Some(inside.split('/').filter(|part| *part != "mod").collect())
    }

    pub(crate) fn room(&self) -> Option<String> {
        self.module_path()?.first().map(|room| (*room).to_owned())
    }

    /// Every room named by a path from the crate's root, with its line.
    pub(crate) fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let is_root = token.text == "crate" || (token.text == "portcullis" && self.is_bin());
            if is_root && self.is_at(at + 1, "::") {
                self.heads_of_tree(at + 2, &mut found);
            }
        }
        found
    }

    fn is_bin(&self) -> bool {
        self.path == "src/main.rs"
    }

    /// The first segments of the use tree at `at`: one, or one for each branch of a group.
    fn heads_of_tree(&self, at: usize, found: &mut Vec<(usize, String)>) {
        let mut depth = 0_usize;
        let mut is_head = true;
        for token in self.tokens.iter().skip(at) {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                "," if depth == 1 => is_head = true,
                "self" if is_head => is_head = false,
                head if is_head => {
                    found.push((token.line, head.to_owned()));
                    is_head = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }

    /// Lines on which a chain of `super::` reaches the crate's root.
    pub(crate) fn supers_that_leave(&self) -> Vec<usize> {
        let own = self.module_path().map_or(0, |path| path.len());
        let mut found = Vec::new();
        let mut braces: Vec<bool> = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            match token.text.as_str() {
                "{" => braces.push(self.is_at(at.wrapping_sub(2), "mod")),
                "}" => drop(braces.pop()),
                "super" if !self.has_at(at.wrapping_sub(2), &["super", "::"]) => {
                    let ups = (0..)
                        .take_while(|n| self.has_at(at + 2 * n, &["super", "::"]))
                        .count();
                    let depth = own + braces.iter().filter(|is_mod| **is_mod).count();
                    if ups > 0 && ups >= depth {
                        found.push(token.line);
                    }
                }
                _ => {}
            }
        }
        found
    }
}

/// What each character of a Rust file is.
fn kinds(text: &str) -> Vec<Kind> {
    let chars: Vec<char> = text.chars().collect();
    let mut kinds = Vec::with_capacity(chars.len());
    while let Some(rest) = chars.get(kinds.len()..).filter(|rest| !rest.is_empty()) {
        let (kind, length) = next_piece(rest);
        kinds.resize(kinds.len() + length.clamp(1, rest.len()), kind);
    }
    kinds
}

/// The kind of what stands at the beginning of `rest`, and how many characters it has.
fn next_piece(rest: &[char]) -> (Kind, usize) {
    let hashes = rest.iter().skip(1).take_while(|c| **c == '#').count();
    match rest {
        ['/', '/', ..] => (
            Kind::Comment,
            rest.iter().take_while(|c| **c != '\n').count(),
        ),
        ['/', '*', ..] => (Kind::Comment, block_comment_length(rest)),
        ['r', ..] if rest.get(1 + hashes) == Some(&'"') => {
            let end: Vec<char> = std::iter::once('"')
                .chain(std::iter::repeat_n('#', hashes))
                .collect();
            let begin = hashes + 2;
            let length = rest
                .get(begin..)
                .unwrap_or_default()
                .windows(end.len())
                .position(|w| w == end);
            (
                Kind::Literal,
                length.map_or(rest.len(), |length| begin + length + end.len()),
            )
        }
        ['"', ..] => (Kind::Literal, quoted_length(rest, '"')),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => (Kind::Literal, quoted_length(rest, '\'')),
        _ => (Kind::Code, 1),
    }
}

fn quoted_length(rest: &[char], quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.iter().enumerate().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if *c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn block_comment_length(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some([first, second]) = rest.get(at..at + 2) {
        match (first, second) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth.saturating_sub(1), at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let length = match first {
                _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            let (text, after) = rest.split_at(length);
            tokens.push(Token {
                text: text.to_owned(),
                line: number + 1,
            });
            rest = after.trim_start();
        }
    }
    tokens
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of ours.
pub(crate) fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = ["src", "tests", "benches"]
        .map(|name| root().join(name))
        .into();
    folders.retain(|folder| folder.is_dir());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
                found.push(Source::new(name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}
