//! A piece of a disk, a partition or the whole, of which the two ends and two more places are in
//! memory: nearly everything that ever signed itself did it there. How much is read does not depend
//! on what is found.

use crate::disk::{Disk, DiskError};
use crate::sizes::MIB;

/// Of a partition: both labels of ZFS that stand there are whole.
const HEAD_BYTES: u64 = 512 * 1024;
/// The other two stand on a multiple of 256 KiB.
const TAIL_BYTES: u64 = 768 * 1024;
/// At 1 and 2 MiB, where VMFS signs itself and where LUKS may have its second header.
const PAGE_BYTES: u64 = 4096;

/// The piece. Offsets are bytes from its own start.
pub(super) struct Area {
    base: u64,
    len_bytes: u64,
    /// Head and tail, then what lies between.
    windows: Vec<(u64, Vec<u8>)>,
}

impl Area {
    /// The two ends of a disk, and nothing else yet: a MiB of each, which is what a deploy blanks.
    pub(super) fn ends(disk: &mut dyn Disk) -> Result<Self, DiskError> {
        let len_bytes = disk.size_bytes();
        Self::read(disk, 0, len_bytes, [MIB, MIB])
    }

    /// A piece that lies on the disk, from `base` on.
    pub(super) fn part(disk: &mut dyn Disk, base: u64, len_bytes: u64) -> Result<Self, DiskError> {
        let mut area = Self::read(disk, base, len_bytes, [HEAD_BYTES, TAIL_BYTES])?;
        area.read_between(disk)?;
        Ok(area)
    }

    fn read(
        disk: &mut dyn Disk,
        base: u64,
        len_bytes: u64,
        [head, tail]: [u64; 2],
    ) -> Result<Self, DiskError> {
        let mut area = Self {
            base,
            len_bytes,
            windows: Vec::new(),
        };
        area.add(disk, 0, head)?;
        area.add(disk, len_bytes.saturating_sub(tail), tail)?;
        Ok(area)
    }

    /// Reads the places between its ends where formats sign themselves.
    pub(super) fn read_between(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        self.add(disk, MIB, PAGE_BYTES)?;
        self.add(disk, 2 * MIB, PAGE_BYTES)
    }

    fn add(&mut self, disk: &mut dyn Disk, offset: u64, len_bytes: u64) -> Result<(), DiskError> {
        let len_bytes = len_bytes.min(self.len_bytes.saturating_sub(offset));
        let bytes = read_bytes(disk, self.base.saturating_add(offset), len_bytes)?;
        self.windows.push((offset, bytes));
        Ok(())
    }

    pub(super) const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// From the start on, as far as it was read.
    pub(super) fn head(&self) -> &[u8] {
        self.windows.first().map_or(&[], |(_, bytes)| bytes)
    }

    /// The bytes that were read at `offset`; `None` outside the area.
    pub(super) fn get(&self, offset: u64, len: usize) -> Option<&[u8]> {
        self.windows.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(offset.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(len)?)
        })
    }

    pub(super) fn stands_at(&self, offset: u64, magic: &[u8]) -> bool {
        self.get(offset, magic.len())
            .is_some_and(|found| found == magic)
    }

    /// The first byte of its two ends that is not zero.
    pub(super) fn first_used(&self) -> Option<u64> {
        let ends = self.windows.iter().take(2);
        ends.into_iter()
            .find_map(|(start, bytes)| Some(start.saturating_add(first_used(bytes)?)))
    }
}

/// Page by page first: a comparison of slices is many times faster than a search for a byte.
fn first_used(bytes: &[u8]) -> Option<u64> {
    let zeros = [0; 4096];
    let page = bytes
        .chunks(zeros.len())
        .position(|page| !zeros.starts_with(page))?;
    let start = page.saturating_mul(zeros.len());
    let within = bytes.get(start..)?.iter().position(|&byte| byte != 0)?;
    Some(start.saturating_add(within) as u64)
}

/// Bytes from anywhere on the disk: whole sectors are read, and what was not asked for is left out.
/// Fewer come where the disk ends first.
pub(super) fn read_bytes(
    disk: &mut dyn Disk,
    offset: u64,
    len_bytes: u64,
) -> Result<Vec<u8>, DiskError> {
    let sector = disk.sector_size().bytes();
    let end = offset.saturating_add(len_bytes).min(disk.size_bytes());
    let from = offset / sector * sector;
    let to = end.div_ceil(sector).saturating_mul(sector);
    if offset >= end || to > disk.size_bytes() {
        return Ok(Vec::new());
    }
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(0)];
    disk.read_at(from, &mut bytes)?;
    bytes.truncate(usize::try_from(end - from).unwrap_or(0));
    bytes.drain(..usize::try_from(offset - from).unwrap_or(0));
    Ok(bytes)
}
