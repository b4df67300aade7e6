//! Names in an open directory in, open files and what the kernel says about them out. No name is
//! ever followed, and the facts about a file come from the open file itself: an attacker who swaps
//! names under our feet gets the right owner and mode of the wrong file into the package at most,
//! and only of one that lies in the same file system beneath the same directory.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RawMode, Statx, StatxAttributes, StatxFlags,
    fgetxattr, flistxattr, lgetxattr, llistxattr, openat, readlinkat, statx,
};
use rustix::io::Errno;

/// Longest value of an extended attribute and longest list of names (XATTR_SIZE_MAX,
/// XATTR_LIST_MAX).
const XATTR_MAX: usize = 64 << 10;

/// The fields that are asked of the kernel: all of stat(2), and which mount it is, by which a bind
/// mount is recognised (Linux 5.8).
fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::MNT_ID
}

/// The kernel's facts about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Regular file, directory, link...
    pub kind: FileType,
    /// Permissions, set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length, in bytes.
    pub len_bytes: u64,
    /// The space that it takes on the disk, in bytes.
    pub stored_bytes: u64,
    /// Seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Likewise; it changes with every change of contents or metadata.
    pub ctime: (i64, u32),
    /// File system and inode number: equal ones mean the same file.
    pub id: (u64, u64),
    /// The mount that it was reached through; `None` before Linux 5.8.
    pub mount: Option<u64>,
    /// Names it has.
    pub links: u32,
    /// Of a device node: major and minor.
    pub device: (u32, u32),
    /// Its flags as chattr(1) sets them.
    pub flags: Flags,
    /// It is the top of a file system, as far as the kernel says so (Linux 5.8).
    pub is_mount_root: bool,
}

/// Flags of a file (chattr(1)) that a package does not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(StatxAttributes);

impl Flags {
    const NAMED: [(StatxAttributes, &str); 3] = [
        (StatxAttributes::IMMUTABLE, "i (immutable)"),
        (StatxAttributes::APPEND, "a (append only)"),
        (StatxAttributes::NODUMP, "d (no dump)"),
    ];

    /// As chattr calls them; none for most files.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let named = Self::NAMED.into_iter();
        named.filter_map(move |(flag, name)| self.0.contains(flag).then_some(name))
    }
}

impl Facts {
    fn of(stat: &Statx) -> Self {
        let has_mount = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
        Facts {
            kind: FileType::from_raw_mode(RawMode::from(stat.stx_mode)),
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            len_bytes: stat.stx_size,
            stored_bytes: stat.stx_blocks.saturating_mul(512),
            mtime: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            ctime: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
            id: (
                u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor),
                stat.stx_ino,
            ),
            mount: has_mount.then_some(stat.stx_mnt_id),
            links: stat.stx_nlink,
            device: (stat.stx_rdev_major, stat.stx_rdev_minor),
            flags: Flags(stat.stx_attributes),
            is_mount_root: stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        }
    }

    /// Whether both lie in one file system, reached through one mount. A bind mount is another
    /// mount of the same file system; a subvolume of btrfs is another file system in the same
    /// mount.
    #[must_use]
    pub fn is_beside(&self, other: &Facts) -> bool {
        self.id.0 == other.id.0 && self.mount == other.mount
    }

    /// Whether the contents can have changed between the two.
    #[must_use]
    pub fn has_changed_since(&self, before: &Facts) -> bool {
        (self.len_bytes, self.mtime, self.ctime) != (before.len_bytes, before.mtime, before.ctime)
    }
}

/// The file that a name stands for now. Automounters are not woken.
///
/// # Errors
/// The kernel's.
pub fn look(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Facts> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    statx(dir, name, flags, wanted()).map(|stat| Facts::of(&stat))
}

/// The facts of an open file now.
///
/// # Errors
/// The kernel's.
pub fn look_at(file: BorrowedFd<'_>) -> rustix::io::Result<Facts> {
    statx(file, c"", AtFlags::EMPTY_PATH, wanted()).map(|stat| Facts::of(&stat))
}

/// Opens the tree itself; the administrator may name it through a link.
///
/// # Errors
/// The kernel's.
pub fn open_root(path: &std::path::Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
}

