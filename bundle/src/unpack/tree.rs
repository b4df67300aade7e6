//! Checked entries in, files beneath one directory handle out, in as few system calls as each
//! needs.
//!
//! The directories on the way to the current one are kept open: entries of one directory need no
//! path lookup, and a directory that is left gets its time and its default ACL back. See the module
//! above for how paths are followed.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
    chmodat, chownat, fchmod, fchown, fgetxattr, fremovexattr, fsetxattr, fstat, fstatvfs,
    ftruncate, futimens, linkat, lsetxattr, makedev, mkdirat, mknodat, openat, openat2, statat,
    symlinkat, unlinkat, utimensat,
};
use rustix::io::{Errno, pwrite};

use super::entry::{Entry, Kind, Segment};
use super::name::{Name, is_within, prefixes};
use super::pax::{Time, Xattr};
use super::{Content, Owners, PlaceError, Refusal, Sink};

/// How the way to an entry is resolved; the reasons stand in `unpack`.
const WAY: ResolveFlags = ResolveFlags::IN_ROOT
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
/// A new file, and never what a link or a FIFO of that name leads to.
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// The ACL that a directory gives to everything made in it (acl(5)): an ACL that the package does
/// not know of.
const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";
/// The longest value of an extended attribute (XATTR_SIZE_MAX).
const XATTR_MAX: usize = 64 << 10;
/// Directories that a package takes for granted.
const IMPLIED_MODE: Mode = Mode::from_raw_mode(0o755);

/// The space that is left in a full file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Space {
    pub total_bytes: u64,
    pub free_bytes: u64,
    pub free_inodes: u64,
}

/// A directory on the way to the current one.
struct Level {
    path: Vec<u8>,
    fd: OwnedFd,
    /// The time it gets when it is left.
    times: Option<Timestamps>,
    /// Likewise: while files are made in it, it has none.
    default_acl: Option<Vec<u8>>,
}

/// A tree being written.
pub struct Tree<'r> {
    root: BorrowedFd<'r>,
    owners: Owners,
    /// The root itself and directories within each other, innermost last.
    levels: Vec<Level>,
}

type Placed<T = ()> = Result<T, PlaceError>;

fn os<T>(action: &'static str, result: rustix::io::Result<T>) -> Placed<T> {
    result.map_err(|source| PlaceError::Os {
        action,
        source,
        space: None,
    })
}

fn times(mtime: Time) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.seconds,
        tv_nsec: mtime.nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn is_default_acl(xattr: &Xattr) -> bool {
    xattr.name == DEFAULT_ACL
}

impl<'r> Tree<'r> {
    pub fn new(root: BorrowedFd<'r>, owners: Owners) -> Placed<Self> {
        let mut tree = Tree {
            root,
            owners,
            levels: Vec::new(),
        };
        tree.open_level(&[])?;
        Ok(tree)
    }

