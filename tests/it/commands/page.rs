//! What a page shows: its commands, and the files they speak of.

use std::fs;
use std::path::{Path, PathBuf};

/// A block of a page, between its fences.
pub(super) struct Block {
    /// What follows the fence: the language, and what the tests are told.
    pub(super) info: String,
    pub(super) text: String,
}

impl Block {
    /// Whether it is commands.
    pub(super) fn is_commands(&self) -> bool {
        matches!(self.language(), "sh" | "bash" | "console" | "shell")
    }

    fn language(&self) -> &str {
        self.info.split(' ').next().unwrap_or_default()
    }

    /// What it says by this name: `norun=needs-systemd`.
    pub(super) fn says(&self, name: &str) -> Option<&str> {
        let mut words = self.info.split(' ').skip(1);
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

/// The README and all pages of docs, by their names.
pub(super) fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/adr"] {
        let files = fs::read_dir(root().join(folder)).unwrap();
        let names = files.filter_map(|file| file.unwrap().file_name().into_string().ok());
        let names = names.filter(|name| name.ends_with(".md"));
        pages.extend(names.map(|name| format!("{folder}/{name}")));
    }
    pages
}

/// The blocks of a page, in order.
pub(super) fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block {
                    info: info.to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block is not closed");
    blocks
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