/// Opens a directory or a regular file for reading, without touching its access time where that is
/// allowed. A FIFO that somebody has put there in the meantime does not block.
///
/// # Errors
/// The kernel's; `LOOP` for a symbolic link.
pub fn open(dir: BorrowedFd<'_>, name: &[u8], is_directory: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if is_directory {
        flags |= OFlags::DIRECTORY;
    }
    match openat(dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => openat(dir, name, flags, Mode::empty()),
        result => result,
    }
}

/// Where a symbolic link leads.
///
/// # Errors
/// The kernel's.
pub fn link_target(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<CString> {
    readlinkat(dir, name, Vec::new())
}

/// The names in a directory, sorted by their bytes: one allocation for all of them, five bytes
/// beside each.
#[derive(Debug, Default)]
pub struct Names {
    bytes: Vec<u8>,
    /// Where each begins and how long it is; NAME_MAX is 255.
    spans: Vec<(u32, u8)>,
}

impl Names {
    /// Reads all names but `.` and `..`.
    ///
    /// # Errors
    /// The kernel's; `TOOBIG` for 4 GiB of names.
    pub fn read(dir: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        let mut names = Names::default();
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                let start = u32::try_from(names.bytes.len()).map_err(|_| Errno::TOOBIG)?;
                let len = u8::try_from(name.len()).map_err(|_| Errno::NAMETOOLONG)?;
                names.spans.push((start, len));
                names.bytes.extend_from_slice(name);
            }
        }
        let Names { bytes, spans } = &mut names;
        spans.sort_unstable_by(|a, b| span(bytes, *a).cmp(span(bytes, *b)));
        Ok(names)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.spans.iter().map(|at| span(&self.bytes, *at))
    }
}

fn span(bytes: &[u8], (start, len): (u32, u8)) -> &[u8] {
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::from(len));
    bytes.get(start..end).unwrap_or_default()
}

/// An extended attribute: name and value.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// The owner of the attributes.
#[derive(Clone, Copy)]
pub enum Owner<'a> {
    /// An open file's.
    Open(BorrowedFd<'a>),
    /// Those of something that is not opened. No call before Linux 6.13 takes a directory handle
    /// here (listxattrat(2)).
    Named(BorrowedFd<'a>, &'a [u8]),
}

impl Owner<'_> {
    fn path(dir: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        path
    }

    fn list(self, into: &mut Vec<u8>) -> rustix::io::Result<usize> {
        match self {
            Owner::Open(file) => flistxattr(file, spare_capacity(into)),
            Owner::Named(dir, name) => llistxattr(Self::path(dir, name), spare_capacity(into)),
        }
    }

    fn get(self, xattr: &[u8], into: &mut Vec<u8>) -> rustix::io::Result<usize> {
        match self {
            Owner::Open(file) => fgetxattr(file, xattr, spare_capacity(into)),
            Owner::Named(dir, name) => {
                lgetxattr(Self::path(dir, name), xattr, spare_capacity(into))
            }
        }
    }
}

/// All extended attributes, sorted by name. `room` is kept from call to call.
///
/// # Errors
/// The kernel's. A file system without attributes has none, and what is gone has none; neither is
/// an error.
pub fn xattrs(owner: Owner<'_>, room: &mut Vec<u8>) -> rustix::io::Result<Vec<Xattr>> {
    room.clear();
    room.reserve(XATTR_MAX);
    match owner.list(room) {
        Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOENT | Errno::NOSYS) => return Ok(Vec::new()),
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    let names: Vec<Vec<u8>> = room
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        room.clear();
        room.reserve(XATTR_MAX);
        match owner.get(&name, room) {
            Ok(_) => found.push((name, room.clone())),
            // Taken away since it was listed; or listed and unreadable by design (overlayfs, some
            // security modules).
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether there is a directory of this path beneath `root`, none of its components a link.
///
/// # Errors
/// The kernel's.
pub fn open_beneath(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let mut current: Option<OwnedFd> = None;
    for name in path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
    {
        let dir = current.as_ref().map_or(root, AsFd::as_fd);
        current = Some(open(dir, name, true)?);
    }
    match current {
        Some(found) => Ok(found),
        None => openat(
            root,
            c".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        ),
    }
}