    /// Opens a directory by its whole path and remembers its time.
    fn open_level(&mut self, path: &[u8]) -> Placed {
        let fd = os("opening the directory of", self.open_way(path))?;
        let stat = os("reading the time of", fstat(&fd))?;
        let last_modification = Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: stat.st_mtime_nsec as _,
        };
        let last_access = Timespec {
            tv_sec: stat.st_atime,
            tv_nsec: stat.st_atime_nsec as _,
        };
        let default_acl = self.take_default_acl(fd.as_fd())?;
        self.levels.push(Level {
            path: path.to_vec(),
            fd,
            times: Some(Timestamps {
                last_access,
                last_modification,
            }),
            default_acl,
        });
        Ok(())
    }

    fn open_way(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        loop {
            match openat2(self.root, path, DIRECTORY, Mode::empty(), WAY) {
                // A rename somewhere on the machine raced with `..`: openat2(2) asks to try again.
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
    }

    /// Makes the directory of the next entry the innermost level.
    fn enter(&mut self, directory: &[u8]) -> Placed {
        self.leave_until(|level| is_within(directory, level))?;
        if self
            .levels
            .last()
            .is_some_and(|level| level.path == directory)
        {
            return Ok(());
        }
        match self.open_level(directory) {
            Err(PlaceError::Os {
                source: Errno::NOENT,
                ..
            }) => self.make_way(directory),
            result => result,
        }
    }

    /// Some directory on the way is taken for granted: makes it, and those behind it.
    fn make_way(&mut self, directory: &[u8]) -> Placed {
        for way in prefixes(directory).skip_while(|way| self.open_way(way).is_ok()) {
            let above = way.iter().rposition(|byte| *byte == b'/');
            let (parent, name) = match above {
                Some(slash) => (way.get(..slash), way.get(slash.saturating_add(1)..)),
                None => (Some(&[][..]), Some(way)),
            };
            let parent = os(
                "opening the directory of",
                self.open_way(parent.unwrap_or_default()),
            )?;
            os(
                "making the directory of",
                mkdirat(&parent, name.unwrap_or_default(), IMPLIED_MODE),
            )?;
            let made = os("opening the directory of", self.open_way(way))?;
            // Of a directory above that was not open here.
            self.take_default_acl(made.as_fd())?;
            os(
                "setting the mode of the directory of",
                fchmod(&made, IMPLIED_MODE),
            )?;
        }
        self.open_level(directory)
    }

    /// Closes levels from the innermost outwards until one is on the way.
    fn leave_until(&mut self, is_on_the_way: impl Fn(&[u8]) -> bool) -> Placed {
        while let Some(level) = self.levels.pop_if(|level| !is_on_the_way(&level.path)) {
            if let Some(acl) = &level.default_acl {
                let result = fsetxattr(&level.fd, DEFAULT_ACL, acl, XattrFlags::empty());
                self.full(result, "setting the default ACL of the directory of")?;
            }
            if let Some(times) = &level.times {
                os(
                    "setting the time of the directory of",
                    futimens(&level.fd, times),
                )?;
            }
        }
        Ok(())
    }

    /// Takes a directory's default ACL away; it comes back when the directory is left.
    fn take_default_acl(&self, dir: BorrowedFd<'_>) -> Placed<Option<Vec<u8>>> {
        let mut acl = Vec::with_capacity(XATTR_MAX);
        match fgetxattr(dir, DEFAULT_ACL, spare_capacity(&mut acl)) {
            Ok(_) => {}
            Err(Errno::NODATA | Errno::NOTSUP) => return Ok(None),
            Err(error) => return os("reading the default ACL of the directory of", Err(error)),
        }
        let result = fremovexattr(dir, DEFAULT_ACL);
        self.full(result, "taking the default ACL of the directory of")?;
        Ok(Some(acl))
    }

    /// The directory that was entered.
    fn here(&self) -> BorrowedFd<'_> {
        self.levels
            .last()
            .map_or(self.root, |level| level.fd.as_fd())
    }

    /// Creates with `make`; where something stands already, unlinks that and creates again.
    fn replace<T>(
        &self,
        name: &[u8],
        make: impl Fn(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Placed<T> {
        let here = self.here();
        match make(here) {
            Err(Errno::EXIST) => {
                match unlinkat(here, name, AtFlags::empty()) {
                    Err(Errno::ISDIR) => {
                        return Err(PlaceError::Refused(Refusal::DirectoryInTheWay));
                    }
                    result => os("replacing", result)?,
                }
                self.full(make(here), "creating")
            }
            result => self.full(result, "creating"),
        }
    }

    /// Adds what is left of the file system to an error that says it is full.
    fn full<T>(&self, result: rustix::io::Result<T>, action: &'static str) -> Placed<T> {
        result.map_err(|source| {
            let space = matches!(source, Errno::NOSPC | Errno::DQUOT).then(|| self.space());
            PlaceError::Os {
                action,
                source,
                space,
            }
        })
    }

    fn space(&self) -> Space {
        fstatvfs(self.root).map_or_else(
            |_| Space::default(),
            |stat| Space {
                total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
                free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
                free_inodes: stat.f_favail,
            },
        )
    }

    /// Owner before mode and attributes: chown(2) takes set-id bits and file capabilities away.
    fn dress(&self, fd: BorrowedFd<'_>, entry: &Entry) -> Placed {
        if self.owners == Owners::AsPackaged {
            self.full(
                fchown(
                    fd,
                    Some(Uid::from_raw(entry.uid)),
                    Some(Gid::from_raw(entry.gid)),
                ),
                "setting the owner of",
            )?;
        }
        self.full(
            fchmod(fd, Mode::from_raw_mode(entry.mode)),
            "setting the mode of",
        )?;
        let is_directory = matches!(entry.kind, Kind::Directory);
        let is_later = |xattr: &&Xattr| is_directory && is_default_acl(xattr);
        for xattr in entry.xattrs.iter().filter(|xattr| !is_later(xattr)) {
            let result = fsetxattr(fd, &xattr.name[..], &xattr.value, XattrFlags::empty());
            self.full(result, "setting an extended attribute of")?;
        }
        Ok(())
    }

    /// The same for what cannot be opened: links and devices, which were made here a moment ago.
    fn dress_at(&self, entry: &Entry) -> Placed {
        let (here, name) = (self.here(), entry.path.last());
        if self.owners == Owners::AsPackaged {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            let result = chownat(here, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
            self.full(result, "setting the owner of")?;
        }
        if !matches!(entry.kind, Kind::Symlink(_)) {
            self.full(
                chmodat(
                    here,
                    name,
                    Mode::from_raw_mode(entry.mode),
                    AtFlags::empty(),
                ),
                "setting the mode of",
            )?;
        }
        for xattr in &entry.xattrs {
            // No system call before Linux 6.13 takes a directory handle here (setxattrat(2)).
            let mut path = format!("/proc/self/fd/{}/", here.as_raw_fd()).into_bytes();
            path.extend_from_slice(name);
            let result = lsetxattr(path, &xattr.name[..], &xattr.value, XattrFlags::empty());
            self.full(result, "setting an extended attribute of")?;
        }
        self.full(
            utimensat(here, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW),
            "setting the time of",
        )
    }

    fn directory(&mut self, entry: &Entry) -> Placed {
        let name = entry.path.last();
        let own_acl = entry.xattrs.iter().find(|xattr| is_default_acl(xattr));
        if entry.path.is_root() {
            self.dress(self.here(), entry)?;
        } else {
            if !self.make_directory(entry.path.as_bytes(), name)? {
                return Ok(());
            }
            let fd = openat(
                self.here(),
                name,
                DIRECTORY | OFlags::NOFOLLOW,
                Mode::empty(),
            );
            let fd = self.full(fd, "opening")?;
            // An earlier package may have given it one.
            let default_acl = self.take_default_acl(fd.as_fd())?;
            self.dress(fd.as_fd(), entry)?;
            self.levels.push(Level {
                path: entry.path.as_bytes().to_vec(),
                fd,
                times: None,
                default_acl,
            });
        }
        if let Some(level) = self.levels.last_mut() {
            level.times = Some(times(entry.mtime));
            if let Some(acl) = own_acl {
                level.default_acl = Some(acl.value.clone());
            }
        }
        Ok(())
    }

    /// True when a directory of this name is there now; false when a link to one is, which stays as
    /// it is.
    fn make_directory(&self, path: &[u8], name: &[u8]) -> Placed<bool> {
        let here = self.here();
        match mkdirat(here, name, Mode::RWXU) {
            Err(Errno::EXIST) => {}
            result => return self.full(result, "creating").map(|()| true),
        }
        let stat = os("looking at", statat(here, name, AtFlags::SYMLINK_NOFOLLOW))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Ok(true),
            FileType::Symlink if self.open_way(path).is_ok() => return Ok(false),
            _ => {}
        }
        os("replacing", unlinkat(here, name, AtFlags::empty()))?;
        self.full(mkdirat(here, name, Mode::RWXU), "creating")
            .map(|()| true)
    }

    /// A file of `len` bytes whose data go into `segments`; the rest of it are holes.
    fn file(
        &self,
        entry: &Entry,
        content: &mut dyn Content,
        len: u64,
        segments: &[Segment],
    ) -> Placed {
        let name = entry.path.last();
        let fd = self.replace(name, |here| {
            openat(here, name, NEW_FILE, Mode::RUSR | Mode::WUSR)
        })?;
        let mut segments = segments.iter().copied();
        let mut segment = Segment { at: 0, len: 0 };
        while let Some(mut chunk) = content.next_chunk()? {
            while !chunk.is_empty() {
                if segment.len == 0 {
                    // The segments come to the length of the contents.
                    let Some(next) = segments.next() else { break };
                    segment = next;
                    continue;
                }
                let most = usize::try_from(segment.len).unwrap_or(usize::MAX);
                match pwrite(&fd, chunk.get(..most).unwrap_or(chunk), segment.at) {
                    Err(Errno::INTR) => {}
                    result => {
                        let written = self.full(result, "writing")?;
                        segment.at = segment.at.saturating_add(written as u64);
                        segment.len = segment.len.saturating_sub(written as u64);
                        chunk = chunk.get(written..).unwrap_or_default();
                    }
                }
            }
        }
        if let Kind::Sparse(_) = entry.kind {
            self.full(ftruncate(&fd, len), "making the holes of")?;
        }
        self.dress(fd.as_fd(), entry)?;
        self.full(futimens(&fd, &times(entry.mtime)), "setting the time of")
    }

    /// The target is looked up like any entry: its way resolved beneath the root, itself not
    /// followed.
    fn hard_link(&self, path: &Name, target: &Name) -> Placed {
        let (here, name) = (self.here(), path.last());
        let from = os(
            "opening the directory of the link target of",
            self.open_way(target.parent()),
        )?;
        let link =
            |here: BorrowedFd<'_>| linkat(&from, target.last(), here, name, AtFlags::empty());
        match link(here) {
            Err(Errno::EXIST) => {}
            result => return self.full(result, "linking"),
        }
        // Unlinking the target itself, under whatever name, would lose it.
        let target = os(
            "looking at the link target of",
            statat(&from, target.last(), AtFlags::SYMLINK_NOFOLLOW),
        )?;
        let there = os("looking at", statat(here, name, AtFlags::SYMLINK_NOFOLLOW))?;
        if (target.st_dev, target.st_ino) == (there.st_dev, there.st_ino) {
            return Ok(());
        }
        self.replace(name, link)
    }

    fn node(&self, entry: &Entry, kind: FileType, device: u64) -> Placed {
        let name = entry.path.last();
        self.replace(name, |here| {
            mknodat(here, name, kind, Mode::RUSR | Mode::WUSR, device)
        })?;
        self.dress_at(entry)
    }
}

impl Sink for Tree<'_> {
    fn place(&mut self, entry: &Entry, content: &mut dyn Content) -> Placed {
        self.enter(entry.path.parent())?;
        match &entry.kind {
            Kind::Directory => self.directory(entry),
            Kind::File { len } => {
                let whole = Segment { at: 0, len: *len };
                self.file(entry, content, *len, &[whole])
            }
            Kind::Sparse(map) => self.file(entry, content, map.len, &map.segments),
            Kind::HardLink(target) => self.hard_link(&entry.path, target),
            Kind::Symlink(target) => {
                let name = entry.path.last();
                self.replace(name, |here| symlinkat(&target[..], here, name))?;
                self.dress_at(entry)
            }
            Kind::Character { major, minor } => {
                self.node(entry, FileType::CharacterDevice, makedev(*major, *minor))
            }
            Kind::Block { major, minor } => {
                self.node(entry, FileType::BlockDevice, makedev(*major, *minor))
            }
            Kind::Fifo => self.node(entry, FileType::Fifo, 0),
        }
    }

    fn finish(&mut self) -> Placed {
        self.leave_until(|_| false)
    }
}
