//! A directory that a downloader without rights fills, and a node with rights reads
//! (`upgrade.md` 4).
//!
//! In: a directory that somebody else may write to at any time. Out: the [`Release`] in it, of
//! which nothing is believed. It holds the files of one release, files of it that are not whole yet
//! (`NAME.part`) and the lock of a downloader, and whatever else is there refuses it by name. Each
//! file is opened once, beneath the directory and without following a link, and is a regular one
//! with one name; its chunks are hashed in memory when they are used, so that nothing can be
//! changed between the check and the use.

mod fill;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bundle::trust::{Approved, Offered};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, statat};
use wire::manifest::{CHUNK_LISTS, MANIFEST, SIGNATURE};

use crate::directory::Directory;
use crate::{Chunks, FetchError, Release};

pub use fill::{Filled, fill};

/// A downloader holds it.
pub const LOCK: &str = ".lock";
/// What the name of a file ends with that is not whole.
pub const PART_SUFFIX: &str = ".part";
/// More entries than any release has files, each whole and in part.
const ENTRIES_MAX: usize = 4096;

/// A staging directory, of which only the front was read.
pub struct Staging {
    path: PathBuf,
    names: Vec<String>,
    directory: Directory,
}

impl Staging {
    /// Reads the front of the release in this directory.
    ///
    /// # Errors
    /// Something else than files of one name each is there, or a part is missing or too long.
    pub fn open(path: &Path) -> Result<Self, FetchError> {
        Self::of(path, open_directory(path)?)
    }

    /// Likewise, of a directory that is open: itself, or what it was when a snapshot was taken.
    /// Errors name this path.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub fn of(path: &Path, handle: OwnedFd) -> Result<Self, FetchError> {
        let names = names(path, &handle)?;
        let directory = Directory::of_single_links(path, &File::from(handle))?;
        Ok(Self {
            path: path.to_owned(),
            names,
            directory,
        })
    }
}

impl Release for Staging {
    fn offered(&self) -> Offered<'_> {
        self.directory.offered()
    }

    fn chunks(self: Box<Self>, approved: &Approved) -> Result<Box<dyn Chunks>, FetchError> {
        only_of(approved, &self.path, &self.names)?;
        Ok(Box::new(self.directory.spans(approved)?))
    }
}

/// Refuses what is not of this release.
fn only_of(approved: &Approved, path: &Path, names: &[String]) -> Result<(), FetchError> {
    match names.iter().find(|name| !belongs(name, approved)) {
        Some(name) => Err(FetchError::Foreign {
            path: path.join(name),
        }),
        None => Ok(()),
    }
}

/// Is it of this release?
fn belongs(name: &str, approved: &Approved) -> bool {
    let whole = name.strip_suffix(PART_SUFFIX).unwrap_or(name);
    let is_front = [MANIFEST, SIGNATURE, CHUNK_LISTS].contains(&whole);
    let is_file = approved.files().any(|file| file.name.as_str() == whole);
    is_front || is_file || name == LOCK
}

/// Opens a staging directory; nothing in it is looked at.
///
/// # Errors
/// It is not there, or no directory.
pub fn open_directory(path: &Path) -> Result<OwnedFd, FetchError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    opened.map_err(|errno| FetchError::Open {
        path: path.to_owned(),
        source: errno.into(),
    })
}

/// Every name in the directory, each known to be that of a regular file with no other name.
fn names(path: &Path, handle: &OwnedFd) -> Result<Vec<String>, FetchError> {
    let failed = |source: io::Error| FetchError::Read {
        path: path.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in Dir::read_from(handle).map_err(|errno| failed(errno.into()))? {
        let entry = entry.map_err(|errno| failed(errno.into()))?;
        let raw = entry.file_name().to_bytes();
        if raw == b"." || raw == b".." {
            continue;
        }
        let name = String::from_utf8_lossy(raw).into_owned();
        let path = path.join(&name);
        if names.len() == ENTRIES_MAX {
            return Err(FetchError::Foreign { path });
        }
        let found = statat(handle, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
        let found = found.map_err(|errno| failed(errno.into()))?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(FetchError::NotAFile { path });
        }
        if found.st_nlink != 1 {
            let links = found.st_nlink;
            return Err(FetchError::Linked { path, links });
        }
        names.push(name);
    }
    Ok(names)
}
