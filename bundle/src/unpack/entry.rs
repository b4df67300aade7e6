//! One entry of an archive, every field of it checked, and the map of a file with holes.

use super::name::Name;
use super::pax::{Time, Xattr};

/// The kind of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub enum Kind {
    /// Nothing follows.
    Directory,
    /// So many bytes of contents follow.
    File { len: u64 },
    /// The data between its holes follow.
    Sparse(Map),
    /// Another name of an entry before.
    HardLink(Name),
    /// With its target.
    Symlink(Vec<u8>),
    /// A character device.
    Character { major: u32, minor: u32 },
    /// A block device.
    Block { major: u32, minor: u32 },
    /// A named pipe.
    Fifo,
}

impl Kind {
    /// Bytes behind the header.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        match self {
            Kind::File { len } => *len,
            Kind::Sparse(map) => map.stored,
            _ => 0,
        }
    }
}

/// An entry whose every field has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root.
    pub path: Name,
    /// File, directory, link or device.
    pub kind: Kind,
    /// Permissions, set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The time of the last change of its contents.
    pub mtime: Time,
    /// Extended attributes, none twice.
    pub xattrs: Vec<Xattr>,
}

/// Data between holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in the file, in bytes.
    pub at: u64,
    /// In bytes.
    pub len: u64,
}

/// A file with holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// Bytes in the archive: first with the map, then without.
    pub stored: u64,
    /// Length of the file.
    pub len: u64,
    /// In order, none over another, all together `stored` bytes.
    pub segments: Vec<Segment>,
}

impl Map {
    /// Do the segments lie behind one another within the file, and come to what is stored?
    #[must_use]
    pub fn fits(&self) -> bool {
        let (mut end, mut sum) = (0_u64, 0_u64);
        for segment in &self.segments {
            let ends = (
                segment.at.checked_add(segment.len),
                sum.checked_add(segment.len),
            );
            match ends {
                (Some(next), Some(more)) if segment.at >= end => (end, sum) = (next, more),
                _ => return false,
            }
        }
        end <= self.len && sum == self.stored
    }
}
