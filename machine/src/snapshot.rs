//! A directory that somebody else may change, as it is at one moment.
//!
//! In: an open directory. Where it is a subvolume of btrfs: a read-only snapshot of it out, beside
//! it as `.NAME.snapshot`, which is removed when the value is dropped. One that was left by a power
//! cut is removed before the next one is made. Who calls this twice at once excludes itself, by a
//! lock.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use sys::btrfs;
use thiserror::Error;

/// A snapshot, for as long as this is.
#[derive(Debug)]
pub struct Snapshot {
    /// Where it is.
    parent: OwnedFd,
    name: CString,
    directory: OwnedFd,
}

/// There is no snapshot.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SnapshotError {
    /// Where it would be.
    #[error("looking for the directory that {} is in", path.display())]
    Parent {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Something else has its name.
    #[error("{} is there, and no read-only subvolume", path.display())]
    Taken { path: PathBuf },
    /// One that is left over.
    #[error("removing {}, which an earlier run has left", path.display())]
    LeftOver {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The kernel makes none.
    #[error("making {}", path.display())]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Snapshot {
    /// A snapshot of this open directory, whose path is `path`; `None` when it is no subvolume.
    ///
    /// # Errors
    /// See [`SnapshotError`]. Nothing was changed then.
    pub fn of(path: &Path, directory: BorrowedFd<'_>) -> Result<Option<Self>, SnapshotError> {
        if !btrfs::is_subvolume(directory).unwrap_or(false) {
            return Ok(None);
        }
        let (parent, path, name) = beside(path, directory)?;
        remove_left_over(&parent, &path, &name)?;
        let made = btrfs::snapshot(directory, &parent, &name);
        made.and_then(|()| match open(&parent, &name) {
            Ok(directory) => Ok(Some(Self {
                parent,
                name,
                directory,
            })),
            Err(errno) => {
                // Nobody else looks after it.
                let _ = btrfs::remove(&parent, &name);
                Err(errno.into())
            }
        })
        .map_err(|source| SnapshotError::Make { path, source })
    }

    /// What is in it.
    #[must_use]
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // One that stays is removed by the next run.
        let _ = btrfs::remove(&self.parent, &self.name);
    }
}

/// The directory that this one is in, and the snapshot's path and name there.
fn beside(
    path: &Path,
    directory: BorrowedFd<'_>,
) -> Result<(OwnedFd, PathBuf, CString), SnapshotError> {
    let failed = |source: io::Error| SnapshotError::Parent {
        path: path.to_owned(),
        source,
    };
    let own = path.canonicalize().map_err(failed)?;
    let name = own.file_name().ok_or_else(|| failed(Errno::XDEV.into()))?;
    let name = [b".", name.as_bytes(), b".snapshot"].concat();
    let path = own.with_file_name(std::ffi::OsStr::from_bytes(&name));
    let name = CString::new(name).map_err(|error| failed(error.into()))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = openat(directory, c"..", flags, Mode::empty());
    Ok((parent.map_err(|errno| failed(errno.into()))?, path, name))
}

fn open(parent: &OwnedFd, name: &CString) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(parent, name.as_c_str(), flags, Mode::empty(), resolve)
}

/// Removes what has the snapshot's name, if it is one.
fn remove_left_over(parent: &OwnedFd, path: &Path, name: &CString) -> Result<(), SnapshotError> {
    let path = path.to_owned();
    match open(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        Ok(found)
            if btrfs::is_subvolume(&found).unwrap_or(false)
                && btrfs::is_read_only(&found).unwrap_or(false) => {}
        _ => return Err(SnapshotError::Taken { path }),
    }
    btrfs::remove(parent, name).map_err(|source| SnapshotError::LeftOver { path, source })
}

#[cfg(test)]
mod tests;
