//! Plain tar in, a tree of files beneath one directory handle out: the policy for packages of an
//! operating system.
//!
//! Everything a real system needs is kept: numeric owner, mode with setuid, time, extended
//! attributes, hard links, symbolic links, devices, FIFOs, and holes in files. Nothing is ever made
//! outside the directory. What is refused, and why, is [`Refusal`]; a refused package leaves a
//! half-written tree behind, which the caller must not use.
//!
//! How paths are followed. The directory an entry goes into is resolved by the kernel, once for
//! each change of directory, with openat2(2)
//! `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV`: `lib/modules/…` of a second package
//! goes through the `lib -> usr/lib` of the first one, and an absolute or `..` target cannot leave,
//! it means what it will mean to the installed system. `RESOLVE_BENEATH` would refuse the absolute
//! targets that real systems contain (`/var/run -> /run`). A package that goes through a symbolic
//! link it has made itself, under whatever name, is refused: no honest archiver writes that, and
//! every traversal attack does. The last component is never followed: it is created after
//! unlinking what was there.
//!
//! A directory where an earlier package has a symbolic link to a directory keeps the link, as
//! dpkg(1) does; where an earlier package has anything else but a directory, it is replaced. A
//! directory is never replaced by something else.
//!
//! Times and default ACLs of directories are set when the walk leaves them: a file gets the ACL
//! that its entry says, never one that it would inherit (acl(5)). A directory that is entered again
//! gets back what it had: at most `name::DEPTH_MAX` of them are open at once, and no list of all
//! directories is kept.

mod blocks;
mod entries;
mod entry;
pub mod frames;
mod member;
mod name;
mod pax;
mod seen;
mod sparse;
mod tree;
mod visit;

use std::fmt;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU64;

use rustix::io::Errno;
use thiserror::Error;
use wire::outcome::Outcome;

use crate::content::policy::{Forbidden, Policy};
use crate::decode::DecodeError;
use blocks::Blocks;
pub use entries::Content;
use entries::{Entries, Place};
pub use entry::{Entry, Kind, Map, Segment};
use frames::Frames;
pub use name::{Name, NameFault};
pub use pax::{Time, Xattr};
use seen::Seen;
pub use sparse::SEGMENTS_MAX;
use tree::Tree;
pub use visit::visit;

/// Bounds on one package beyond those on its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Entries after which the package is refused. Each costs up to [`BYTES_PER_ENTRY`] of memory
    /// until its end.
    pub entries: u64,
    /// The owners that the files get.
    pub owners: Owners,
    /// The stricter rules of a bundle of content; none for a system.
    pub content: Option<Policy>,
}

/// Memory for one remembered path at the worst moment: 17 bytes in a table that doubles at 7/8
/// full, once more for links.
pub const BYTES_PER_ENTRY: u64 = 128;
/// No package may have more entries, however much memory there is.
pub const ENTRIES_MAX: u64 = 4_000_000;

impl UnpackLimits {
    /// As many entries as `memory_bytes` can remember, at most [`ENTRIES_MAX`]; owners as packaged.
    #[must_use]
    pub fn for_memory(memory_bytes: u64) -> Self {
        let entries = (memory_bytes / BYTES_PER_ENTRY).min(ENTRIES_MAX);
        UnpackLimits {
            entries,
            owners: Owners::AsPackaged,
            content: None,
        }
    }
}

/// The owners that the files get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// The package's numeric user and group ids; needs root.
    AsPackaged,
    /// The caller's own, for trees that are only looked at.
    Caller,
}

/// The totals of a package that was unpacked whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries, of every kind.
    pub entries: u64,
    /// Bytes of regular files.
    pub content_bytes: u64,
    /// Length of the tar.
    pub tar_bytes: u64,
}

