//! Whether the state partition takes a file, keeps it and gives it back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags, fadvise};
use thiserror::Error;

/// Written, read and removed again.
const NAME: &str = ".health";
/// A page, and not all the same.
const BYTES: usize = 4096;

/// The state partition does not keep what it is given.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum StateError {
    /// `ENOSPC`: it is full. `EROFS`: it is read-only.
    #[error("{action} {}", path.display())]
    File {
        /// `writing`, `flushing`, `reading back` or `removing`.
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It says that it has kept it, and has not.
    #[error("{} reads otherwise than it was written", path.display())]
    Changed { path: PathBuf },
}

/// Writes a file in `directory`, flushes it, reads it back from the disk and removes it.
///
/// # Errors
/// See [`StateError`].
pub fn must_be_writable(directory: &Path) -> Result<(), StateError> {
    let path = directory.join(NAME);
    let failed = |action| {
        let path = path.clone();
        move |source| StateError::File {
            action,
            path,
            source,
        }
    };
    let written: Vec<u8> = (0..=u8::MAX).cycle().take(BYTES).collect();
    let mut file = create(&path).map_err(failed("writing"))?;
    file.write_all(&written).map_err(failed("writing"))?;
    file.sync_all().map_err(failed("flushing"))?;
    // What is clean leaves the cache; where it does not, the reading proves less.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    let mut read = Vec::new();
    file.rewind().map_err(failed("reading back"))?;
    file.read_to_end(&mut read)
        .map_err(failed("reading back"))?;
    fs::remove_file(&path).map_err(failed("removing"))?;
    match read == written {
        true => Ok(()),
        false => Err(StateError::Changed { path }),
    }
}

/// Whatever an earlier one has left; a link that somebody has put there leads nowhere.
fn create(path: &Path) -> io::Result<File> {
    let nofollow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    options.mode(0o600).custom_flags(nofollow).open(path)
}

#[cfg(test)]
mod tests {
    use super::{NAME, StateError, must_be_writable};
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    #[test]
    fn a_directory_that_keeps_files_is_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "left by an earlier one").unwrap();
        must_be_writable(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_does_not_is_named() {
        let error = must_be_writable(Path::new("/proc/self")).unwrap_err();
        assert!(matches!(
            error,
            StateError::File {
                action: "writing",
                ..
            }
        ));
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, "kept").unwrap();
        symlink(&elsewhere, dir.path().join(NAME)).unwrap();
        assert!(must_be_writable(dir.path()).is_err(), "a link");
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "kept");
    }

    #[test]
    #[ignore = "needs root"]
    fn a_full_file_system_is_said_to_be_one() {
        let dir = tempfile::tempdir().unwrap();
        mount("smv", dir.path(), "tmpfs", MountFlags::empty(), c"size=4k").unwrap();
        let full = fs::write(dir.path().join("large"), [0; 65536]);
        let error = must_be_writable(dir.path()).unwrap_err();
        unmount(dir.path(), UnmountFlags::empty()).unwrap();
        assert!(full.is_err());
        let StateError::File { source, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(source.kind(), ErrorKind::StorageFull);
    }
}
