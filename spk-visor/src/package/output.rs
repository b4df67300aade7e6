//! The package's file: written under another name, and under its own when it is whole and on the disk.
//!
//! It may lie in the tree that is packed. Then the time of its directory is put back each time: the same tree gives the same
//! package a second time, and a package does not tell when it was made.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, flock, fsync,
    ftruncate, futimens, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::PackageError;
use super::node::{Facts, look_at, open_root};
use super::pack::Own;

/// Password hashes and private keys are inside.
const MODE: Mode = Mode::from_raw_mode(0o600);

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
            Err(Errno::WOULDBLOCK) => {
                let path = output.path.clone();
                output.give_up();
                Err(PackageError::Busy { path })
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    /// What of it a packing of the tree must pass over.
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
    fn open_part(&self) -> rustix::io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let part = openat(&self.dir, self.part.as_str(), flags, MODE)?;
            flock(&part, FlockOperation::NonBlockingLockExclusive)?;
            // Between opening and locking it may have been finished: then it is a package, and not to be cut.
            let mine = look_at(part.as_fd())?;
            let there = statat(&self.dir, self.part.as_str(), AtFlags::SYMLINK_NOFOLLOW);
            if there.is_ok_and(|there| there.st_ino == mine.id.1) {
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
            // Without it the next package of this tree has another time in one header; nothing else depends on it.
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
            // It was made here and nobody else wants it; a failure leaves a hidden file that the next command takes over.
            let _ = unlinkat(&self.dir, self.part.as_str(), AtFlags::empty());
            self.put_time_back();
        }
    }
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
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, MODE).map_err(|error| failed(error.into()))?;
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
