//! The most gates there were lately, as the gate's directory keeps it: a gate that starts while the store
//! is away divides limits among as many as it did before.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::domain::fleet::Peak;
use crate::domain::time::Timestamp;
use crate::store::local::{DataDir, LocalError, disk, keep};

/// The file.
#[derive(Debug, Clone)]
pub struct PeakFile(PathBuf);

impl PeakFile {
    /// The one in `dir`.
    #[must_use]
    pub fn of(dir: &DataDir) -> Self {
        Self(dir.path().to_owned())
    }

    /// What is kept; nothing seen, if nothing is.
    ///
    /// # Errors
    /// If it cannot be read, or holds something else.
    pub fn read(&self) -> Result<Peak, LocalError> {
        let path = self.0.join(NAME);
        match fs::read_to_string(&path) {
            Ok(text) => parse(&text).ok_or(LocalError::NotAPeak { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Peak::default()),
            Err(error) => Err(disk(&path, "read")(error)),
        }
    }

    /// Keeps `peak`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, peak: &Peak) -> Result<(), LocalError> {
        let (seen, last) = peak.parts();
        let mut text = format!("{}\n", last.as_millis());
        for (at, live) in seen {
            text.push_str(&format!("{} {live}\n", at.as_millis()));
        }
        keep(&self.0, NAME, text.as_bytes())
    }
}

/// The last look in milliseconds; then a line for each number, when it was seen and what it was.
fn parse(text: &str) -> Option<Peak> {
    let mut lines = text.lines();
    let time = |text: &str| text.parse().ok().map(Timestamp::from_millis);
    let last = time(lines.next()?)?;
    let seen: Option<Vec<_>> = lines
        .map(|line| {
            let (at, live) = line.split_once(' ')?;
            Some((time(at)?, live.parse().ok()?))
        })
        .collect();
    Some(Peak::from_parts(seen?, last))
}

const NAME: &str = "gates";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_there_after_a_restart_and_damage_is_told() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        let file = PeakFile::of(&dir);
        assert_eq!(file.read().unwrap(), Peak::default());
        let mut peak = Peak::default();
        peak.see(Timestamp::from_millis(1_000), 4);
        peak.see(Timestamp::from_millis(2_000), 2);
        file.write(&peak).unwrap();
        assert_eq!(file.read().unwrap(), peak);
        for damaged in ["", "x\n", "5\n1\n", "5\n1 x\n"] {
            fs::write(root.path().join(NAME), damaged).unwrap();
            let read = file.read();
            assert!(
                matches!(read, Err(LocalError::NotAPeak { .. })),
                "{damaged:?}"
            );
        }
    }
}
