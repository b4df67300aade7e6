//! Chunks that need not be fetched: the slot that runs has them at the same place. Each is hashed
//! before it is taken. Where many in a row were different, only every eighth one is looked at, so
//! that a wholly new image costs little more than without this.

use bundle::trust::Approved;
use bundle::verify::{Verified, verify_chunk};
use disk::disk::Disk;

/// So many different ones in a row make it look less often.
const MISSES_MAX: u32 = 16;
/// Then at one of so many.
const EVERY: u32 = 8;

/// The slot to take chunks from.
pub(crate) struct Reuse<'d> {
    disk: &'d mut dyn Disk,
    misses: u32,
    /// What was read last, when it was another chunk.
    buffer: Vec<u8>,
}

impl<'d> Reuse<'d> {
    pub(crate) fn new(disk: &'d mut dyn Disk) -> Self {
        Self {
            disk,
            misses: 0,
            buffer: Vec::new(),
        }
    }

    /// This chunk, if that slot has it. A slot that cannot be read has nothing.
    pub(crate) fn chunk(
        &mut self,
        approved: &Approved,
        chunk: u32,
        offset_bytes: u64,
        len_bytes: usize,
    ) -> Option<Verified> {
        let is_tried = self.misses < MISSES_MAX || chunk.is_multiple_of(EVERY);
        let verified = is_tried
            .then(|| {
                self.buffer.resize(len_bytes, 0);
                self.disk.read_at(offset_bytes, &mut self.buffer).ok()?;
                verify_chunk(approved, 0, chunk, &mut self.buffer).ok()
            })
            .flatten();
        self.misses = match verified {
            Some(_) => 0,
            None => self.misses.saturating_add(1),
        };
        verified
    }
}
