//! A tar as blocks of 512 bytes and the contents between them; knows where it is and which entry
//! that belongs to.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Content, Place, Refusal, UnpackError};

/// The unit of a tar (pax(1), ustar Interchange Format).
pub const BLOCK_BYTES: usize = 512;
/// Bytes asked of the input at a time, and written to a file at a time: large enough that system
/// calls cost nothing beside the copying, small enough for a 64 MiB machine.
const BUFFER_BYTES: usize = 256 << 10;

/// Reads a tar forwards.
pub struct Blocks<'p, R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    progress: &'p AtomicU64,
    entry: Place,
    /// Contents of the entry that are still to be given, and what pads them to a whole block.
    left: u64,
    padding: u64,
    /// Length of the chunk lent last, still in the buffer.
    given: usize,
}

impl<'p, R: Read> Blocks<'p, R> {
    pub fn new(input: R, progress: &'p AtomicU64) -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        Blocks {
            input,
            buffer,
            start: 0,
            end: 0,
            offset: 0,
            progress,
            entry: Place::default(),
            left: 0,
            padding: 0,
            given: 0,
        }
    }

    /// From here on, faults belong to an entry that begins here and has no name yet.
    pub fn begin_entry(&mut self) {
        self.entry.offset = self.offset;
        self.entry.path.clear();
    }

    /// The name under which faults are reported.
    pub fn name_entry(&mut self, path: &[u8]) {
        path.clone_into(&mut self.entry.path);
    }

    pub fn refuse(&self, reason: Refusal) -> UnpackError {
        self.entry.refuse(reason)
    }

    /// The end of the input where there should be more, reported at that very byte.
    fn refuse_here(&self, reason: Refusal) -> UnpackError {
        self.entry.refuse_at(self.offset, reason)
    }

    /// Whether another block needs another read.
    pub fn is_drained(&self) -> bool {
        self.pending().len().saturating_sub(self.given) < BLOCK_BYTES
    }

    /// One read behind what is there. False at the end of the input.
    fn fill(&mut self) -> Result<bool, UnpackError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end.saturating_sub(self.start));
        }
        loop {
            let space = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.input.read(space) {
                Ok(got) => {
                    self.end = self.end.saturating_add(got).min(self.buffer.len());
                    return Ok(got > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.entry.unread(self.offset, source)),
            }
        }
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        self.offset = self.offset.saturating_add(count as u64);
        self.progress.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// The next block, or nothing at the end of the input.
    pub fn block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, UnpackError> {
        loop {
            if let Some(block) = self.pending().first_chunk::<BLOCK_BYTES>() {
                let block = *block;
                self.consume(BLOCK_BYTES);
                return Ok(Some(block));
            }
            if !self.fill()? {
                let cut = self.pending().len();
                self.consume(cut);
                return if cut == 0 {
                    Ok(None)
                } else {
                    Err(self.refuse_here(Refusal::Truncated))
                };
            }
        }
    }

    /// After the two zero blocks: nothing but zeros until the input's own end.
    pub fn expect_zeros_to_the_end(&mut self) -> Result<(), UnpackError> {
        loop {
            let zeros = self.pending().iter().take_while(|byte| **byte == 0).count();
            self.consume(zeros);
            if !self.pending().is_empty() {
                return Err(self.refuse_here(Refusal::AfterTheEnd));
            }
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    /// Contents of `len` bytes begin here.
    pub fn begin_content(&mut self, len: u64) {
        self.left = len;
        self.padding = len.wrapping_neg() % BLOCK_BYTES as u64;
    }

    /// The contents that begin here, all at once; the caller has checked `len`.
    pub fn content_whole(&mut self, len: u64) -> Result<Vec<u8>, UnpackError> {
        self.begin_content(len);
        let mut whole = Vec::new();
        while let Some(chunk) = self.next_chunk()? {
            whole.extend_from_slice(chunk);
        }
        self.skip_content()?;
        Ok(whole)
    }

    /// To the next block boundary behind the contents.
    pub fn skip_content(&mut self) -> Result<(), UnpackError> {
        while self.next_chunk()?.is_some() {}
        self.left = std::mem::take(&mut self.padding);
        while self.next_chunk()?.is_some() {}
        Ok(())
    }

    /// The entry at hand.
    pub const fn entry(&self) -> &Place {
        &self.entry
    }

    /// Bytes of tar taken so far.
    pub const fn taken(&self) -> u64 {
        self.offset
    }
}

impl<R: Read> Content for Blocks<'_, R> {
    fn next_chunk(&mut self) -> Result<Option<&[u8]>, UnpackError> {
        let given = std::mem::take(&mut self.given);
        self.consume(given);
        if self.left == 0 {
            return Ok(None);
        }
        if self.pending().is_empty() && !self.fill()? {
            return Err(self.refuse_here(Refusal::Truncated));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let len = self.pending().len().min(most);
        self.given = len;
        self.left = self.left.saturating_sub(len as u64);
        Ok(self.pending().get(..len))
    }
}
