//! Chunks of an approved image in, verified bytes of one package after the other out
//! (`protocol.md` 4.2).
//!
//! A chunk is checked as a whole, by length, flag and hash, before one byte of it is given on, and
//! a file's last chunk only after the hash of the whole file was right. [`Verified`] is built here
//! and nowhere else. What is in memory is one chunk.
//!
//! Files that are made while they are sent have no hashes: the paired donor vouches for them, and
//! [`crate::trust`] has let that pass.

mod wanted;

use std::error::Error;
use std::fmt;
use std::mem;

use sha2::{Digest, Sha256 as Hasher};
use thiserror::Error;
use wire::manifest::{Content, Sha256};
use wire::outcome::Outcome;

use crate::interrupt::{Interrupter, nothing_to_interrupt};
use crate::package_stream::{Header, Packages, PackagesError};
use crate::trust::{Approved, ApprovedFile};
use wanted::Wanted;

pub use wanted::ChunkFault;

/// A chunk that was wrong so often is not asked for again, from any donor.
const TRIES_MAX: u32 = 3;

/// Does the sender say that this was the last chunk of its file?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsLast(pub bool);

/// Where unverified chunks come from: a session that may be paired again while it waits, or records
/// of an original stream.
pub trait ChunkSource: Send {
    /// Puts this chunk's bytes, as they were sent, into the empty `buf`. Asked for in order, each
    /// once unless [`ChunkSource::refused`] wants it again; returns when it is there, however often
    /// the connection breaks on the way.
    ///
    /// # Errors
    /// It will not come.
    fn chunk(&mut self, file: u16, chunk: u32, buf: &mut Vec<u8>) -> Result<IsLast, ChunkError>;

    /// The chunk it gave last is not the one that the manifest names. True when it will be asked
    /// for again, of somebody else or after a new connection; a source that cannot do that says no,
    /// and the deploy fails.
    fn refused(&mut self, fault: &VerifyError) -> bool {
        let _ = fault;
        false
    }

    /// Abandons this source, from another thread: the deploy has failed, so a
    /// [`ChunkSource::chunk`] that waits returns an error at once, and so does every later one. A
    /// source that never waits for long has nothing to interrupt.
    fn interrupter(&self) -> Interrupter {
        nothing_to_interrupt()
    }

    /// Every chunk was taken: makes sure that nothing follows.
    ///
    /// # Errors
    /// Something does, or the connection broke.
    fn end(&mut self) -> Result<(), ChunkError> {
        Ok(())
    }
}

impl<S: ChunkSource + ?Sized> ChunkSource for &mut S {
    fn chunk(&mut self, file: u16, chunk: u32, buf: &mut Vec<u8>) -> Result<IsLast, ChunkError> {
        (**self).chunk(file, chunk, buf)
    }

    fn refused(&mut self, fault: &VerifyError) -> bool {
        (**self).refused(fault)
    }

    fn interrupter(&self) -> Interrupter {
        (**self).interrupter()
    }

    fn end(&mut self) -> Result<(), ChunkError> {
        (**self).end()
    }
}

/// A chunk does not come.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ChunkError {
    /// It cannot be had. The source knows what follows from that.
    #[error("{what}")]
    Missing {
        /// The operation.
        what: String,
        /// Whether to retry, refuse or stop.
        outcome: Outcome,
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// This end wants no more: an operator has cancelled the deploy, or it has failed.
    #[error("the deploy was cancelled")]
    Cancelled,
}

impl ChunkError {
    /// Whether to retry, refuse or stop.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            ChunkError::Missing { outcome, .. } => *outcome,
            ChunkError::Cancelled => Outcome::Refuse,
        }
    }
}

/// An approved image does not come, or is not what was approved.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum VerifyError {
    /// A chunk does not come.
    #[error("receiving {name}, chunk {chunk}")]
    Receive {
        name: String,
        /// The chunk's number, from 0.
        chunk: u32,
        #[source]
        source: ChunkError,
    },
    /// It came and is not the one.
    #[error("verifying {name}, chunk {chunk}")]
    Chunk {
        name: String,
        /// The chunk's number, from 0.
        chunk: u32,
        /// The fault.
        #[source]
        fault: ChunkFault,
    },
    /// All chunks were right, the file is not: its manifest contradicts itself.
    #[error("{name} has not the SHA-256 that the manifest names, though each of its chunks has")]
    File { name: String },
    /// The end of everything.
    #[error("ending the transfer")]
    End(#[source] ChunkError),
    /// The caller left bytes of a package behind.
    #[error("{name} was not read to its end")]
    Unread { name: String },
}

impl VerifyError {
    /// The source knows what follows when nothing comes; a donor that sends something else is
    /// refused.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            VerifyError::Receive { source, .. } | VerifyError::End(source) => source.outcome(),
            VerifyError::Chunk { .. } | VerifyError::File { .. } => Outcome::Refuse,
            VerifyError::Unread { .. } => Outcome::Fatal,
        }
    }
}

impl From<VerifyError> for PackagesError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::End(ChunkError::Cancelled)
            | VerifyError::Receive {
                source: ChunkError::Cancelled,
                ..
            } => PackagesError::Cancelled,
            error => PackagesError::Failed {
                outcome: error.outcome(),
                source: Box::new(error),
            },
        }
    }
}

/// Bytes that the manifest vouches for, or, in a live file, their sender.
#[derive(Default)]
pub struct Verified(Vec<u8>);

