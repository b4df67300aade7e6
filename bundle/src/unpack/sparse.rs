//! Sparse files as PAX archives hold them (GNU tar manual, "Storing Sparse Files", PAX format,
//! version 1.0): a map of the data in front of the data, the rest of the file being holes.
//!
//! The map is decimal numbers, a line each: how many segments, then offset and length of each;
//! zeros up to the next block. Its data are counted as they come, and holes take no room on the
//! disk. But each segment takes a block of the disk, however short it is: 131072 of one byte are
//! 128 KiB of data and 512 MiB of disk. What bounds that is the file system: it becomes full, and
//! the package is refused.

use std::io::Read;

use super::blocks::{BLOCK_BYTES, Blocks};
use super::entry::{Map, Segment};
use super::{Refusal, UnpackError};

/// Most segments of one file: 2 MiB of memory.
pub const SEGMENTS_MAX: usize = 1 << 17;

/// Reads the segments of a map, so that nothing but data follows in `blocks`.
///
/// # Errors
/// It is no map, or does not fit the file.
pub fn complete<R: Read>(blocks: &mut Blocks<'_, R>, map: &mut Map) -> Result<(), UnpackError> {
    let mut numbers = Numbers::default();
    while !numbers.are_complete() {
        let left = map.stored.checked_sub(BLOCK_BYTES as u64);
        let left = left.ok_or_else(|| blocks.refuse(Refusal::SparseMap))?;
        map.stored = left;
        let block = blocks.block()?;
        let block = block.ok_or_else(|| blocks.refuse(Refusal::Truncated))?;
        numbers
            .take(&block)
            .ok_or_else(|| blocks.refuse(Refusal::SparseMap))?;
    }
    let pairs = numbers.found.chunks_exact(2).filter_map(|pair| match pair {
        &[at, len] => Some(Segment { at, len }),
        _ => None,
    });
    map.segments = pairs.collect();
    if map.fits() {
        Ok(())
    } else {
        Err(blocks.refuse(Refusal::SparseMap))
    }
}

/// The numbers of a map, block by block.
#[derive(Default)]
struct Numbers {
    count: Option<usize>,
    /// Behind the count.
    found: Vec<u64>,
    /// The one that is being read.
    digits: Option<u64>,
}

impl Numbers {
    fn are_complete(&self) -> bool {
        self.count == Some(self.found.len())
    }

    fn take(&mut self, block: &[u8]) -> Option<()> {
        for byte in block {
            match (self.are_complete(), byte, self.digits) {
                (true, 0, _) => {}
                (false, b'0'..=b'9', digits) => {
                    let digit = u64::from(byte.saturating_sub(b'0'));
                    let tens = digits.unwrap_or(0).checked_mul(10)?;
                    self.digits = Some(tens.checked_add(digit)?);
                }
                (false, b'\n', Some(number)) => {
                    self.digits = None;
                    match self.count {
                        Some(_) => self.found.push(number),
                        None => {
                            let segments = usize::try_from(number).ok()?;
                            let segments = (segments <= SEGMENTS_MAX).then_some(segments)?;
                            self.count = segments.checked_mul(2);
                        }
                    }
                }
                _ => return None,
            }
        }
        Some(())
    }
}
