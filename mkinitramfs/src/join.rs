//! Packages in, one after another; the tar of one root file system out, and beside it what does not
//! belong into that root: kernels and what the head of a slot needs.
//!
//! Every package is read under the policy of a target (`bundle::unpack`). A package may enter the
//! directories of one before it, also through a symbolic link (`lib -> usr/lib`), as it does on a
//! target; but a path that two packages have is refused, unless it is the same directory: which of
//! two files wins must not depend on an order. What lies in `/boot` stays out of the root, and SSH
//! host keys do: every node of the image would have the same. The same packages in the same order
//! give the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bundle::host_keys::is_host_key;
use bundle::unpack::{Content, Entry, Kind, Segment, UnpackError, UnpackLimits, visit};
use pack::tar::{self, Member};

mod path;

pub use path::Taken;
use path::{Before, Paths, shown};

/// What lies in here is left out of the root: a slot has its kernel in its head. The directory
/// itself stays, for programs that mount something there.
const BOOT: &[u8] = b"boot/";
/// Where SSH host keys are.
const SSH: &[u8] = b"etc/ssh/";
/// Where modules are, also once `lib` is a link.
const MODULES: [&[u8]; 2] = [b"lib/modules", b"usr/lib/modules"];
/// Files that are kept in memory too, for what is made besides the root.
const REMEMBERED: [&str; 5] = [
    "etc/kernel/cmdline",
    "usr/lib/smechvisor/grub/boot.img",
    "usr/lib/smechvisor/grub/core.img",
    "usr/lib/smechvisor/grub/grubx64.efi",
    "usr/lib/smechvisor/grub/shimx64.efi",
];
/// None of those is larger.
const REMEMBERED_MAX_BYTES: u64 = 16 << 20;
/// The attributes that squashfs has (`fs/squashfs/xattr_id.c`).
const ATTRIBUTES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
/// Memory for the paths of one package.
const PATHS_BYTES: u64 = 512 << 20;

/// Packages cannot become one root.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum JoinError {
    /// A target would not unpack it.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// Two packages have a path.
    #[error("{path} is in {first} and in {second}")]
    Twice {
        path: String,
        first: String,
        second: String,
    },
    /// Two packages disagree about a directory.
    #[error(
        "the directory {path} has mode {mode:04o} and owner {owner} in {first}, \
         and others in {second}"
    )]
    Directory {
        path: String,
        mode: u32,
        /// Numbers of user and group.
        owner: String,
        first: String,
        second: String,
    },
    /// The way to it is no directory.
    #[error("{path}: {way} on the way to it is no directory")]
    Way { path: String, way: String },
    /// Links that lead to one another.
    #[error("{0}: the symbolic links on the way to it do not end")]
    Links(String),
    /// A hard link to what is not in the root.
    #[error("{path} is a hard link to {target}, which is not in the root before it")]
    HardLink { path: String, target: String },
    /// The result cannot be written.
    #[error("writing {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// What was joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Entries in the root.
    pub entries: u64,
    /// Bytes of contents in it.
    pub content_bytes: u64,
    /// The newest time of an entry, in seconds since 1970.
    pub newest: u64,
    /// Attributes that squashfs cannot hold.
    pub lost_attributes: u64,
    /// Files with SSH host keys, which are left out.
    pub host_keys: u64,
}

/// Joins packages.
pub struct Join<W> {
    out: W,
    out_path: PathBuf,
    aside: PathBuf,
    /// What was set aside, with the number of its package.
    set_aside: BTreeMap<Vec<u8>, usize>,
    paths: Paths,
    packages: Vec<String>,
    remembered: BTreeMap<&'static str, Vec<u8>>,
    joined: Joined,
}

impl<W: Write> Join<W> {
    /// Writes the tar to `out`, which errors call `out_path`, and copies kernels and modules into
    /// the directory `aside`, under their own paths.
    pub fn new(out: W, out_path: &Path, aside: &Path) -> Self {
        Self {
            out,
            out_path: out_path.to_owned(),
            aside: aside.to_owned(),
            set_aside: BTreeMap::new(),
            paths: Paths::default(),
            packages: Vec::new(),
            remembered: BTreeMap::new(),
            joined: Joined::default(),
        }
    }

