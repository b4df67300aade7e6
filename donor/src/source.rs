//! The sources of the bytes to send: files that were hashed before, or a stream that is being
//! made.
//!
//! In: positions, in order, from each target's sender. Out: chunks. A chunk that comes from here is
//! the one the manifest speaks of, or there is an error that names the file.

pub mod cache;
pub mod file;
pub mod live;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// A piece of an item.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Its bytes; every chunk but the last has as many as the manifest says.
    pub bytes: Arc<Vec<u8>>,
    /// Nothing of this item follows.
    pub is_last: bool,
}

/// One package to send. Several targets may ask at once.
pub trait Item: Send + Sync {
    /// As the manifest names it.
    fn name(&self) -> &str;

    /// How long it is, when that is known.
    fn len_bytes(&self) -> Option<u64>;

    /// One chunk; waits for the disk, or for what makes the stream, until that or an interrupt.
    ///
    /// # Errors
    /// See [`SourceError`].
    fn chunk(&self, index: u32) -> Result<Chunk, SourceError>;

    /// Chunks before `next` will not be asked for again.
    fn acknowledged(&self, next: u32) {
        let _ = next; // a file has all of them still
    }

    /// How many chunks may be sent before the first of them is acknowledged; `None` when it does
    /// not matter.
    fn window(&self) -> Option<u32> {
        None
    }

    /// Lines for the person, since the last time.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Why a chunk cannot be had.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SourceError {
    /// The disk.
    #[error("reading package {} at byte {at}", path.display())]
    Read {
        path: PathBuf,
        /// In bytes of the package's file.
        at: u64,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The file is another one now.
    #[error(
        "package {} has changed since it was hashed: bytes {at} and following are not what the manifest says", path.display()
    )]
    Changed {
        path: PathBuf,
        /// In bytes of the package's file: where the changed chunk begins.
        at: u64,
    },
    /// The producer of the stream has failed.
    #[error("making package {name}")]
    Stream {
        name: String,
        /// In its words.
        source: io::Error,
    },
    /// The target wants what was let go: it has said before that it has it.
    #[error("package {name} is not stored: chunk {chunk} cannot be sent again")]
    Gone {
        name: String,
        /// The chunk that is wanted.
        chunk: u32,
    },
}
