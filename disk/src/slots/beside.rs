//! A slot is read back beside its writing: a thread reads from the medium what was written, and
//! hashes it, while more is written.
//!
//! In: the medium, and how far it was written, again and again. Out: the SHA-256 of everything from
//! the first byte on, each byte read once and in order. What is in memory is one piece of
//! [`READ_BYTES`], and what the writer is ahead, at most [`AHEAD`] windows and the one that is
//! read.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

use sha2::{Digest, Sha256 as Hasher};
use wire::manifest::Sha256;

use crate::disk::{DiskError, Medium};
use crate::sizes::MIB;

/// Read at once. Reading past the cache nobody reads ahead: of 1 and 4 MiB the larger one was
/// three times as fast.
pub(super) const READ_BYTES: u64 = 4 * MIB;
/// Windows that the writer may be ahead: a disk that is slow to read holds it up, not the memory.
const AHEAD: usize = 2;

/// What is read from the medium, in order.
pub(super) struct Hashing {
    hasher: Hasher,
    done_bytes: u64,
    /// Where the slot begins on the medium.
    offset_bytes: u64,
}

impl Hashing {
    pub(super) fn new(offset_bytes: u64) -> Self {
        Self {
            hasher: Hasher::new(),
            done_bytes: 0,
            offset_bytes,
        }
    }

    /// Up to this byte of the slot; `seen` hears after each piece how far it came, and says whether
    /// to go on. False when it did not want that.
    pub(super) fn go_on(
        &mut self,
        medium: &mut dyn Medium,
        end_bytes: u64,
        seen: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool, DiskError> {
        while self.done_bytes < end_bytes {
            let len = end_bytes.saturating_sub(self.done_bytes).min(READ_BYTES);
            let at = self.offset_bytes.saturating_add(self.done_bytes);
            let len = usize::try_from(len).unwrap_or(0);
            self.hasher.update(medium.read(at, len)?);
            self.done_bytes = self.done_bytes.saturating_add(len as u64);
            if !seen(self.done_bytes) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn end(self) -> Sha256 {
        self.hasher.finalize().into()
    }
}

/// The thread that reads.
pub(super) struct Beside {
    written: SyncSender<u64>,
    read: Receiver<u64>,
    thread: JoinHandle<Result<Sha256, DiskError>>,
}

impl Beside {
    /// Of the slot that begins there.
    ///
    /// # Errors
    /// No thread could be started.
    pub(super) fn begin(mut medium: Box<dyn Medium + Send>, offset_bytes: u64) -> io::Result<Self> {
        let (written, ends) = sync_channel(AHEAD);
        let (seen, read) = channel();
        let thread = Builder::new().name("read-back".into()).spawn(move || {
            let mut hashing = Hashing::new(offset_bytes);
            // Nobody listens when the writing has failed: that ends it with the next piece.
            let mut tell = |done| seen.send(done).is_ok();
            while let Ok(end_bytes) = ends.recv() {
                if !hashing.go_on(&mut *medium, end_bytes, &mut tell)? {
                    break;
                }
            }
            Ok(hashing.end())
        })?;
        Ok(Self {
            written,
            read,
            thread,
        })
    }

    /// What lies before this byte of the slot was written. Waits while the thread is far behind.
    /// False when it has ended, which it does early only when the medium could not be read.
    pub(super) fn goes_on(&self, written_bytes: u64) -> bool {
        self.written.send(written_bytes).is_ok()
    }

    /// Waits until everything that was written is read. `seen` hears of all of it.
    ///
    /// # Errors
    /// The medium could not be read.
    pub(super) fn end(self, seen: &mut dyn FnMut(u64)) -> Result<Sha256, DiskError> {
        drop(self.written);
        self.read.iter().for_each(seen);
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| Ok(Sha256::default())) // it does not panic
    }
}
