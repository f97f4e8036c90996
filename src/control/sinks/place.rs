//! Which disk a folder is on, told by a file in it: gates that find the same there share it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::file::FileError;

/// What the folder is called by whoever looks into it: the same for all gates that share it. Made by the first.
///
/// # Errors
/// If it cannot be read or made.
pub(super) fn of_folder(folder: &Path) -> Result<String, FileError> {
    let path = folder.join(NAME);
    let failed = |doing| {
        let path = path.clone();
        move |source| FileError::Io {
            doing,
            path,
            source,
        }
    };
    match fs::read_to_string(&path) {
        Ok(text) if is_place(text.trim_end()) => return Ok(text.trim_end().to_owned()),
        Ok(_) => return Err(FileError::Foreign(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read")(error)),
    }
    make(folder, &path).map_err(failed("make"))?;
    let text = fs::read_to_string(&path).map_err(failed("read"))?;
    Ok(text.trim_end().to_owned())
}

/// Makes the file whole, unless another gate came first.
fn make(folder: &Path, path: &Path) -> io::Result<()> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let place = format!("{:032x}", u128::from_be_bytes(random));
    let beside = folder.join(format!("{NAME}.{place}"));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&beside)?;
        file.write_all(format!("{place}\n").as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&beside, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    };
    let made = write();
    // It has done what it was for, or cannot.
    let _ = fs::remove_file(&beside);
    made
}

fn is_place(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Hidden from whoever lists the secrets.
const NAME: &str = ".portcullis-place";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_that_share_a_folder_find_one_place_and_others_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let found: Vec<String> = std::thread::scope(|scope| {
            let gates: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| of_folder(one.path()).unwrap()))
                .collect();
            gates.into_iter().map(|gate| gate.join().unwrap()).collect()
        });
        assert!(found.iter().all(|place| *place == found[0]), "{found:?}");
        assert_ne!(of_folder(other.path()).unwrap(), found[0]);
        assert_eq!(fs::read_dir(one.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_someone_else_is_no_place() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "mine").unwrap();
        let refused = of_folder(dir.path());
        assert!(matches!(refused, Err(FileError::Foreign(_))));
    }
}
