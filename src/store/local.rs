//! What one gate keeps on its own disk, and the lock that keeps others out of it.
//!
//! The directory is the gate's identity: the node name in it names the gate in usage marks and in the
//! fleet's roster, so two gates with one directory would take each other's place. A lock of the
//! operating system, which ends with the process however that ends, is held from the first touch.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::domain::id::BASE62;
use crate::domain::time::Timestamp;

/// Why the gate's directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Another gate has it.
    #[error("{} is in use by another gate{}", path.display(), holder(*process))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that has it, if it said so.
        process: Option<u32>,
    },
    /// A file or directory cannot be read or written.
    #[error("{} cannot be {what}", path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// `made`, `read`, `written`, `locked`.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kept name is none.
    #[error("{} holds no node name: 1 to 64 of a-z A-Z 0-9 . _ - are one", path.display())]
    NotAName {
        /// The file.
        path: PathBuf,
    },
    /// The kept head of the audit log is none.
    #[error("{} holds no signed head of the audit log", path.display())]
    NotAHead {
        /// The file.
        path: PathBuf,
    },
    /// The kept time is none.
    #[error("{} holds no time; if it is damaged, take it away", path.display())]
    NotATime {
        /// The file.
        path: PathBuf,
    },
    /// What is kept of how many gates there were is none.
    #[error("{} holds no numbers of gates", path.display())]
    NotAPeak {
        /// The file.
        path: PathBuf,
    },
    /// The kept key is none.
    #[error("{} holds no node key: 32 bytes are one", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
}

/// The directory of this gate, locked as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl DataDir {
    /// Takes the directory at `path`, made if it is not there (mode 0700).
    ///
    /// # Errors
    /// [`LocalError::InUse`] if another gate has it.
    pub fn open(path: &Path) -> Result<Self, LocalError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(disk(path, "made"))?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(disk(&lock_path, "made"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LocalError::InUse {
                    path: path.to_owned(),
                    process: process(&mut lock),
                });
            }
            Err(error) => return Err(disk(&lock_path, "locked")(error.into())),
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(disk(&lock_path, "written"))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// This gate's name: the one given, or the one kept, or one made now of the host's name and four
    /// random characters. Kept, so that a restarted gate is the same gate.
    ///
    /// # Errors
    /// If the kept name cannot be read, or a new one not be kept.
    pub fn node_name(&self, given: Option<&str>) -> Result<String, LocalError> {
        let path = self.path.join("node");
        let kept = match fs::read_to_string(&path) {
            Ok(text) => Some(text.trim_end().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(disk(&path, "read")(error)),
        };
        let name = match (given, &kept) {
            (Some(given), _) => given.to_owned(),
            (None, Some(kept)) if is_node_name(kept) => return Ok(kept.clone()),
            (None, Some(_)) => return Err(LocalError::NotAName { path }),
            (None, None) => new_name().map_err(disk(&path, "made"))?,
        };
        if kept.as_ref() != Some(&name) {
            self.keep("node", format!("{name}\n").as_bytes())?;
        }
        Ok(name)
    }

    /// Puts `bytes` into the file `name`, whole or not at all, and on the disk before it returns.
    pub(super) fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), LocalError> {
        keep(&self.path, name, bytes)
    }
}

/// A time that the gate's directory keeps.
#[derive(Debug)]
pub struct TimeFile {
    folder: PathBuf,
    name: &'static str,
}

impl TimeFile {
    /// The latest time that was seen.
    #[must_use]
    pub fn latest(dir: &DataDir) -> Self {
        Self::of(dir, "time")
    }

    /// When the store was last met.
    #[must_use]
    pub fn contact(dir: &DataDir) -> Self {
        Self::of(dir, "contact")
    }

    fn of(dir: &DataDir, name: &'static str) -> Self {
        Self {
            folder: dir.path.clone(),
            name,
        }
    }

    /// What is kept; `None` if nothing is.
    ///
    /// # Errors
    /// If it cannot be read, or is no time.
    pub fn read(&self) -> Result<Option<Timestamp>, LocalError> {
        let path = self.folder.join(self.name);
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim_end().parse() {
                Ok(kept) => Ok(Some(kept)),
                Err(_) => Err(LocalError::NotATime { path }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk(&path, "read")(error)),
        }
    }

    /// Keeps `time`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, time: Timestamp) -> Result<(), LocalError> {
        keep(&self.folder, self.name, format!("{time}\n").as_bytes())
    }
}

/// Puts `bytes` into the file `name` of `folder`, whole or not at all, and on the disk before it returns.
pub(super) fn keep(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), LocalError> {
    let (path, unfinished) = (folder.join(name), folder.join(format!("{name}.new")));
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(disk(&path, "written"))
}

/// Whether a text may name a gate.
#[must_use]
pub fn is_node_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn new_name() -> io::Result<String> {
    let host = rustix::system::uname();
    // The first label says which machine; what else is in it must not get into names of keys and files.
    let mut name: String = host
        .nodename()
        .to_string_lossy()
        .chars()
        .take_while(|letter| *letter != '.')
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
        .take(48)
        .collect();
    if name.is_empty() {
        name.push_str("gate");
    }
    name.push('-');
    let mut random = [0_u8; 4];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    for byte in random {
        let digit = BASE62.get(usize::from(byte % 62)).copied();
        name.push(char::from(digit.unwrap_or(b'0')));
    }
    Ok(name)
}

/// The process that a lock file names.
fn process(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn holder(process: Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" (process {process})"))
}

pub(super) fn disk(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> LocalError {
    let path = path.to_owned();
    move |source| LocalError::Disk { path, what, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_gate_is_told_which_directory_is_in_use_and_by_whom() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        let first = DataDir::open(&path).unwrap();
        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "{} is in use by another gate (process {})",
                path.display(),
                std::process::id()
            )
        );
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn nobody_else_may_look_into_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        let data = DataDir::open(&path).unwrap();
        data.node_name(None).unwrap();
        for (path, mode) in [
            (path.clone(), 0o700),
            (path.join("node"), 0o600),
            (path.join("lock"), 0o600),
        ] {
            let found = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{}", path.display());
        }
    }

    #[test]
    fn a_name_made_once_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        let name = data.node_name(None).unwrap();
        assert!(is_node_name(&name), "{name}");
        assert_eq!(data.node_name(None).unwrap(), name);
        drop(data);
        let again = DataDir::open(root.path()).unwrap();
        assert_eq!(again.node_name(None).unwrap(), name);
    }

    #[test]
    fn a_name_that_is_given_takes_the_place_of_the_kept_one() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        data.node_name(None).unwrap();
        assert_eq!(data.node_name(Some("gate-1")).unwrap(), "gate-1");
        assert_eq!(data.node_name(None).unwrap(), "gate-1");
    }

    #[test]
    fn a_damaged_name_is_not_replaced_in_silence() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        for text in ["", "\n", "two words\n"] {
            fs::write(root.path().join("node"), text).unwrap();
            let refused = data.node_name(None).unwrap_err();
            assert!(matches!(refused, LocalError::NotAName { .. }), "{text:?}");
        }
    }
}
