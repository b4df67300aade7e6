//! A tree on a file system compared with the `FILES` that was signed for it: every file by its
//! hash, and nothing else may be there (`bundles.md` 4).
//!
//! No link is followed, and no mount entered. What the tree is while it is read is all that this
//! can say: it belongs to nobody but root.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, readlinkat, statat,
};
use rustix::io::Errno;
use sha2::{Digest, Sha256 as Hasher};
use thiserror::Error;
use wire::files::{self, Files, Kind, Line};
use wire::manifest::Sha256;

const BUFFER_BYTES: usize = 256 << 10;
const DIRECTORY_MODE: u32 = 0o755;
const WAY: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_XDEV);

/// The tree is not what was signed.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum TreeFault {
    /// Listed, and not there.
    #[error("{path} is missing")]
    Missing { path: String },
    /// There, and not listed.
    #[error("{path} is not in the list")]
    Extra { path: String },
    /// Something else of that name.
    #[error("{path} is no {}", expected(*.kind))]
    Kind { path: String, kind: Kind },
    /// Other permissions.
    #[error("{path} has mode {found:04o}; expected {wanted:04o}")]
    Mode {
        path: String,
        found: u32,
        wanted: u32,
    },
    /// Somebody else may have the file by another name, and change it.
    #[error("{path} has {links} names")]
    Linked { path: String, links: u64 },
    /// Another length.
    #[error("{path} has {found} bytes; expected {wanted}")]
    Size {
        path: String,
        found: u64,
        wanted: u64,
    },
    /// Other contents.
    #[error("{path} has another SHA-256")]
    Sha256 { path: String },
    /// The file system says no.
    #[error("reading {path}")]
    Read { path: String, source: io::Error },
}

const fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Plain | Kind::Program => "regular file",
        Kind::Link => "symbolic link",
    }
}

impl TreeFault {
    /// In one word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            TreeFault::Missing { .. } => "missing",
            TreeFault::Extra { .. } => "extra",
            TreeFault::Kind { .. } => "kind",
            TreeFault::Mode { .. } => "mode",
            TreeFault::Linked { .. } => "linked",
            TreeFault::Size { .. } => "size",
            TreeFault::Sha256 { .. } => "sha256",
            TreeFault::Read { .. } => "unreadable",
        }
    }
}

/// Compares the directory `tree` with the list.
///
/// # Errors
/// The first difference, in the order of the list.
pub fn compare(tree: BorrowedFd<'_>, files: &Files<'_>) -> Result<(), TreeFault> {
    let mut walk = Walk {
        path: String::new(),
        lines: files.lines(),
        next: None,
        buffer: vec![0; BUFFER_BYTES],
    };
    walk.advance();
    walk.directory(tree)?;
    match walk.next {
        Some(line) => Err(missing(line)),
        None => Ok(()),
    }
}

fn missing(line: Line<'_>) -> TreeFault {
    TreeFault::Missing {
        path: line.path.to_owned(),
    }
}

struct Walk<'l, I> {
    /// Of the entry that is looked at; empty for the top.
    path: String,
    lines: I,
    /// The first line that was not found yet.
    next: Option<Line<'l>>,
    buffer: Vec<u8>,
}