/// An entry's path for people: printable ASCII as it is, everything else escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    pub(crate) fn of(path: &[u8]) -> Self {
        /// Enough to find the entry; a console line must stay readable.
        const SHOWN_MAX: usize = 300;
        let head = path.get(..SHOWN_MAX).unwrap_or(path);
        let more = if head.len() < path.len() { "…" } else { "" };
        Shown(format!("\"{}{more}\"", head.escape_ascii()))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a package was not unpacked. Offsets are bytes of the plain tar.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum UnpackError {
    /// The stage before this one failed: the network, or the decoder.
    #[error("reading {path} at tar byte {offset}")]
    Input {
        /// Bytes read before.
        offset: u64,
        /// The entry that was being read.
        path: Shown,
        #[source]
        source: io::Error,
    },
    /// The archive is damaged or asks for something that is not done.
    #[error("unpacking {path} at tar byte {offset}")]
    Refused {
        /// Where the entry begins.
        offset: u64,
        /// The entry.
        path: Shown,
        #[source]
        reason: Refusal,
    },
    /// The package does not fit.
    #[error(
        "unpacking {path} ({len_bytes} bytes) at tar byte {offset}: the file system of {total_bytes} bytes is full, {free_bytes} bytes and {free_inodes} inodes are free"
    )]
    NoSpace {
        /// Where the entry begins.
        offset: u64,
        /// The entry.
        path: Shown,
        /// Its length.
        len_bytes: u64,
        /// Size of the target file system.
        total_bytes: u64,
        /// Left in it.
        free_bytes: u64,
        /// Left in it.
        free_inodes: u64,
    },
    /// The target file system said no.
    #[error("{action} {path} from tar byte {offset}")]
    Target {
        /// Where the entry begins.
        offset: u64,
        /// The entry.
        path: Shown,
        /// In the -ing form: `writing`.
        action: &'static str,
        #[source]
        source: Errno,
    },
}

impl UnpackError {
    /// Whether it is not this end's own finding but the worker's, or that of the stages before it.
    pub(crate) const fn is_the_workers(&self) -> bool {
        matches!(
            self,
            UnpackError::Input { .. }
                | UnpackError::Refused {
                    reason: Refusal::Reported(_),
                    ..
                }
        )
    }

    /// A package that is damaged, malicious or too large is refused; a file system that fails is
    /// the machine's problem.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            UnpackError::Input { source, .. } => {
                DecodeError::inside(source).map_or(Outcome::Retry, DecodeError::outcome)
            }
            UnpackError::Refused { .. } | UnpackError::NoSpace { .. } => Outcome::Refuse,
            UnpackError::Target { source, .. } if is_archives_fault(*source) => Outcome::Refuse,
            UnpackError::Target { .. } => Outcome::Fatal,
        }
    }
}

/// Errors an archive can provoke on a healthy file system: names, links and attributes that do not
/// go together with what is there, or that this file system does not have.
fn is_archives_fault(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::ISDIR
            | Errno::EXIST
            | Errno::LOOP
            | Errno::XDEV
            | Errno::NAMETOOLONG
            | Errno::MLINK
            | Errno::PERM
            | Errno::ACCESS
            | Errno::INVAL
            | Errno::OPNOTSUPP
            | Errno::TOOBIG
            | Errno::RANGE
            | Errno::FBIG
    )
}

