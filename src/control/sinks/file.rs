//! A file per key on this machine: readable by its owner alone, replaced whole, read back.
//!
//! A new secret is written beside the file, synced, renamed over it, and the folder is synced: whoever
//! opens the file finds the old secret or the new one, never half of one, also after a crash. What was
//! renamed over is not followed: a link in the place of the file is replaced, not written through.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Note, SecretSink, SinkError, place};
use crate::config::{self, FileFormat, NamePart};
use crate::domain::key::Key;
use crate::domain::secret::Secret;

/// Why the file of a key could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk says no.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What is there was written by someone else.
    #[error("`{}` is not what this sink writes", .0.display())]
    Foreign(PathBuf),
    /// The gate is stopping.
    #[error("stopped in the middle")]
    Stopped,
}

/// A file per key.
#[derive(Debug, Clone)]
pub(super) struct FileSink(config::FileSink);

impl FileSink {
    pub(super) fn new(file: config::FileSink) -> Self {
        Self(file)
    }

    /// The file of a key. What a key is called cannot lead out of the folder, nor hide the file.
    fn path(&self, key: &Key) -> PathBuf {
        let mut name = String::new();
        for part in &self.0.name {
            match part {
                NamePart::Text(text) => name.push_str(text),
                NamePart::Id => name.push_str(key.id.chars()),
                NamePart::Name => name.push_str(&tame(&key.settings.name)),
                NamePart::Env => name.push_str(&tame(&key.env)),
            }
        }
        self.0.folder.join(name)
    }

    fn text(&self, key: &Key, secret: &Secret, note: Note) -> Zeroizing<String> {
        Zeroizing::new(match &self.0.format {
            FileFormat::Plain => format!("{}\n", secret.reveal()),
            FileFormat::Env(variable) => format!("{variable}={}\n", secret.reveal()),
            FileFormat::Json => {
                let form = JsonForm {
                    secret: secret.reveal(),
                    key_id: &key.id.to_string(),
                    version: note.version,
                    fingerprint: &note.fingerprint.to_string(),
                    created_at: &note.made_at.to_string(),
                };
                // Invariant: a struct of texts and numbers is always JSON.
                let mut text = serde_json::to_string(&form).unwrap_or_default();
                text.push('\n');
                text
            }
        })
    }

    /// What is in the place of the file may be replaced: nothing, a secret of ours, or no file at all.
    fn ensure_ours(&self, path: &Path) -> Result<(), FileError> {
        let found = fs::symlink_metadata(path).map(|found| found.file_type());
        // A pipe, say, has somebody at its other end.
        if found
            .as_ref()
            .is_ok_and(|kind| !kind.is_file() && !kind.is_symlink() && !kind.is_dir())
        {
            return Err(FileError::Foreign(path.to_owned()));
        }
        match if found.is_ok_and(|kind| kind.is_file()) {
            read(path)?
        } else {
            None
        } {
            Some(text) if !text.is_empty() && self.secret_in(&text).is_none() => {
                Err(FileError::Foreign(path.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// The secret in a text that this sink wrote.
    fn secret_in(&self, text: &str) -> Option<Secret> {
        let secret = match &self.0.format {
            FileFormat::Plain => text.strip_suffix('\n')?.to_owned(),
            FileFormat::Env(variable) => text
                .strip_suffix('\n')?
                .strip_prefix(variable.as_str())?
                .strip_prefix('=')?
                .to_owned(),
            FileFormat::Json => serde_json::from_str::<JsonHeld>(text).ok()?.secret,
        };
        let is_one_word = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
        is_one_word.then(|| Secret::new(secret))
    }
}

#[async_trait]
impl SecretSink for FileSink {
    async fn put(&self, key: &Key, secret: &Secret, note: Note) -> Result<(), SinkError> {
        let (path, text) = (self.path(key), self.text(key, secret, note));
        let sink = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            sink.ensure_ours(&path)?;
            replace(&path, text.as_bytes())
        });
        Ok(written.await.map_err(|_| FileError::Stopped)??)
    }

    async fn held(&self, key: &Key) -> Result<Option<Secret>, SinkError> {
        let path = self.path(key);
        let from = path.clone();
        let read = tokio::task::spawn_blocking(move || read(&from));
        let Some(text) = read.await.map_err(|_| FileError::Stopped)?? else {
            return Ok(None);
        };
        let secret = self.secret_in(&text);
        Ok(Some(secret.ok_or(FileError::Foreign(path))?))
    }

    async fn place(&self) -> Result<Option<String>, SinkError> {
        let folder = self.0.folder.clone();
        let found = tokio::task::spawn_blocking(move || place::of_folder(&folder));
        let place = found.await.map_err(|_| FileError::Stopped)??;
        Ok(Some(place))
    }
}

/// Puts `bytes` in the place of the file, whole, and so that it stays.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let beside = beside(path);
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| FileError::Io {
            doing,
            path,
            source,
        }
    };
    // Left by a gate that was killed here. Whatever it is, it is not written through.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("take away", &beside)(error));
        }
        _ => {}
    }
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    if let Err(error) = write() {
        // A secret must not be left lying about; the error that matters is the first.
        let _ = fs::remove_file(&beside);
        return Err(failed("write", &beside)(error));
    }
    if let Err(error) = fs::rename(&beside, path) {
        let _ = fs::remove_file(&beside);
        return Err(failed("replace", path)(error));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(failed("sync the folder of", path))
}