impl<'l, I: Iterator<Item = Line<'l>>> Walk<'l, I> {
    fn advance(&mut self) {
        self.next = self.lines.next();
    }

    /// For messages.
    fn here(&self) -> String {
        match self.path.as_str() {
            "" => ".".to_owned(),
            path => path.to_owned(),
        }
    }

    fn unreadable(&self, source: impl Into<io::Error>) -> TreeFault {
        TreeFault::Read {
            path: self.here(),
            source: source.into(),
        }
    }

    /// Everything in an open directory.
    fn directory(&mut self, directory: BorrowedFd<'_>) -> Result<(), TreeFault> {
        let stat = fstat(directory).map_err(|errno| self.unreadable(errno))?;
        self.mode(&stat, DIRECTORY_MODE)?;
        let names = names(directory).map_err(|errno| self.unreadable(errno))?;
        let len = self.path.len();
        for name in names {
            self.path.truncate(len);
            if len > 0 {
                self.path.push('/');
            }
            self.path
                .push_str(&String::from_utf8_lossy(name.to_bytes()));
            let is_path = name.to_str().is_ok() && files::path(self.path.as_bytes()).is_some();
            if !is_path {
                let path = self.path.escape_debug().to_string();
                return Err(TreeFault::Extra { path });
            }
            self.entry(directory, &name)?;
        }
        self.path.truncate(len);
        Ok(())
    }

    fn entry(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> Result<(), TreeFault> {
        let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|errno| self.unreadable(errno))?;
        let found = FileType::from_raw_mode(stat.st_mode);
        let extra = || TreeFault::Extra {
            path: self.path.clone(),
        };
        let line = self.next.ok_or_else(extra)?;
        if found == FileType::Directory && files::is_in(line.path, &self.path) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let below = open(directory, name, flags).map_err(|errno| self.unreadable(errno))?;
            return self.directory(below.as_fd());
        }
        if line.path != self.path {
            return Err(match files::order(line.path, &self.path).is_lt() {
                true => missing(line),
                false => extra(),
            });
        }
        let found = match (found, line.kind) {
            (FileType::RegularFile, Kind::Plain | Kind::Program) => {
                self.regular(directory, name, &line)?
            }
            (FileType::Symlink, Kind::Link) => self.link(directory, name)?,
            (_, kind) => {
                let path = self.path.clone();
                return Err(TreeFault::Kind { path, kind });
            }
        };
        if found != (line.size_bytes, line.sha256) {
            let path = self.path.clone();
            return Err(match found.0 == line.size_bytes {
                true => TreeFault::Sha256 { path },
                false => TreeFault::Size {
                    path,
                    found: found.0,
                    wanted: line.size_bytes,
                },
            });
        }
        self.advance();
        Ok(())
    }

    /// Length and hash of a file; not read when its length is another one.
    fn regular(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        line: &Line<'_>,
    ) -> Result<(u64, Sha256), TreeFault> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open(directory, name, flags).map_err(|errno| self.unreadable(errno))?;
        let stat = fstat(&file).map_err(|errno| self.unreadable(errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(TreeFault::Kind {
                path: self.path.clone(),
                kind: line.kind,
            });
        }
        self.mode(&stat, line.kind.mode())?;
        let links = stat.st_nlink;
        if links != 1 {
            let path = self.path.clone();
            return Err(TreeFault::Linked { path, links });
        }
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        if len != line.size_bytes {
            return Ok((len, line.sha256));
        }
        hash(&mut File::from(file), &mut self.buffer).map_err(|error| self.unreadable(error))
    }

    fn link(&self, directory: BorrowedFd<'_>, name: &CStr) -> Result<(u64, Sha256), TreeFault> {
        let target = readlinkat(directory, name, Vec::new());
        let target = target.map_err(|errno| self.unreadable(errno))?;
        let target = target.to_bytes();
        Ok((target.len() as u64, Hasher::digest(target).into()))
    }

    fn mode(&self, stat: &Stat, wanted: u32) -> Result<(), TreeFault> {
        match stat.st_mode & 0o7777 {
            found if found != wanted => Err(TreeFault::Mode {
                path: self.here(),
                found,
                wanted,
            }),
            _ => Ok(()),
        }
    }
}

fn open(at: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    loop {
        match openat2(at, name, flags, Mode::empty(), WAY) {
            // A rename somewhere on the machine: openat2(2) asks to try again.
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
}

/// In the order of their bytes.
fn names(directory: BorrowedFd<'_>) -> rustix::io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn hash(file: &mut File, buffer: &mut [u8]) -> io::Result<(u64, Sha256)> {
    let (mut hasher, mut len) = (Hasher::new(), 0_u64);
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok((len, hasher.finalize().into())),
            Ok(got) => {
                hasher.update(buffer.get(..got).unwrap_or_default());
                len = len.saturating_add(got as u64);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
