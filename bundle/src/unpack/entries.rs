//! The source of entries, local or a worker, and the entry that a fault belongs to.

use std::io;

use rustix::io::Errno;

use super::entry::Entry;
use super::{PlaceError, Refusal, Shown, UnpackError};

/// The current entry: its offset, and its path as far as it is known.
#[derive(Debug, Default)]
pub struct Place {
    pub offset: u64,
    pub path: Vec<u8>,
}

impl Place {
    pub fn refuse(&self, reason: Refusal) -> UnpackError {
        self.refuse_at(self.offset, reason)
    }

    pub fn refuse_at(&self, offset: u64, reason: Refusal) -> UnpackError {
        UnpackError::Refused {
            offset,
            path: Shown::of(&self.path),
            reason,
        }
    }

    pub fn unread(&self, offset: u64, source: io::Error) -> UnpackError {
        UnpackError::Input {
            offset,
            path: Shown::of(&self.path),
            source,
        }
    }

    /// A sink's error with the entry it belongs to.
    pub fn with(&self, error: PlaceError, len_bytes: u64) -> UnpackError {
        let (offset, path) = (self.offset, Shown::of(&self.path));
        match error {
            PlaceError::Content(error) => error,
            PlaceError::Refused(reason) => self.refuse(reason),
            PlaceError::Os {
                source: Errno::NOSPC | Errno::DQUOT,
                space,
                ..
            } => {
                let space = space.unwrap_or_default();
                UnpackError::NoSpace {
                    offset,
                    path,
                    len_bytes,
                    total_bytes: space.total_bytes,
                    free_bytes: space.free_bytes,
                    free_inodes: space.free_inodes,
                }
            }
            PlaceError::Os { action, source, .. } => UnpackError::Target {
                offset,
                path,
                action,
                source,
            },
        }
    }
}

/// The contents of one entry.
pub trait Content {
    /// The next bytes, straight from a buffer; nothing after the last.
    ///
    /// # Errors
    /// The archive cannot be read on.
    fn next_chunk(&mut self) -> Result<Option<&[u8]>, UnpackError>;
}

/// Where entries come from: a tar, or what a worker made of one.
pub trait Entries: Content {
    /// The next entry; its contents follow. Nothing after the last one, when all was as it should
    /// be.
    fn next_entry(&mut self) -> Result<Option<Entry>, UnpackError>;
    /// Passes over contents that nobody took.
    fn skip_rest(&mut self) -> Result<(), UnpackError>;
    /// The entry given last.
    fn place(&self) -> &Place;
    /// Bytes of tar taken so far.
    fn offset(&self) -> u64;
}