/// The reasons to refuse an archive.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Its path is not one.
    #[error("its path {0}")]
    Path(NameFault),
    /// The target of a hard link is not a path.
    #[error("its hard link's target {0}")]
    HardLink(NameFault),
    /// A symbolic link's target is empty, too long or contains NUL.
    #[error("its symbolic link's target {0}")]
    SymbolicLink(NameFault),
    /// The same path twice in one package.
    #[error("its path occurs twice in this package")]
    Duplicate,
    /// The way to it is a symbolic link of the same package.
    #[error("the way to it leads through {0}, a symbolic link of this package")]
    ThroughOwnLink(Shown),
    /// Something else stands where it should go.
    #[error("there is a directory of this name already")]
    DirectoryInTheWay,
    /// Only a directory can be the root itself, or end in a slash or a dot component.
    #[error("it is not a directory but is named like one")]
    NamedLikeADirectory,
    /// Too many entries.
    #[error("the package has more than {0} entries")]
    TooManyEntries(u64),
    /// A header's checksum is wrong.
    #[error("its header's checksum is wrong")]
    Checksum,
    /// Not a POSIX or GNU header.
    #[error("its header is neither ustar nor GNU tar's")]
    Magic,
    /// A number is not one, or out of range.
    #[error("its {0} is not a number this system can hold")]
    Number(&'static str),
    /// A type of entry that is not unpacked.
    #[error("its type {0:#04x} is not supported")]
    Type(u8),
    /// A sparse file of a format that is not read here.
    #[error("it is a sparse entry, but not of version 1.0; pack it with tar --format=pax --sparse")]
    Sparse,
    /// A sparse file's map is malformed, or does not fit the file.
    #[error("it is a sparse entry whose map does not fit it")]
    SparseMap,
    /// A sparse file's two names are not those of one file.
    #[error("it is a sparse entry of another name")]
    SparseName,
    /// Only regular files have contents.
    #[error("it has {0} bytes of contents, but is not a regular file")]
    UnexpectedContents(u64),
    /// The header and the extended header disagree about the size.
    #[error("its header says {header} bytes, its extended header {extended}")]
    SizeDisagrees {
        /// In the ustar header.
        header: u64,
        /// In the PAX record.
        extended: u64,
    },
    /// An extended header is longer than anything it could hold.
    #[error("its extended header of {0} bytes is too long")]
    ExtensionTooLong(u64),
    /// Two extended headers of one kind, or of different formats.
    #[error("it has extended headers that exclude each other")]
    ExtensionsConflict,
    /// An extended header with nothing to extend.
    #[error("an extended header is followed by no entry")]
    ExtensionDangles,
    /// A malformed PAX record.
    #[error("its extended header is malformed at byte {0}")]
    PaxMalformed(usize),
    /// The same keyword twice.
    #[error("its extended header has {0} twice")]
    PaxRepeated(Shown),
    /// More extended attributes than the installed file system could hold.
    #[error("its extended header has more than {0} extended attributes")]
    TooManyAttributes(usize),
    /// A keyword whose loss would change the system.
    #[error("its extended header has {0}, which is not supported")]
    PaxUnsupported(Shown),
    /// A global header that says more than a comment.
    #[error("a global extended header has {0}")]
    PaxGlobal(Shown),
    /// The archive ends too early.
    #[error("the archive ends here, in the middle of an entry")]
    Truncated,
    /// No end marker: the archive may have been cut between two entries.
    #[error("the archive ends here without its end marker")]
    NoEndMarker,
    /// Something after the end marker.
    #[error("there is data behind the end marker")]
    AfterTheEnd,
    /// Something that content may not have.
    #[error("content may not have it: it {0}")]
    Content(Forbidden),
    /// The table of paths cannot grow.
    #[error("no memory to remember another path")]
    Memory,
    /// One of those that show in the archive itself, as the worker that read it says.
    #[error("{0}")]
    Reported(String),
    /// The worker that reads the archive does not keep to the format of its answer.
    #[error("the decoder's answer has {0}")]
    Answer(&'static str),
}

/// Why an entry was not placed; the driver adds which and where.
#[derive(Debug)]
enum PlaceError {
    Content(UnpackError),
    Refused(Refusal),
    Os {
        action: &'static str,
        source: Errno,
        space: Option<tree::Space>,
    },
}

impl From<UnpackError> for PlaceError {
    fn from(error: UnpackError) -> Self {
        PlaceError::Content(error)
    }
}

/// Takes entries that the policy has let through.
trait Sink {
    fn place(&mut self, entry: &Entry, content: &mut dyn Content) -> Result<(), PlaceError>;
    fn finish(&mut self) -> Result<(), PlaceError>;
}

/// Keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn place(&mut self, _: &Entry, _: &mut dyn Content) -> Result<(), PlaceError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), PlaceError> {
        Ok(())
    }
}