impl Verified {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The buffer, for the next chunk.
    #[must_use]
    pub fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

/// Checks one chunk of one file by itself, in any order and from anywhere, by length and hash.
/// Whether all of them are there is the caller's to know. The bytes are taken when they are right.
///
/// # Errors
/// It is not the chunk that the manifest names; nothing else fails here.
pub fn verify_chunk(
    approved: &Approved,
    file: u16,
    chunk: u32,
    bytes: &mut Vec<u8>,
) -> Result<Verified, VerifyError> {
    let wrong = |name: String, fault| VerifyError::Chunk { name, chunk, fault };
    let found = approved.file(file);
    let wanted = found.and_then(|file| Some((file, Wanted::alone(approved, file, chunk)?)));
    let Some((file, (wanted, is_last))) = wanted else {
        return Err(wrong(format!("file {file}"), ChunkFault::Unknown));
    };
    let checked = wanted.check(bytes, is_last);
    checked.map_err(|fault| wrong(file.file.name.to_string(), fault))?;
    Ok(Verified(mem::take(bytes)))
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({} bytes)", self.0.len())
    }
}

/// Where in a file we are.
struct Current {
    index: u16,
    /// The chunk that is wanted next.
    chunk: u32,
    /// Bytes of it so far.
    received: u64,
    is_complete: bool,
    whole: Hasher,
}

/// The packages of an approved image.
pub struct VerifiedPackages<S> {
    approved: Approved,
    source: S,
    /// Number of the next file.
    next: u16,
    current: Option<Current>,
    ready: Verified,
    /// How much of `ready` was given on.
    given: usize,
    offset: u64,
}

impl<S: ChunkSource> VerifiedPackages<S> {
    /// The packages of this image, of which this source sends chunks.
    pub fn new(approved: &Approved, source: S) -> Self {
        Self {
            approved: approved.clone(),
            source,
            next: 0,
            current: None,
            ready: Verified::default(),
            given: 0,
            offset: 0,
        }
    }

    /// The next chunk of the current file into `ready`; false at its end.
    fn fetch(&mut self) -> Result<bool, VerifyError> {
        let Some(current) = &mut self.current else {
            return Ok(false);
        };
        if current.is_complete {
            return Ok(false);
        }
        let Some(file) = self.approved.file(current.index) else {
            return Ok(false);
        };
        let mut bytes = std::mem::take(&mut self.ready).0;
        self.given = 0;
        let wanted = Wanted::of(&self.approved, file, current);
        let mut tries = 0;
        let is_last = loop {
            bytes.clear();
            let is_last = self
                .source
                .chunk(current.index, current.chunk, &mut bytes)
                .map_err(|source| VerifyError::Receive {
                    name: file.file.name.to_string(),
                    chunk: current.chunk,
                    source,
                })?;
            let Err(fault) = wanted.check(&bytes, is_last) else {
                break is_last;
            };
            let fault = VerifyError::Chunk {
                name: file.file.name.to_string(),
                chunk: current.chunk,
                fault,
            };
            tries += 1;
            // The last time the source keeps its peer, which can then be told why.
            if tries >= TRIES_MAX || !self.source.refused(&fault) {
                return Err(fault);
            }
        };
        current.take(file, &bytes, is_last)?;
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        self.ready = Verified(bytes);
        Ok(true)
    }
}

impl Current {
    /// A chunk that was right.
    fn take(
        &mut self,
        file: &ApprovedFile,
        bytes: &[u8],
        is_last: IsLast,
    ) -> Result<(), VerifyError> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        self.chunk = self.chunk.saturating_add(1);
        if let Content::Hashed { sha256, .. } = file.file.content {
            self.whole.update(bytes);
            if is_last.0 && Sha256::from(self.whole.finalize_reset()) != sha256 {
                return Err(VerifyError::File {
                    name: file.file.name.to_string(),
                });
            }
        }
        self.is_complete = is_last.0;
        Ok(())
    }
}

impl<S: ChunkSource> Packages for VerifiedPackages<S> {
    fn next_header(&mut self) -> Result<Option<Header>, PackagesError> {
        if let Some(current) = self.current.take() {
            let left = self.ready.as_slice().len().saturating_sub(self.given);
            if !current.is_complete || left > 0 {
                let file = self.approved.file(current.index);
                let name = file.map_or_else(String::new, |file| file.file.name.to_string());
                return Err(VerifyError::Unread { name }.into());
            }
        }
        let Some(file) = self.approved.file(self.next) else {
            self.source.end().map_err(VerifyError::End)?;
            return Ok(None);
        };
        let (claimed_len, unpacked) = match file.file.content {
            Content::Hashed {
                size_bytes,
                unpacked,
                ..
            } => (Some(size_bytes), unpacked),
            Content::Live => (None, None),
        };
        let header = Header {
            name: file.file.name.clone(),
            claimed_len,
            unpacked,
        };
        self.current = Some(Current {
            index: self.next,
            chunk: 0,
            received: 0,
            is_complete: false,
            whole: Hasher::new(),
        });
        self.next = self.next.saturating_add(1);
        Ok(Some(header))
    }

    fn read_data(&mut self, buf: &mut [u8]) -> Result<usize, PackagesError> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let ready = self.ready.as_slice().get(self.given..).unwrap_or_default();
            let len = ready.len().min(buf.len());
            if len > 0 {
                if let (Some(to), Some(from)) = (buf.get_mut(..len), ready.get(..len)) {
                    to.copy_from_slice(from);
                }
                self.given = self.given.saturating_add(len);
                return Ok(len);
            }
            // A live file may end with an empty chunk, so this may go round once more.
            if !self.fetch()? {
                return Ok(0);
            }
        }
    }

    fn interrupter(&self) -> Interrupter {
        self.source.interrupter()
    }

    fn offset_bytes(&self) -> u64 {
        self.offset
    }

    fn approved(&self) -> Option<&Approved> {
        Some(&self.approved)
    }

    fn claimed_unpacked_bytes(&self) -> Option<u64> {
        self.approved.unpacked_bytes()
    }
}

#[cfg(test)]
mod tests;
