//! The length, place and hash that one chunk must have.

use sha2::{Digest, Sha256 as Hasher};
use thiserror::Error;
use wire::manifest::{Content, Sha256};
use wire::stream::DATA_MAX;

use super::{Current, IsLast};
use crate::trust::{Approved, ApprovedFile};

/// The faults of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChunkFault {
    /// Its length.
    #[error("it has {found} bytes, {expected} belong there")]
    Length {
        /// Bytes that came.
        found: usize,
        /// Bytes that the manifest wants; the most of them in a live file.
        expected: u64,
    },
    /// No bytes where some must be.
    #[error("it is empty")]
    Empty,
    /// The flag.
    #[error("it is {}the last one of its file, its sender says otherwise", if *.expected { "" } else { "not " })]
    Last {
        /// The value in the manifest.
        expected: bool,
    },
    /// Its bytes.
    #[error("its SHA-256 is not the one in the chunk list")]
    Hash,
    /// Behind the last one, of a file that is not there, or of one without hashes.
    #[error("the manifest has no such chunk")]
    Unknown,
    /// A live file without end.
    #[error("the file has more than {DATA_MAX} bytes")]
    TooMuch,
}

/// The expected content of a chunk.
pub(super) enum Wanted<'a> {
    Hashed {
        len: u64,
        is_last: bool,
        hash: Option<&'a Sha256>,
    },
    Live {
        most: u32,
        /// Bytes of the file before it.
        before: u64,
    },
}

impl<'a> Wanted<'a> {
    /// Of a file that is not live; `None` behind its last chunk.
    pub(super) fn alone(
        approved: &'a Approved,
        file: &ApprovedFile,
        chunk: u32,
    ) -> Option<(Self, IsLast)> {
        let Content::Hashed { size_bytes, .. } = file.file.content else {
            return None;
        };
        let chunk_size = u64::from(file.file.chunk_size);
        let hash = approved.hash(file, chunk)?;
        let left = size_bytes.saturating_sub(chunk_size.saturating_mul(u64::from(chunk)));
        let is_last = left <= chunk_size;
        let wanted = Wanted::Hashed {
            len: left.min(chunk_size),
            is_last,
            hash: Some(hash),
        };
        Some((wanted, IsLast(is_last)))
    }

    pub(super) fn of(approved: &'a Approved, file: &ApprovedFile, current: &Current) -> Self {
        let chunk_size = file.file.chunk_size;
        match file.file.content {
            Content::Hashed { size_bytes, .. } => {
                let left = size_bytes.saturating_sub(current.received);
                Wanted::Hashed {
                    len: left.min(u64::from(chunk_size)),
                    is_last: left <= u64::from(chunk_size),
                    hash: approved.hash(file, current.chunk),
                }
            }
            Content::Live => Wanted::Live {
                most: chunk_size,
                before: current.received,
            },
        }
    }

    pub(super) fn check(&self, bytes: &[u8], IsLast(said_last): IsLast) -> Result<(), ChunkFault> {
        let found = bytes.len();
        match *self {
            Wanted::Hashed { len, is_last, hash } => {
                if found as u64 != len {
                    return Err(ChunkFault::Length {
                        found,
                        expected: len,
                    });
                }
                if said_last != is_last {
                    return Err(ChunkFault::Last { expected: is_last });
                }
                let sha256 = Sha256::from(Hasher::digest(bytes));
                if hash != Some(&sha256) {
                    return Err(ChunkFault::Hash);
                }
            }
            Wanted::Live { most, before } => {
                if found as u64 > u64::from(most) {
                    return Err(ChunkFault::Length {
                        found,
                        expected: u64::from(most),
                    });
                }
                // The maker may notice the end only after the last full chunk; an empty file is
                // refused.
                if found == 0 && (!said_last || before == 0) {
                    return Err(ChunkFault::Empty);
                }
                if before.saturating_add(found as u64) > DATA_MAX {
                    return Err(ChunkFault::TooMuch);
                }
            }
        }
        Ok(())
    }
}
