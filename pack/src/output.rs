//! The package's file: written under another name, and under its own when it is whole and on the
//! disk.
//!
//! Others may write to the directory too. A file that is there already is taken over only when it
//! is a regular one of the user who packs, with one name, and its mode is 0600 before the first
//! byte is in it.
//!
//! It may lie in the tree that is packed. Then the time of its directory is put back each time: the
//! same tree gives the same package a second time, and a package does not tell when it was made.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, fchmod,
    flock, fsync, ftruncate, futimens, openat, renameat, statat, unlinkat,
};
use thiserror::Error;

use super::PackageError;
use super::job::Own;
use super::node::{Facts, look_at, open_root};

/// Password hashes and private keys are inside.
const MODE: Mode = Mode::from_raw_mode(0o600);
/// No link is followed, and a FIFO that somebody has put there is not waited for.
const OPEN: OFlags = OFlags::CREATE
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Why a file that is there is not written to.
#[derive(Debug, Error)]
#[error("the file that is there {0}; remove it, or write elsewhere")]
struct Foreign(&'static str);

/// A package that is being written. Dropped before [`Output::finish`], it leaves nothing behind.
pub struct Output {
    dir: OwnedFd,
    path: PathBuf,
    facts: Facts,
    /// The directory lies in the tree.
    is_inside: bool,
    part: String,
    name: String,
    is_finished: bool,
}

impl Output {
    /// Makes the directory when it is not there, and in it the file under its other name.
    ///
    /// # Errors
    /// The kernel's; or another command is writing the same package.
    pub fn create(dir: &Path, name: &str, root: &OwnedFd) -> Result<(Self, File), PackageError> {
        let failed = |source: io::Error| PackageError::Output {
            path: dir.join(name),
            source,
        };
        fs::create_dir_all(dir).map_err(failed)?;
        let fd = open_root(dir).map_err(|error| failed(error.into()))?;
        let facts = look_at(fd.as_fd()).map_err(|error| failed(error.into()))?;
        let is_inside = is_inside(&fd, root).map_err(|error| failed(error.into()))?;
        let output = Output {
            dir: fd,
            path: dir.join(name),
            facts,
            is_inside,
            part: format!(".{name}.part"),
            name: name.to_owned(),
            is_finished: false,
        };
        match output.open_part() {
            Ok(file) => Ok((output, file)),
            Err(error) => {
                let (path, part) = (output.path.clone(), dir.join(&output.part));
                output.give_up();
                Err(match error.kind() {
                    io::ErrorKind::WouldBlock => PackageError::Busy { path },
                    _ => PackageError::Output {
                        path: part,
                        source: error,
                    },
                })
            }
        }
    }

    /// The files of it that a packing of the tree must pass over.
    #[must_use]
    pub fn own(&self) -> Vec<Own> {
        let names = [&self.part, &self.name];
        let own = |name: &String| (self.facts.id, name.clone().into_bytes());
        names.into_iter().map(own).collect()
    }

    /// Where the package will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Somebody else's file is left alone.
    fn give_up(mut self) {
        self.is_finished = true;
    }

    /// A file that a killed command has left is taken over; one that is locked is being written.
    fn open_part(&self) -> io::Result<File> {
        loop {
            let part = openat(&self.dir, self.part.as_str(), OFlags::RDWR | OPEN, MODE)?;
            require_own(part.as_fd())?;
            flock(&part, FlockOperation::NonBlockingLockExclusive)?;
            // Between opening and locking it may have been finished: then it is a package, and not
            // to be cut.
            let mine = look_at(part.as_fd())?;
            let there = statat(&self.dir, self.part.as_str(), AtFlags::SYMLINK_NOFOLLOW);
            if there.is_ok_and(|there| there.st_ino == mine.id.1) {
                fchmod(&part, MODE)?;
                ftruncate(&part, 0)?;
                self.put_time_back();
                return Ok(File::from(part));
            }
        }
    }

    fn put_time_back(&self) {
        if self.is_inside {
            let (seconds, nanoseconds) = self.facts.mtime;
            let times = Timestamps {
                last_access: Timespec {
                    tv_sec: 0,
                    tv_nsec: UTIME_OMIT,
                },
                last_modification: Timespec {
                    tv_sec: seconds,
                    tv_nsec: nanoseconds.into(),
                },
            };
            // Without it the next package of this tree has another time in one header; nothing else
            // depends on it.
            let _ = futimens(&self.dir, &times);
        }
    }

    /// Gives the package its name; it replaces an older one.
    ///
    /// # Errors
    /// The kernel's; the older one is then still there.
    pub fn finish(mut self, file: &File) -> Result<(), PackageError> {
        let done = fsync(file)
            .and_then(|()| renameat(&self.dir, self.part.as_str(), &self.dir, self.name.as_str()))
            .and_then(|()| fsync(&self.dir));
        self.put_time_back();
        done.map_err(|error| PackageError::Output {
            path: self.path.clone(),
            source: error.into(),
        })?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.is_finished {
            // It was made here and nobody else wants it; a failure leaves a hidden file that the
            // next command takes over.
            let _ = unlinkat(&self.dir, self.part.as_str(), AtFlags::empty());
            self.put_time_back();
        }
    }
}

/// Data written into another user's file, or into one with a second name, is not ours alone.
fn require_own(file: BorrowedFd<'_>) -> io::Result<()> {
    let facts = look_at(file)?;
    let what = if facts.kind != FileType::RegularFile {
        "is no regular file"
    } else if facts.uid != rustix::process::geteuid().as_raw() {
        "belongs to another user"
    } else if facts.links > 1 {
        "has other names"
    } else {
        return Ok(());
    };
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        Foreign(what),
    ))
}

