//! A directory that a downloader without rights fills, and a node with rights reads
//! (`upgrade.md` 4).
//!
//! In: a directory that somebody else may write to at any time. Out: the [`Release`]s in it, of
//! which nothing is believed: that of the system in the directory itself, that of each place of
//! content in `ROLE/NAME`. Each holds the files of one release, files of it that are not whole yet
//! (`NAME.part`) and the lock of a downloader, and whatever else is there refuses it by name. Each
//! file is opened once, beneath the directory and without following a link, and is a regular one
//! with one name; its chunks are hashed in memory when they are used, so that nothing can be
//! changed between the check and the use.

mod fill;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bundle::trust::{Approved, Offered, Wanted};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::Errno;
use wire::manifest::{CHUNK_LISTS, MANIFEST, Role, SIGNATURE};

use crate::directory::Directory;
use crate::{Chunks, FetchError, Release};

pub use fill::{Filled, Filling};

/// A downloader holds it.
pub const LOCK: &str = ".lock";
/// What the name of a file ends with that is not whole.
pub const PART_SUFFIX: &str = ".part";
/// More entries than any release has files, each whole and in part.
const ENTRIES_MAX: usize = 4096;

/// Roles whose releases have directories of their own.
const CONTENT: [Role; 4] = [Role::Site, Role::Model, Role::Daemon, Role::Store];

/// What a staging directory has for each place.
pub struct Staged {
    path: PathBuf,
    handle: OwnedFd,
}

impl Staged {
    /// Of a directory that is open: itself, or what it was when a snapshot was taken. Errors name
    /// this path.
    #[must_use]
    pub const fn of(path: PathBuf, handle: OwnedFd) -> Self {
        Self { path, handle }
    }

    /// The release for a place; `None` where there is none. That it is for this place is only
    /// claimed.
    ///
    /// # Errors
    /// What is there is no directory, or as of [`Staging::open`].
    pub fn release(&self, wanted: Wanted<'_>) -> Result<Option<Staging>, FetchError> {
        let path = path_of(&self.path, wanted);
        let Some(handle) = directory_of(&self.path, &self.handle, wanted)? else {
            return Ok(None);
        };
        let may_have = Within::of(wanted);
        match names(&path, &handle, may_have)?
            .iter()
            .all(|name| name == LOCK)
        {
            true => Ok(None),
            false => Staging::with(&path, handle, may_have).map(Some),
        }
    }
}

/// Where a release is in a staging directory: that of the system in itself.
fn path_of(path: &Path, wanted: Wanted<'_>) -> PathBuf {
    match wanted.role {
        Role::Os => path.to_owned(),
        role => path.join(role.name()).join(wanted.product),
    }
}

/// The directory of a release beneath a staging directory, without following a link; `None` where
/// there is none.
fn directory_of(
    path: &Path,
    handle: &OwnedFd,
    wanted: Wanted<'_>,
) -> Result<Option<OwnedFd>, FetchError> {
    let below = path_of(Path::new("."), wanted);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(handle, &below, flags, Mode::empty(), resolve) {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => {
            let path = path_of(path, wanted);
            Err(match errno {
                Errno::LOOP | Errno::NOTDIR | Errno::XDEV => FetchError::NotADirectory { path },
                errno => FetchError::Open {
                    path,
                    source: errno.into(),
                },
            })
        }
    }
}

/// What may be beside the files of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// Directories of content, each of the name of a role.
    Roles,
    /// Nothing.
    Nothing,
}

impl Within {
    fn of(wanted: Wanted<'_>) -> Self {
        match wanted.role {
            Role::Os => Within::Roles,
            _ => Within::Nothing,
        }
    }

    fn has(self, name: &str) -> bool {
        let mut roles = CONTENT.into_iter();
        self == Within::Roles && roles.any(|role| role.name() == name)
    }
}

/// The directory of one release, of which only the front was read.
pub struct Staging {
    path: PathBuf,
    names: Vec<String>,
    directory: Directory,
}

impl Staging {
    /// Reads the front of the release of a system in this directory.
    ///
    /// # Errors
    /// Something else than files of one name each is there, or a part is missing or too long.
    pub fn open(path: &Path) -> Result<Self, FetchError> {
        Self::with(path, open_directory(path)?, Within::Roles)
    }

    fn with(path: &Path, handle: OwnedFd, may_have: Within) -> Result<Self, FetchError> {
        let names = names(path, &handle, may_have)?;
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

/// Every name in the directory, each known to be that of a regular file with no other name; behind
/// that of a directory that may be there nothing is looked at.
fn names(path: &Path, handle: &OwnedFd, may_have: Within) -> Result<Vec<String>, FetchError> {
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
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind == FileType::Directory && may_have.has(&name) {
            continue;
        }
        if kind != FileType::RegularFile {
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
