//! Files of an EFI System Partition that somebody else may have written to since, or damaged: any
//! bytes in, a file of bounded length or an error out (Microsoft FAT specification 1.03; section
//! numbers below are its).
//!
//! This is not the code that makes an ESP: that one trusts what it reads back. Here every number is
//! checked before it is used, a directory ends after what a directory can hold, and a file after
//! the length that its entry has, so that chains of clusters that lead in circles end as well.
//! An ESP on a fixed disk is FAT32 (UEFI 2.10 13.3.1.1), the head of a slot FAT12 or FAT16
//! (`slot.md` 2).

use std::io::{self, ErrorKind, Write};

use super::EspError;
use crate::contents::PartitionRef;
use crate::disk::{Disk, SectorSize};

use entry::{ENTRY, Entry, Found, LongName, is_short};

mod entry;

/// 65,536 entries are the most (6.2).
const DIRECTORY_MAX: u64 = 65_536 * 32;
/// The specification ends at 32 KiB (3.1); Windows makes up to 256 KiB.
const CLUSTER_MAX: u64 = 256 * 1024;
/// Of an entry of a FAT32's table, the upper four bits are nobody's business (4).
const TABLE_MASK: u32 = 0x0FFF_FFFF;
/// Volumes with fewer clusters are FAT12, and FAT16 (3.5).
const FAT16_CLUSTERS: u64 = 4085;
const FAT32_CLUSTERS: u64 = 65_525;
/// Stands for the root directory where that is no chain of clusters (6.5).
const FIXED_ROOT: u32 = 0;
const FIRST_CLUSTER: u32 = 2;

/// An ESP, or the head of a slot, to read files from.
pub struct EspReader<'d> {
    disk: &'d mut dyn Disk,
    /// Offset of the partition on the disk, in bytes.
    start: u64,
    shape: Shape,
    /// A piece of the table: where it begins in the partition, and its bytes.
    table: (u64, Vec<u8>),
}

/// Where the content of a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// On the disk, in bytes: a multiple of its sectors.
    pub offset: u64,
    /// As the directory has it.
    pub len_bytes: u32,
}

/// The layout by the boot sector, checked: every place lies inside the partition. In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    table: u64,
    data: u64,
    cluster: u64,
    /// The first number that no cluster has.
    clusters_end: u32,
    root: u32,
    /// In front of the data, where the root directory is no chain of clusters.
    fixed_root: u64,
    entry: TableEntry,
}

/// How wide an entry of the table is (4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TableEntry {
    Bits12,
    Bits16,
    Bits32,
}

impl TableEntry {
    const fn bits(self) -> u64 {
        match self {
            TableEntry::Bits12 => 12,
            TableEntry::Bits16 => 16,
            TableEntry::Bits32 => 32,
        }
    }

    /// Bytes that hold one.
    const fn len(self) -> u8 {
        match self {
            TableEntry::Bits12 | TableEntry::Bits16 => 2,
            TableEntry::Bits32 => 4,
        }
    }

    /// The end of a chain, and everything above it.
    const fn end(self) -> u32 {
        match self {
            TableEntry::Bits12 => 0xFF8,
            TableEntry::Bits16 => 0xFFF8,
            TableEntry::Bits32 => 0x0FFF_FFF8,
        }
    }
}

impl<'d> EspReader<'d> {
    /// The partition that the disk's own table has there.
    ///
    /// # Errors
    /// The disk failed, or what is there is no FAT.
    pub fn open(disk: &'d mut dyn Disk, esp: &PartitionRef) -> Result<Self, EspError> {
        let sector = disk.sector_size().bytes();
        let (start, len) = (
            esp.first_lba.saturating_mul(sector),
            esp.sectors.saturating_mul(sector),
        );
        Self::open_area(disk, start, len)
    }

    /// The `len_bytes` from `start` on, whole sectors: all of it, when the disk is the partition.
    ///
    /// # Errors
    /// As [`EspReader::open`].
    pub fn open_area(disk: &'d mut dyn Disk, start: u64, len_bytes: u64) -> Result<Self, EspError> {
        let mut read = || {
            if start.checked_add(len_bytes).is_none() {
                return Err(bad("a place beyond any disk"));
            }
            let sector = disk.sector_size();
            let mut first = vec![0; usize::try_from(sector.bytes()).map_err(io::Error::other)?];
            disk.read_at(start, &mut first).map_err(io::Error::other)?;
            Shape::read(&first, sector, len_bytes)
        };
        match read() {
            Ok(shape) => Ok(Self {
                disk,
                start,
                shape,
                table: (0, Vec::new()),
            }),
            Err(source) => Err(EspError {
                action: "opening",
                object: "FAT".to_owned(),
                disk: disk.name().to_owned(),
                source,
            }),
        }
    }

