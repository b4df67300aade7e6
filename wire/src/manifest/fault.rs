//! The faults of a manifest, with their lines: for people, who see the line's number and what
//! stands there.

use super::{CHUNK_SIZE_MAX, CHUNK_SIZE_MIN, FILES_MAX, FIRST_LINE, LEN_MAX, WORD_MAX};
use crate::message::CHUNKS_MAX;
use crate::outcome::Outcome;
use crate::stream::StreamError;
use core::fmt;
use thiserror::Error;

/// Bytes of a manifest for people: the first few, all but printable ASCII escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    head: [u8; Self::MAX],
    /// How many there were.
    len_bytes: u32,
}

impl Shown {
    /// A digest fits; a console line stays readable.
    const MAX: usize = 64;

    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut head = [0; Self::MAX];
        for (to, from) in head.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self {
            head,
            len_bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = usize::try_from(self.len_bytes).unwrap_or(usize::MAX);
        let (head, more) = match self.head.get(..len) {
            Some(head) => (head, ""),
            None => (self.head.as_slice(), "…"),
        };
        write!(f, "\"{}{more}\"", head.escape_ascii())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a manifest is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("reading line {line} of the manifest")]
pub struct ManifestError {
    /// From 1; 0 is the manifest as a whole.
    pub line: u32,
    /// The rule that this line breaks.
    #[source]
    pub fault: Fault,
}

impl ManifestError {
    pub(super) const fn new(line: u32, fault: Fault) -> Self {
        Self { line, fault }
    }

    /// The sender is refused; nothing has happened to a disk.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Refuse
    }
}

/// The fault of a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// More than [`LEN_MAX`].
    #[error("it has {len_bytes} bytes; {LEN_MAX} is the most")]
    TooLong {
        /// Its length.
        len_bytes: usize,
    },
    /// It ends before this.
    #[error("the manifest ends here, before its {0}")]
    Ended(&'static str),
    /// The last line has no line end.
    #[error("{0} does not end in a line feed")]
    NoLineFeed(Shown),
    /// Not a manifest, or of another version.
    #[error("{0} where {FIRST_LINE:?} belongs")]
    First(Shown),
    /// Another field, an unknown one, or one in the wrong place.
    #[error("{found} where the field {wanted} belongs")]
    Field {
        /// The expected word.
        wanted: &'static str,
        /// The line.
        found: Shown,
    },
    /// No such role.
    #[error("{0} is no role")]
    Role(Shown),
    /// Not 1 to [`WORD_MAX`] of `[A-Za-z0-9._+-]`.
    #[error("{0} is not 1 to {WORD_MAX} of [A-Za-z0-9._+-]")]
    Word(Shown),
    /// Not decimal, with a sign or leading zeros, or too large.
    #[error("{found} is not a number from 0 to {max} without leading zeros")]
    Number {
        /// The text at that place.
        found: Shown,
        /// The largest that is allowed.
        max: u64,
    },
    /// Not `2026-11-20T00:00:00Z`.
    #[error("{0} is not a time like 2026-11-20T00:00:00Z")]
    Time(Shown),
    /// Not 64 small hexadecimal digits.
    #[error("{0} is not a SHA-256 in small hexadecimal digits")]
    Digest(Shown),
    /// Words are missing.
    #[error("it ends before its {0}")]
    Short(&'static str),
    /// Words too many.
    #[error("{0} follows its last word")]
    Long(Shown),
    /// A file of no bytes.
    #[error("a file of no bytes")]
    NoBytes,
    /// One of two numbers that are stated together.
    #[error("entries without an unpacked size")]
    EntriesOnly,
    /// Not a power of two within the limits.
    #[error("a chunk size of {0} is not a power of two from {CHUNK_SIZE_MIN} to {CHUNK_SIZE_MAX}")]
    ChunkSize(u64),
    /// Not a package's name.
    #[error("reading the name {found}")]
    Name {
        /// The text at that place.
        found: Shown,
        /// The reason.
        #[source]
        source: StreamError,
    },
    /// A second file of this name.
    #[error("the package {0} comes twice")]
    Repeated(Shown),
    /// More than [`FILES_MAX`].
    #[error("more than {FILES_MAX} files")]
    TooManyFiles,
    /// An image is all that its manifest has.
    #[error("an image and another file; an image is the only file of its manifest")]
    ImageAndOthers,
    /// An image that nobody has.
    #[error("an image cannot be made while it is sent")]
    LiveImage,
    /// An image is written as it is.
    #[error("an image of {size_bytes} bytes unpacks to {size_bytes} bytes in 1 entry")]
    ImageUnpacked {
        /// Its size.
        size_bytes: u64,
    },
    /// More than [`CHUNKS_MAX`].
    #[error("more than {CHUNKS_MAX} chunks up to here")]
    TooManyChunks,
    /// No file at all.
    #[error("there are no files")]
    NoFiles,
    /// The last line counts wrongly.
    #[error("it counts {claimed} files, there are {found}")]
    Count {
        /// In the line.
        claimed: u64,
        /// In the manifest.
        found: usize,
    },
    /// Something behind the last line.
    #[error("{len_bytes} bytes follow the manifest's end")]
    BehindTheEnd {
        /// Counted to the end of the input.
        len_bytes: usize,
    },
}
