//! The GUID partition table of a layout, as bytes in the order in which they may be written.
//!
//! A [`Layout`] goes in; three pieces come out: backup table, primary table, protective MBR. The
//! `gpt` crate makes them in a memory image of the disk's two ends. Its own writer is not used: it
//! renumbers partitions when a number is missing (a disk without swap), and it writes the primary
//! header before anything has been flushed.

use std::io::{self, Read, Seek, SeekFrom, Write};

use gpt::disk::LogicalBlockSize;
use gpt::header::{Header, HeaderBuilder, HeaderError};
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types;
use thiserror::Error;
use uuid::{Uuid, uuid};
use wire::outcome::Outcome;
use wire::slot::partition_name;
use wire::state::PARTITION_NAME;

use crate::disk::SectorSize;
use crate::layout::{ENTRIES_BYTES, Layout, Partition, Role};
use crate::sizes::MIB;

/// Bytes and the place where they belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// From the start of the disk.
    pub offset_bytes: u64,
    /// Whole sectors.
    pub bytes: Vec<u8>,
}

/// A table, in the order of writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Backup entries and, in the last sector of the disk, the backup header.
    pub backup: Piece,
    /// Primary header in LBA 1, entries behind it.
    pub primary: Piece,
    /// LBA 0: the protective MBR, without boot code.
    pub protective_mbr: Vec<u8>,
}

/// The table could not be made.
#[derive(Debug, Error)]
pub enum TableError {
    /// A header.
    #[error("making the {which} GPT header for a disk of {disk_sectors} sectors")]
    Header {
        /// `primary` or `backup`.
        which: &'static str,
        /// Size of the disk.
        disk_sectors: u64,
        /// The error of the `gpt` crate.
        #[source]
        source: HeaderError,
    },
    /// An entry.
    #[error("making the GPT entry of partition {number}")]
    Entry {
        /// Of which partition.
        number: u32,
        /// The error of the `gpt` crate.
        #[source]
        source: io::Error,
    },
}

impl TableError {
    /// The layout does not fit the disk: our fault, not the donor's.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// The table of a layout.
///
/// # Errors
/// The layout has room for no table; no [`crate::layout::plan`] is like that.
pub fn build(layout: &Layout) -> Result<Tables, TableError> {
    let block = match layout.sector {
        SectorSize::B512 => LogicalBlockSize::Lb512,
        SectorSize::B4096 => LogicalBlockSize::Lb4096,
    };
    let mut ends = Ends::new(layout.disk_bytes());
    let header = |which: &'static str, primary| {
        HeaderBuilder::new()
            .disk_guid(layout.disk_guid)
            .backup_lba(layout.disk_sectors.saturating_sub(1))
            .primary(primary)
            .build(block)
            .map_err(|source| header_error(which, layout, source))
    };
    let mut primary = header("primary", true)?;
    let mut backup = header("backup", false)?;
    for partition in &layout.partitions {
        for table in [&primary, &backup] {
            write_entry(&mut ends, partition, table, block).map_err(|source| {
                TableError::Entry {
                    number: partition.number,
                    source,
                }
            })?;
        }
    }
    primary
        .write_primary(&mut ends, block)
        .map_err(|source| header_error("primary", layout, source))?;
    backup
        .write_backup(&mut ends, block)
        .map_err(|source| header_error("backup", layout, source))?;

    let sector = layout.sector.bytes();
    let table_bytes = ENTRIES_BYTES + sector;
    let backup_offset = layout.disk_bytes().saturating_sub(table_bytes);
    Ok(Tables {
        backup: ends.piece(backup_offset, table_bytes),
        primary: ends.piece(sector, table_bytes),
        protective_mbr: protective_mbr(layout),
    })
}

fn header_error(which: &'static str, layout: &Layout, source: HeaderError) -> TableError {
    TableError::Header {
        which,
        disk_sectors: layout.disk_sectors,
        source,
    }
}

