//! Steps of one gate's wall clock, by a few lines of C that are loaded into its process (`step.c`).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The hand on the clock of one gate.
#[derive(Debug)]
pub(crate) struct ClockHand {
    pub(crate) path: PathBuf,
    file: File,
}

impl ClockHand {
    /// A clock that is right, steered by a file in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let path = folder.join("clock");
        fs::write(&path, [0; 16]).unwrap();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        Self { path, file }
    }

    /// From now on the gate's clock is so many seconds ahead of the machine's, or behind it.
    pub(crate) fn set(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// Whether the gate looks at it.
    pub(crate) fn is_watched(&self) -> bool {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, 8).unwrap();
        i64::from_ne_bytes(bytes) == 1
    }
}

/// What is loaded into gates; built once, by the compiler that the gate's own C parts are built with.
pub(crate) fn library() -> &'static Path {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("step.c");
        let path = folder.path().join("step.so");
        fs::write(&source, include_str!("step.c")).unwrap();
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-o"])
            .args([&path, &source])
            .status();
        assert!(built.is_ok_and(|it| it.success()), "cc builds step.c");
        (folder, path)
    });
    path
}