/// Unpacks a whole tar beneath `root`. `progress` grows by the bytes of tar read.
///
/// The mode of what is made does not depend on the umask. Nothing is flushed: the caller unmounts
/// or syncs.
///
/// # Errors
/// Everything up to the refused entry has been made.
pub fn unpack(
    tar: impl Read,
    root: BorrowedFd<'_>,
    limits: &UnpackLimits,
    progress: &AtomicU64,
) -> Result<Unpacked, UnpackError> {
    walk_into(&mut Blocks::new(tar, progress), root, limits)
}

/// Unpacks what a worker made of a tar ([`frames::relay`]), as [`unpack`] does. No more of it than
/// `cap` bytes of tar is believed.
///
/// # Errors
/// As [`unpack`]; and the answer is not one.
pub fn unpack_frames(
    answer: impl Read,
    cap: u64,
    root: BorrowedFd<'_>,
    limits: &UnpackLimits,
    progress: &AtomicU64,
) -> Result<Unpacked, UnpackError> {
    walk_into(&mut Frames::new(answer, cap, progress), root, limits)
}

/// Reads a whole tar under the same policy and makes nothing: what [`unpack`] would refuse for its
/// own sake is refused.
///
/// # Errors
/// As [`unpack`], without those of a file system.
pub fn check(tar: impl Read, limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
    let progress = AtomicU64::new(0);
    walk(&mut Blocks::new(tar, &progress), limits, &mut Nowhere)
}

/// The same for what a worker made of a tar.
///
/// # Errors
/// As [`unpack_frames`], without those of a file system.
pub fn check_frames(
    answer: impl Read,
    cap: u64,
    limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    let progress = AtomicU64::new(0);
    walk(
        &mut Frames::new(answer, cap, &progress),
        limits,
        &mut Nowhere,
    )
}

fn walk_into<E: Entries>(
    entries: &mut E,
    root: BorrowedFd<'_>,
    limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    let tree = Tree::new(root, limits.owners);
    let mut tree = tree.map_err(|error| entries.place().with(error, 0))?;
    walk(entries, limits, &mut tree)
}

fn walk<E: Entries, S: Sink>(
    entries: &mut E,
    limits: &UnpackLimits,
    sink: &mut S,
) -> Result<Unpacked, UnpackError> {
    let mut seen = Seen::default();
    let mut unpacked = Unpacked::default();
    while let Some(entry) = admitted(entries, limits, &mut seen, &mut unpacked)? {
        if let Err(error) = sink.place(&entry, entries) {
            let len = entry.kind.content_bytes();
            return Err(entries.place().with(error, len));
        }
        entries.skip_rest()?;
    }
    sink.finish()
        .map_err(|error| entries.place().with(error, 0))?;
    unpacked.tar_bytes = entries.offset();
    Ok(unpacked)
}

/// The next entry that the policy lets through, counted; its contents follow.
fn admitted<E: Entries>(
    entries: &mut E,
    limits: &UnpackLimits,
    seen: &mut Seen,
    unpacked: &mut Unpacked,
) -> Result<Option<Entry>, UnpackError> {
    let Some(entry) = entries.next_entry()? else {
        return Ok(None);
    };
    if unpacked.entries >= limits.entries {
        let reason = Refusal::TooManyEntries(limits.entries);
        return Err(entries.place().refuse(reason));
    }
    if let Some(policy) = &limits.content {
        let admitted = policy.admit(&entry).map_err(Refusal::Content);
        admitted.map_err(|reason| entries.place().refuse(reason))?;
    }
    seen.admit(&entry.path, &entry.kind)
        .map_err(|reason| entries.place().refuse(reason))?;
    unpacked.entries = unpacked.entries.saturating_add(1);
    let len = entry.kind.content_bytes();
    unpacked.content_bytes = unpacked.content_bytes.saturating_add(len);
    Ok(Some(entry))
}

#[cfg(test)]
mod tests;