/// The text of the file; `None` if there is none.
fn read(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    let failed = |source| FileError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    // Whatever lies there, opening it neither waits nor leads elsewhere.
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // A link is not followed: none of ours is one, and the next secret takes its place.
        Err(error) if is_link(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    // Asked of what was opened, not of what lies at the path by now.
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(FileError::Foreign(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::with_capacity(FILE_MAX));
    let mut reader = file.take(FILE_MAX as u64 + 1);
    match reader.read_to_string(&mut text) {
        Ok(length) if length <= FILE_MAX => Ok(Some(text)),
        Ok(_) => Err(FileError::Foreign(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(FileError::Foreign(path.to_owned()))
        }
        Err(error) => Err(failed(error)),
    }
}

fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Where the new text is written before it takes its place: in the same folder, hidden.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

/// A text as a part of a file's name: letters, digits, `-`, `_` and, not at its beginning, dots; no
/// longer than 64 characters.
fn tame(text: &str) -> String {
    let tamed = text.chars().take(64).enumerate().map(|(at, char)| {
        let fits = char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
        if fits || char == '.' && at > 0 {
            char
        } else {
            '_'
        }
    });
    tamed.collect()
}

#[derive(Serialize)]
struct JsonForm<'a> {
    secret: &'a str,
    key_id: &'a str,
    version: u16,
    fingerprint: &'a str,
    created_at: &'a str,
}

#[derive(Deserialize)]
struct JsonHeld {
    secret: String,
}

/// More than any file of ours has.
const FILE_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::domain::id::{KeyId, OwnerId};
    use crate::domain::key::KeySettings;
    use crate::domain::lifecycle::{Birth, create};
    use crate::domain::secret::{Fingerprint, KeyHash};
    use crate::domain::time::Timestamp;

    fn key(name: &str) -> Key {
        let birth = Birth {
            id: KeyId::from_chars(b"0123456789").unwrap(),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            hash: KeyHash {
                pepper: 0,
                digest: [1; 32],
            },
            fingerprint: Fingerprint::from_bytes([1; 6]),
            created_by: "tok_x".into(),
        };
        create(birth, KeySettings::named(name), Timestamp::from_millis(1))
    }

    fn note() -> Note {
        Note {
            version: 2,
            fingerprint: Fingerprint::from_bytes([1; 6]),
            made_at: Timestamp::from_millis(1),
        }
    }

    fn sink(folder: &Path, format: FileFormat) -> FileSink {
        FileSink::new(config::FileSink {
            folder: folder.to_owned(),
            name: vec![NamePart::Name, NamePart::Text("-".into()), NamePart::Id],
            format,
        })
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    // S0-16, S3-18
    #[tokio::test]
    async fn what_was_put_is_held_in_every_format_and_nobody_else_may_read_it() {
        for format in [
            FileFormat::Plain,
            FileFormat::Json,
            FileFormat::Env("API_KEY".into()),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let sink = sink(folder.path(), format.clone());
            let key = key("billing");
            assert!(sink.held(&key).await.unwrap().is_none());
            for text in ["pk_live_first", "pk_live_second"] {
                sink.put(&key, &Secret::new(text.into()), note())
                    .await
                    .unwrap();
                let held = sink.held(&key).await.unwrap().unwrap();
                assert_eq!(held.reveal(), text, "{format:?}");
            }
            assert_eq!(files(folder.path()), ["billing-0123456789"]);
            let file = folder.path().join("billing-0123456789");
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn no_name_of_a_key_leads_out_of_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("keys");
        fs::create_dir(&folder).unwrap();
        let sink = sink(&folder, FileFormat::Plain);
        for name in ["../evil", "/etc/passwd", "..", ".hidden", "a\u{0}b", "ü/ü"] {
            let key = key(name);
            sink.put(&key, &Secret::new("s".into()), note())
                .await
                .unwrap();
            assert!(sink.held(&key).await.unwrap().is_some(), "{name}");
        }
        assert_eq!(files(outer.path()), ["keys"]);
        assert!(files(&folder).iter().all(|name| !name.starts_with('.')));
    }

    // S3-18
    #[tokio::test]
    async fn a_pipe_in_the_place_of_a_file_holds_nobody_up_and_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let sink = sink(folder.path(), FileFormat::Plain);
        let key = key("k");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, sink.path(&key), pipe, mode, 0).unwrap();
        let within = std::time::Duration::from_secs(5);
        let held = tokio::time::timeout(within, sink.held(&key)).await.unwrap();
        assert!(matches!(held, Err(SinkError::File(FileError::Foreign(_)))));
        let secret = Secret::new("s".into());
        let put = tokio::time::timeout(within, sink.put(&key, &secret, note()));
        let put = put.await.unwrap();
        assert!(matches!(put, Err(SinkError::File(FileError::Foreign(_)))));
        assert_eq!(files(folder.path()), ["k-0123456789"]);
    }

    #[tokio::test]
    async fn a_link_is_replaced_and_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        fs::write(&target, "untouched").unwrap();
        let sink = sink(folder.path(), FileFormat::Plain);
        let key = key("k");
        for link in [sink.path(&key), beside(&sink.path(&key))] {
            std::os::unix::fs::symlink(&target, link).unwrap();
        }
        sink.put(&key, &Secret::new("s".into()), note())
            .await
            .unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
        assert_eq!(sink.held(&key).await.unwrap().unwrap().reveal(), "s");
    }

    #[tokio::test]
    async fn what_cannot_be_put_leaves_what_was_there_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let sink = sink(folder.path(), FileFormat::Plain);
        let key = key("k");
        // A folder in the place of the file cannot be renamed over.
        fs::create_dir(sink.path(&key)).unwrap();
        let put = sink.put(&key, &Secret::new("s".into()), note()).await;
        assert!(matches!(
            put,
            Err(SinkError::File(FileError::Io {
                doing: "replace",
                ..
            }))
        ));
        assert_eq!(files(folder.path()), ["k-0123456789"]);
    }

    #[tokio::test]
    async fn a_file_of_someone_else_is_neither_taken_for_a_secret_nor_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let sink = sink(folder.path(), FileFormat::Json);
        let key = key("k");
        for text in ["", "not json", "{\"secrets\": 1}", &"x".repeat(5_000)] {
            fs::write(sink.path(&key), text).unwrap();
            let held = sink.held(&key).await;
            assert!(matches!(held, Err(SinkError::File(FileError::Foreign(_)))));
            let put = sink.put(&key, &Secret::new("s".into()), note()).await;
            // An empty file was put there to be filled.
            assert_eq!(put.is_ok(), text.is_empty());
            let left = fs::read_to_string(sink.path(&key)).unwrap();
            assert_eq!(left == text, !text.is_empty());
        }
    }
}