    /// Copies a file's content to `into`; returns its length in bytes. One that is longer than
    /// `most_bytes` is refused before the first byte. Case does not matter.
    ///
    /// # Errors
    /// There is no such file, it is too long or damaged, the disk failed, or `into` did.
    pub fn read(
        &mut self,
        path: &str,
        into: &mut dyn Write,
        most_bytes: u64,
    ) -> Result<u64, EspError> {
        let copied = self
            .find(path)
            .and_then(|found| self.copy(found, into, most_bytes));
        copied.map_err(|source| EspError {
            action: "reading",
            object: path.to_owned(),
            disk: self.disk.name().to_owned(),
            source,
        })
    }

    /// Where the content of a file lies, in one piece. Case does not matter.
    ///
    /// # Errors
    /// There is no such file, it is empty, damaged or in several pieces, or the disk failed.
    pub fn locate(&mut self, path: &str) -> Result<Extent, EspError> {
        let found = self.find(path).and_then(|found| self.extent(found));
        found.map_err(|source| EspError {
            action: "locating",
            object: path.to_owned(),
            disk: self.disk.name().to_owned(),
            source,
        })
    }

    fn extent(&mut self, found: Found) -> io::Result<Extent> {
        if found.is_directory {
            return Err(ErrorKind::IsADirectory.into());
        }
        let offset = self.start + self.shape.place_of(found.cluster)?;
        let mut cluster = found.cluster;
        for _ in 1..u64::from(found.len).div_ceil(self.shape.cluster) {
            let next = self.next(cluster)?;
            if next != cluster.checked_add(1) {
                return Err(bad("not in one piece"));
            }
            cluster = next.unwrap_or_default();
        }
        Ok(Extent {
            offset,
            len_bytes: found.len,
        })
    }

    fn copy(&mut self, found: Found, into: &mut dyn Write, most_bytes: u64) -> io::Result<u64> {
        let len = u64::from(found.len);
        if found.is_directory {
            return Err(ErrorKind::IsADirectory.into());
        }
        if len > most_bytes {
            return Err(bad(&format!("{len} bytes, {most_bytes} are the most")));
        }
        let (mut left, mut cluster) = (len, found.cluster);
        while left > 0 {
            let bytes = self.cluster(cluster)?;
            let taken = left.min(self.shape.cluster);
            let taken_len = usize::try_from(taken).map_err(io::Error::other)?;
            into.write_all(bytes.get(..taken_len).unwrap_or_default())?;
            left -= taken;
            if left > 0 {
                cluster = self
                    .next(cluster)?
                    .ok_or_else(|| bad("shorter than its entry says"))?;
            }
        }
        Ok(len)
    }

    /// From the root, one directory after the other.
    fn find(&mut self, path: &str) -> io::Result<Found> {
        let mut found = Found {
            is_directory: true,
            cluster: self.shape.root,
            len: 0,
        };
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !found.is_directory {
                return Err(ErrorKind::NotADirectory.into());
            }
            found = self.find_in(found.cluster, part)?;
        }
        Ok(found)
    }

    fn find_in(&mut self, directory: u32, name: &str) -> io::Result<Found> {
        let (mut cluster, mut seen, mut long) = (directory, 0, LongName::default());
        let is_fixed = directory == FIXED_ROOT && self.shape.entry != TableEntry::Bits32;
        loop {
            let bytes = match is_fixed {
                true => self.bytes(
                    self.shape.fixed_root,
                    self.shape.data.saturating_sub(self.shape.fixed_root),
                )?,
                false => self.cluster(cluster)?,
            };
            for entry in bytes.as_chunks::<ENTRY>().0 {
                match Entry::of(entry) {
                    Entry::End => return Err(ErrorKind::NotFound.into()),
                    Entry::Free => long = LongName::default(),
                    Entry::Piece => long.take(entry),
                    Entry::Short(found) => {
                        if long.is(name, entry) || is_short(name, entry) {
                            return Ok(found);
                        }
                        long = LongName::default();
                    }
                }
            }
            if is_fixed {
                return Err(ErrorKind::NotFound.into());
            }
            seen += self.shape.cluster;
            if seen >= DIRECTORY_MAX {
                return Err(bad("a directory without an end"));
            }
            match self.next(cluster)? {
                Some(next) => cluster = next,
                None => return Err(ErrorKind::NotFound.into()),
            }
        }
    }

    fn cluster(&mut self, number: u32) -> io::Result<Vec<u8>> {
        let at = self.shape.place_of(number)?;
        self.bytes(at, self.shape.cluster)
    }

    /// The cluster behind this one; none at the end of the chain.
    fn next(&mut self, number: u32) -> io::Result<Option<u32>> {
        self.shape.place_of(number)?;
        let entry = self.shape.entry;
        let at = self.shape.table + u64::from(number) * entry.bits() / 8;
        let mut bytes = [0; 4];
        // An entry of 12 bits may lie in two pieces of the table.
        for (at, byte) in (at..).zip(bytes.iter_mut().take(usize::from(entry.len()))) {
            *byte = self.table_byte(at)?;
        }
        let found = u32::from_le_bytes(bytes);
        let next = match entry {
            TableEntry::Bits12 if number % 2 == 1 => found >> 4,
            TableEntry::Bits12 => found & 0xFFF,
            TableEntry::Bits16 => found,
            TableEntry::Bits32 => found & TABLE_MASK,
        };
        if next >= entry.end() {
            return Ok(None);
        }
        self.shape.place_of(next)?;
        Ok(Some(next))
    }

    fn table_byte(&mut self, at: u64) -> io::Result<u8> {
        let piece = at - at % SectorSize::B4096.bytes();
        if self.table.0 != piece || self.table.1.is_empty() {
            // Up to the data: the last piece of a table may be shorter.
            let len = SectorSize::B4096
                .bytes()
                .min(self.shape.data.saturating_sub(piece));
            self.table = (piece, self.bytes(piece, len)?);
        }
        byte(
            &self.table.1,
            usize::try_from(at - piece).map_err(io::Error::other)?,
        )
    }

    /// Of the partition; both numbers are multiples of the disk's sectors.
    fn bytes(&mut self, at: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.disk
            .read_at(self.start + at, &mut bytes)
            .map_err(io::Error::other)?;
        Ok(bytes)
    }
}

