//! A sparse disk in memory for tests: pages that were never written read as zeros and take no room.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, DiskError, SectorSize};

const PAGE: u64 = 4096;
const ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];

/// The disk; clones are snapshots.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    size_bytes: u64,
    sector: SectorSize,
    pages: BTreeMap<u64, Arc<[u8; PAGE as usize]>>,
    /// Calls of `flush` so far.
    pub flushes: u64,
}

impl MemoryDisk {
    /// All zeros.
    pub fn new(size_bytes: u64, sector: SectorSize) -> Self {
        Self {
            size_bytes,
            sector,
            pages: BTreeMap::new(),
            flushes: 0,
        }
    }

    /// Its sector size, without the trait.
    pub const fn sector(&self) -> SectorSize {
        self.sector
    }

    /// Puts bytes anywhere, with no regard for sectors.
    pub fn put(&mut self, offset: u64, bytes: &[u8]) {
        assert!(offset + bytes.len() as u64 <= self.size_bytes);
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let start = (at % PAGE) as usize;
            let len = rest.len().min(PAGE as usize - start);
            let (now, later) = rest.split_at(len);
            if ZEROS.starts_with(now) && !self.pages.contains_key(&(at / PAGE)) {
                // Zeros over zeros.
            } else {
                let page = self
                    .pages
                    .entry(at / PAGE)
                    .or_insert_with(|| Arc::new(ZEROS));
                let page = Arc::make_mut(page);
                page[start..start + len].copy_from_slice(now);
            }
            at += len as u64;
            rest = later;
        }
    }

    /// Bytes from anywhere.
    pub fn get(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let start = (at % PAGE) as usize;
            let part = (len - done).min(PAGE as usize - start);
            if let Some(page) = self.pages.get(&(at / PAGE)) {
                bytes[done..done + part].copy_from_slice(&page[start..start + part]);
            }
            done += part;
        }
        bytes
    }

    /// Where, of `len_bytes` from `offset` on, a sector holds anything but zeros.
    pub fn used_sectors(&self, offset: u64, len_bytes: u64) -> Vec<u64> {
        let end = offset + len_bytes;
        let sector = self.sector.bytes();
        let pages = self.pages.range(offset / PAGE..end.div_ceil(PAGE));
        let sectors = pages.flat_map(|(page, bytes)| {
            let sectors = (page * PAGE..).step_by(sector as usize);
            sectors.zip(bytes.chunks(sector as usize))
        });
        sectors
            .filter(|(at, bytes)| (offset..end).contains(at) && !ZEROS.starts_with(bytes))
            .map(|(at, _)| at)
            .collect()
    }

    /// Writes the disk to a sparse file, for the real tools.
    pub fn save(&self, path: &Path) {
        self.save_part(path, 0, self.size_bytes);
    }

    /// Writes part of the disk, from a page boundary on, to a sparse file.
    pub fn save_part(&self, path: &Path, offset: u64, len_bytes: u64) {
        assert_eq!(offset % PAGE, 0);
        let file = std::fs::File::create(path).unwrap();
        file.set_len(len_bytes).unwrap();
        for (number, page) in self.pages.range(offset / PAGE..) {
            let at = number * PAGE - offset;
            let len = (page.len() as u64).min(len_bytes.saturating_sub(at));
            file.write_all_at(&page[..len as usize], at).unwrap();
        }
    }

    /// Are all bytes the same?
    pub fn is_same_as(&self, other: &Self) -> bool {
        let zeros = Arc::new(ZEROS);
        let numbers = self.pages.keys().chain(other.pages.keys());
        self.size_bytes == other.size_bytes
            && numbers.into_iter().all(|number| {
                self.pages.get(number).unwrap_or(&zeros)
                    == other.pages.get(number).unwrap_or(&zeros)
            })
    }

    fn check(&self, action: &'static str, offset: u64, len: usize) -> Result<(), DiskError> {
        let aligned = offset.is_multiple_of(self.sector.bytes())
            && (len as u64).is_multiple_of(self.sector.bytes());
        if aligned
            && offset
                .checked_add(len as u64)
                .is_some_and(|end| end <= self.size_bytes)
        {
            return Ok(());
        }
        let source = io::ErrorKind::InvalidInput.into();
        Err(DiskError {
            action,
            disk: self.name().to_owned(),
            offset,
            len,
            source,
        })
    }
}

impl Disk for MemoryDisk {
    fn name(&self) -> &str {
        "memory"
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn sector_size(&self) -> SectorSize {
        self.sector
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.check("reading", offset, buf.len())?;
        buf.copy_from_slice(&self.get(offset, buf.len()));
        Ok(())
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), DiskError> {
        self.check("writing", offset, buf.len())?;
        self.put(offset, buf);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.flushes += 1;
        Ok(())
    }
}