/// Whether `root` is above `dir`, or is it.
fn is_inside(dir: &OwnedFd, root: &OwnedFd) -> rustix::io::Result<bool> {
    let root = look_at(root.as_fd())?.id;
    let mut here = look_at(dir.as_fd())?.id;
    let mut fd = openat(
        dir,
        c".",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    while here != root {
        fd = openat(
            &fd,
            c"..",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let above = look_at(fd.as_fd())?.id;
        if above == here {
            return Ok(false); // the root of everything
        }
        here = above;
    }
    Ok(true)
}

/// Makes the report's file; what of it a packing must pass over.
///
/// # Errors
/// The kernel's.
pub fn create_report(path: &Path) -> Result<(File, Own), PackageError> {
    let failed = |source: io::Error| PackageError::Report {
        path: path.to_owned(),
        source,
    };
    let file =
        openat(CWD, path, OFlags::WRONLY | OPEN, MODE).map_err(|error| failed(error.into()))?;
    require_own(file.as_fd()).map_err(failed)?;
    fchmod(&file, MODE)
        .and_then(|()| ftruncate(&file, 0))
        .map_err(|error| failed(error.into()))?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let dir = open_root(dir)
        .and_then(|dir| look_at(dir.as_fd()))
        .map_err(|error| failed(error.into()))?;
    let name = path.file_name().unwrap_or_default();
    let name = std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec();
    Ok((File::from(file), (dir.id, name)))
}

#[cfg(test)]
mod tests {
    use super::{Output, create_report};
    use crate::node::open_root;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
    use std::path::Path;
    use tempfile::TempDir;
    use wire::chain::chain;

    /// The file holds the lock.
    fn create(dir: &Path) -> Result<(Output, fs::File), String> {
        let root = open_root(dir).unwrap();
        Output::create(dir, "x.tar.xz", &root).map_err(|error| chain(&error).to_string())
    }

    #[test]
    fn what_a_killed_command_left_becomes_private_and_empty() {
        let dir = TempDir::new().unwrap();
        let part = dir.path().join(".x.tar.xz.part");
        fs::write(&part, "half").unwrap();
        fs::set_permissions(&part, fs::Permissions::from_mode(0o666)).unwrap();
        let output = create(dir.path()).unwrap();
        let about = fs::metadata(&part).unwrap();
        assert_eq!((about.mode() & 0o777, about.len()), (0o600, 0));
        let busy = create(dir.path()).err().unwrap();
        assert!(busy.contains("being written by another command"), "{busy}");
        drop(output);
        assert!(!part.exists());
    }

    #[test]
    fn a_file_that_somebody_put_there_is_refused_and_left_alone() {
        let dir = TempDir::new().unwrap();
        let (part, other) = (dir.path().join(".x.tar.xz.part"), dir.path().join("other"));
        fs::write(&other, "kept").unwrap();
        fs::hard_link(&other, &part).unwrap();
        let error = create(dir.path()).err().unwrap();
        assert!(
            error.contains(".part: the file that is there has other names"),
            "{error}"
        );
        let error = chain(&create_report(&part).unwrap_err()).to_string();
        assert!(error.contains("has other names"), "{error}");
        fs::remove_file(&part).unwrap();
        symlink("other", &part).unwrap();
        assert!(create(dir.path()).is_err());
        assert!(create_report(&part).is_err());
        assert!(part.is_symlink(), "not removed either");
        assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
    }

    #[test]
    fn another_users_file_is_refused() {
        let dir = TempDir::new().unwrap();
        let part = dir.path().join(".x.tar.xz.part");
        fs::write(&part, "").unwrap();
        // Only root can give a file away; for anybody else root's own files are another user's.
        if chown(&part, Some(65534), None).is_ok() {
            let error = create(dir.path()).err().unwrap();
            assert!(error.contains("belongs to another user"), "{error}");
            assert!(part.exists());
        }
        let error = chain(&create_report(Path::new("/dev/null")).unwrap_err()).to_string();
        assert!(error.contains("is no regular file"), "{error}");
    }
}