impl Shape {
    /// Of a partition that is so long (3.1, 3.3).
    fn read(boot: &[u8], disk: SectorSize, partition_bytes: u64) -> io::Result<Self> {
        if boot.get(510..512) != Some(&[0x55, 0xAA]) {
            return Err(bad("no FAT: no signature in its first sector"));
        }
        let sector = u64::from(le16(boot, 11)?);
        if !sector.is_power_of_two() || !(disk.bytes()..=4096).contains(&sector) {
            return Err(bad(&format!("sectors of {sector} bytes")));
        }
        let (per_cluster, reserved, tables) = (byte(boot, 13)?, le16(boot, 14)?, byte(boot, 16)?);
        let cluster = sector * u64::from(per_cluster);
        if !per_cluster.is_power_of_two() || cluster > CLUSTER_MAX {
            return Err(bad(&format!(
                "clusters of {per_cluster} sectors of {sector} bytes"
            )));
        }
        let (root_entries, table_16) = (le16(boot, 17)?, le16(boot, 22)?);
        // Both are zero in a FAT32, and neither in its predecessors (3.1).
        let is_fat32 = root_entries == 0 && table_16 == 0;
        if !is_fat32 && (root_entries == 0 || table_16 == 0)
            || reserved == 0
            || !(1..=4).contains(&tables)
        {
            return Err(bad("no FAT: sizes that contradict each other"));
        }
        let table = match is_fat32 {
            true => u64::from(le32(boot, 36)?),
            false => u64::from(table_16),
        };
        let total = match le16(boot, 19)? {
            total if total != 0 && !is_fat32 => u64::from(total),
            _ => u64::from(le32(boot, 32)?),
        };
        // None of these can leave 64 bits: 2^12 times (2^16 + 4 times 2^32).
        let (table_at, end) = (sector * u64::from(reserved), sector * total);
        let fixed_root = table_at + sector * table * u64::from(tables);
        let root_bytes = u64::from(root_entries) * ENTRY as u64;
        let data = fixed_root + root_bytes.next_multiple_of(sector);
        if end > partition_bytes || data >= end {
            return Err(bad(&format!(
                "{total} sectors with tables of {table} each, in a partition of {partition_bytes} bytes"
            )));
        }
        let clusters = (end - data) / cluster;
        let entry = match clusters {
            _ if is_fat32 => TableEntry::Bits32,
            ..FAT16_CLUSTERS => TableEntry::Bits12,
            FAT16_CLUSTERS..FAT32_CLUSTERS => TableEntry::Bits16,
            _ => return Err(bad(&format!("{clusters} clusters, too many for FAT16"))),
        };
        let entries = sector * table * 8 / entry.bits();
        let clusters = clusters.min(entries.saturating_sub(FIRST_CLUSTER.into()));
        let clusters_end =
            u32::try_from(clusters + u64::from(FIRST_CLUSTER)).map_err(io::Error::other)?;
        let shape = Self {
            table: table_at,
            data,
            cluster,
            clusters_end,
            root: match is_fat32 {
                true => le32(boot, 44)? & TABLE_MASK,
                false => FIXED_ROOT,
            },
            fixed_root,
            entry,
        };
        if is_fat32 {
            shape.place_of(shape.root)?;
        }
        Ok(shape)
    }

    /// In the partition.
    fn place_of(&self, cluster: u32) -> io::Result<u64> {
        if !(FIRST_CLUSTER..self.clusters_end).contains(&cluster) {
            return Err(bad(&format!("cluster {cluster}, which does not exist")));
        }
        Ok(self.data + u64::from(cluster - FIRST_CLUSTER) * self.cluster)
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

fn byte(bytes: &[u8], at: usize) -> io::Result<u8> {
    bytes
        .get(at)
        .copied()
        .ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

fn le16(bytes: &[u8], at: usize) -> io::Result<u16> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found
        .map(|found| u16::from_le_bytes(*found))
        .ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

fn le32(bytes: &[u8], at: usize) -> io::Result<u32> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found
        .map(|found| u32::from_le_bytes(*found))
        .ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests;