fn write_entry(
    ends: &mut Ends,
    partition: &Partition,
    table: &Header,
    block: LogicalBlockSize,
) -> io::Result<()> {
    let (part_type_guid, name) = labels(partition.role);
    let entry = gpt::partition::Partition {
        part_type_guid,
        part_guid: partition.guid,
        first_lba: partition.first_lba,
        last_lba: partition
            .first_lba
            .saturating_add(partition.sectors)
            .saturating_sub(1),
        flags: 0,
        name: name.to_owned(),
    };
    let index = u64::from(partition.number).saturating_sub(1);
    entry.write_to_device(ends, index, table.part_start, block, table.part_size)
}

/// The name of a partition in the table.
#[must_use]
pub fn name(role: Role) -> &'static str {
    labels(role).1
}

/// Drawn once, for slots alone: no program mounts or formats a partition for its type.
const SLOT: partition_types::Type = partition_types::Type {
    guid: uuid!("293b648a-0785-4004-b16d-48430cd206c4"),
    os: partition_types::OperatingSystem::Linux,
};

/// Type and name. The names are what an installed disk is known by: no other tool makes these.
const fn labels(role: Role) -> (partition_types::Type, &'static str) {
    match role {
        Role::Esp => (partition_types::EFI, "smechvisor-esp"),
        Role::Swap => (partition_types::LINUX_SWAP, "smechvisor-swap"),
        Role::Root => (partition_types::LINUX_ROOT_X64, "smechvisor-root"),
        Role::Slot(slot) => (SLOT, partition_name(slot)),
        Role::State => (partition_types::LINUX_FS, PARTITION_NAME),
        Role::BiosBoot => (partition_types::BIOS, "smechvisor-bios"),
    }
}

/// The role of an entry that [`build`] has made; `None` for everybody else's.
pub(crate) fn role_of(kind: Uuid, name: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|&role| {
        let (own_kind, own_name) = labels(role);
        own_kind.guid == kind && own_name == name
    })
}

/// One entry of type EE over the whole disk, or as much of it as 32 bits of sectors can say (UEFI
/// 2.10 5.2.3).
fn protective_mbr(layout: &Layout) -> Vec<u8> {
    let sectors = u32::try_from(layout.disk_sectors.saturating_sub(1)).unwrap_or(u32::MAX);
    let mut bytes = ProtectiveMBR::with_lb_size(sectors).to_bytes().to_vec();
    bytes.resize(
        usize::try_from(layout.sector.bytes()).unwrap_or(bytes.len()),
        0,
    );
    bytes
}

/// The first and the last MiB of a disk in memory, with the position and the size of the whole
/// disk.
#[derive(Debug)]
struct Ends {
    disk_bytes: u64,
    position: u64,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Ends {
    fn new(disk_bytes: u64) -> Self {
        let len = usize::try_from(MIB.min(disk_bytes)).unwrap_or(0);
        Self {
            disk_bytes,
            position: 0,
            first: vec![0; len],
            last: vec![0; len],
        }
    }

    /// From the position to the end of the MiB that it is in; nothing in between.
    fn here(&mut self) -> &mut [u8] {
        let base = self.disk_bytes.saturating_sub(self.last.len() as u64);
        let (bytes, offset) = if self.position < self.first.len() as u64 {
            (&mut self.first, self.position)
        } else {
            (&mut self.last, self.position.wrapping_sub(base))
        };
        usize::try_from(offset)
            .ok()
            .and_then(|offset| bytes.get_mut(offset..))
            .unwrap_or_default()
    }

    fn piece(&mut self, offset_bytes: u64, len_bytes: u64) -> Piece {
        self.position = offset_bytes;
        let len = usize::try_from(len_bytes).unwrap_or(0);
        let bytes = self.here().get(..len).unwrap_or_default().to_vec();
        Piece {
            offset_bytes,
            bytes,
        }
    }
}

impl Read for Ends {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.here().as_ref().read(buf)?;
        self.position = self.position.saturating_add(len as u64);
        Ok(len)
    }
}

impl Write for Ends {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = self.here().write(buf)?;
        self.position = self.position.saturating_add(len as u64);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.disk_bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests;