    /// Adds the tar of a package, which errors call `name`.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn package(&mut self, name: &str, tar: impl Read) -> Result<(), JoinError> {
        self.packages.push(name.to_owned());
        let limits = UnpackLimits::for_memory(PATHS_BYTES);
        visit(tar, &limits, |entry, content| self.entry(entry, content)).map(drop)
    }

    /// Adds a file of root's that everybody may read; its time is that of nothing newer.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn file(&mut self, name: &str, path: &str, bytes: &[u8]) -> Result<(), JoinError> {
        self.packages.push(name.to_owned());
        let path = self.place(path.as_bytes())?;
        self.take(&path, Taken::Other)?;
        let newest = i64::try_from(self.joined.newest).unwrap_or(i64::MAX);
        let member = Member {
            path: &path,
            kind: tar::Kind::File {
                len: bytes.len() as u64,
            },
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: (newest, 0),
            xattrs: &[],
        };
        self.header(&member)?;
        self.contents(bytes)?;
        self.padding(bytes.len() as u64)
    }

    /// Where a path of the root leads: through every symbolic link, the last one too. `None` when
    /// there is nothing.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Taken> {
        let path = self.paths.resolve(path.as_bytes()).ok()?;
        self.paths.get(&path)
    }

    /// One of the files that are remembered.
    #[must_use]
    pub fn remembered(&self, path: &str) -> Option<&[u8]> {
        self.remembered.get(path).map(Vec::as_slice)
    }

    /// Ends the tar.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(&mut self) -> Result<Joined, JoinError> {
        let ended = tar::write_end(&mut self.out).and_then(|()| self.out.flush());
        ended.map_err(|source| self.unwritten(source))?;
        Ok(self.joined.clone())
    }

    fn entry(&mut self, entry: &Entry, content: &mut dyn Content) -> Result<(), JoinError> {
        if entry.path.is_root() {
            return Ok(());
        }
        let path = self.place(entry.path.as_bytes())?;
        if path.starts_with(BOOT) {
            return match entry.kind {
                Kind::File { .. } => self.set_aside(&path, content),
                _ => Ok(()),
            };
        }
        if path.strip_prefix(SSH).is_some_and(is_host_key) {
            self.joined.host_keys = self.joined.host_keys.saturating_add(1);
            return Ok(());
        }
        // As dpkg(1) and a target do: a directory over a link to one leaves the link.
        if entry.kind == Kind::Directory && self.is_link_to_directory(&path) {
            return Ok(());
        }
        let taken = match &entry.kind {
            Kind::Directory => Taken::Directory {
                mode: entry.mode,
                owner: (entry.uid, entry.gid),
            },
            Kind::Symlink(target) => Taken::Link(target.clone()),
            _ => Taken::Other,
        };
        if !self.take(&path, taken)? {
            return Ok(());
        }
        let target = match &entry.kind {
            Kind::HardLink(target) => Some(self.hard_link(&path, target.as_bytes())?),
            _ => None,
        };
        let xattrs = self.attributes(entry);
        let segments = segments(entry);
        let kind = kind(entry, target.as_deref(), &segments);
        let seconds = entry.mtime.seconds.clamp(0, i64::from(u32::MAX));
        self.joined.newest = self.joined.newest.max(seconds.unsigned_abs());
        let slash: &[u8] = if entry.kind == Kind::Directory {
            b"/"
        } else {
            b""
        };
        self.header(&Member {
            path: &[&path, slash].concat(),
            kind,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: (seconds, 0),
            xattrs: &xattrs,
        })?;
        self.copy(&path, entry, content)
    }

    fn is_link_to_directory(&self, path: &[u8]) -> bool {
        let leads_to = |path: &[u8]| self.paths.resolve(path).ok();
        matches!(self.paths.get(path), Some(Taken::Link(_)))
            && leads_to(path)
                .is_some_and(|end| matches!(self.paths.get(&end), Some(Taken::Directory { .. })))
    }

    /// The contents, into the tar and wherever else they are wanted.
    fn copy(
        &mut self,
        path: &[u8],
        entry: &Entry,
        content: &mut dyn Content,
    ) -> Result<(), JoinError> {
        let len = entry.kind.content_bytes();
        let remembered = REMEMBERED.into_iter().find(|name| name.as_bytes() == path);
        let remembered = remembered.filter(|_| len <= REMEMBERED_MAX_BYTES);
        let is_module = MODULES.iter().any(|place| path.starts_with(place));
        let is_file = matches!(entry.kind, Kind::File { .. });
        let mut aside = (is_module && is_file)
            .then(|| self.open_aside(path))
            .transpose()?;
        let mut kept = Vec::new();
        while let Some(chunk) = content.next_chunk()? {
            self.contents(chunk)?;
            if remembered.is_some() {
                kept.extend_from_slice(chunk);
            }
            if let Some((file, path)) = &mut aside {
                file.write_all(chunk).map_err(|source| JoinError::Write {
                    path: path.clone(),
                    source,
                })?;
            }
        }
        if let Some(name) = remembered {
            self.remembered.insert(name, kept);
        }
        self.padding(len)
    }

    /// Resolves the way to a path, and adds the directories on it that no package has.
    fn place(&mut self, path: &[u8]) -> Result<Vec<u8>, JoinError> {
        let path = self.paths.place(path)?;
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let ways: Vec<&[u8]> = ends
            .map(|(end, _)| path.get(..end).unwrap_or_default())
            .collect();
        for way in ways {
            match self.paths.get(way) {
                Some(Taken::Directory { .. }) => {}
                Some(_) => {
                    return Err(JoinError::Way {
                        path: shown(&path),
                        way: shown(way),
                    });
                }
                None => self.directory(way)?,
            }
        }
        Ok(path)
    }

    fn directory(&mut self, path: &[u8]) -> Result<(), JoinError> {
        let (mode, owner) = (0o755, (0, 0));
        self.take(path, Taken::Directory { mode, owner })?;
        self.header(&Member {
            path: &[path, b"/"].concat(),
            kind: tar::Kind::Directory,
            mode,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            xattrs: &[],
        })
    }

    /// Remembers that a path is taken; false when it is a directory that was there before.
    fn take(&mut self, path: &[u8], taken: Taken) -> Result<bool, JoinError> {
        let package = self.packages.len().saturating_sub(1);
        match self.paths.take(path, taken, package) {
            None => {
                self.joined.entries = self.joined.entries.saturating_add(1);
                Ok(true)
            }
            Some((first, before)) => {
                let (path, first, second) = (shown(path), self.name(first), self.name(package));
                match before {
                    Before::Same => Ok(false),
                    Before::Other => Err(JoinError::Twice {
                        path,
                        first,
                        second,
                    }),
                    Before::Directory { mode, owner } => Err(JoinError::Directory {
                        path,
                        mode,
                        owner: format!("{}:{}", owner.0, owner.1),
                        first,
                        second,
                    }),
                }
            }
        }
    }

    fn name(&self, package: usize) -> String {
        self.packages.get(package).cloned().unwrap_or_default()
    }

    fn hard_link(&self, path: &[u8], target: &[u8]) -> Result<Vec<u8>, JoinError> {
        let resolved = self.paths.place(target)?;
        match self.paths.get(&resolved) {
            Some(Taken::Directory { .. }) | None => Err(JoinError::HardLink {
                path: shown(path),
                target: shown(target),
            }),
            Some(_) => Ok(resolved),
        }
    }

    fn attributes(&mut self, entry: &Entry) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (kept, lost): (Vec<_>, Vec<_>) = entry
            .xattrs
            .iter()
            .map(|xattr| (xattr.name.clone(), xattr.value.clone()))
            .partition(|(name, _)| ATTRIBUTES.iter().any(|space| name.starts_with(space)));
        self.joined.lost_attributes += lost.len() as u64;
        kept
    }

    fn set_aside(&mut self, path: &[u8], content: &mut dyn Content) -> Result<(), JoinError> {
        let package = self.packages.len().saturating_sub(1);
        if let Some(first) = self.set_aside.insert(path.to_owned(), package) {
            return Err(JoinError::Twice {
                path: shown(path),
                first: self.name(first),
                second: self.name(package),
            });
        }
        let (mut file, path) = self.open_aside(path)?;
        while let Some(chunk) = content.next_chunk()? {
            file.write_all(chunk).map_err(|source| JoinError::Write {
                path: path.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// A new file below the directory for what is set aside.
    fn open_aside(&self, path: &[u8]) -> Result<(fs::File, PathBuf), JoinError> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = self.aside.join(std::ffi::OsStr::from_bytes(path));
        let made = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::File::create_new(&path));
        match made {
            Ok(file) => Ok((file, path)),
            Err(source) => Err(JoinError::Write { path, source }),
        }
    }

    fn header(&mut self, member: &Member<'_>) -> Result<(), JoinError> {
        tar::write_header(&mut self.out, member).map_err(|source| self.unwritten(source))
    }

    fn contents(&mut self, bytes: &[u8]) -> Result<(), JoinError> {
        self.joined.content_bytes += bytes.len() as u64;
        let written = self.out.write_all(bytes);
        written.map_err(|source| self.unwritten(source))
    }

    fn padding(&mut self, len: u64) -> Result<(), JoinError> {
        tar::write_padding(&mut self.out, len).map_err(|source| self.unwritten(source))
    }

    fn unwritten(&self, source: io::Error) -> JoinError {
        JoinError::Write {
            path: self.out_path.clone(),
            source,
        }
    }
}

/// The data of a file with holes. When it ends with one, an empty segment says so: sqfstar takes no
/// other map, and GNU tar writes that one.
fn segments(entry: &Entry) -> Vec<Segment> {
    let Kind::Sparse(map) = &entry.kind else {
        return Vec::new();
    };
    let mut segments = map.segments.clone();
    let end = segments
        .last()
        .map_or(0, |last| last.at.saturating_add(last.len));
    if end < map.len {
        segments.push(Segment {
            at: map.len,
            len: 0,
        });
    }
    segments
}

fn kind<'a>(entry: &'a Entry, target: Option<&'a [u8]>, segments: &'a [Segment]) -> tar::Kind<'a> {
    match &entry.kind {
        Kind::Directory => tar::Kind::Directory,
        Kind::File { len } => tar::Kind::File { len: *len },
        Kind::Sparse(map) => tar::Kind::Sparse {
            len: map.len,
            segments,
        },
        Kind::HardLink(_) => tar::Kind::HardLink(target.unwrap_or_default()),
        Kind::Symlink(target) => tar::Kind::Symlink(target),
        Kind::Character { major, minor } => tar::Kind::Character(*major, *minor),
        Kind::Block { major, minor } => tar::Kind::Block(*major, *minor),
        Kind::Fifo => tar::Kind::Fifo,
    }
}

#[cfg(test)]
mod tests;
