//! The two ends of LBA 0's life in a deploy, and the only place where an [`Installed`] is made.
//!
//! [`begin`] takes the old system away: marker first, then everything that its contents may be
//! known by. [`commit`] brings the new one: tables, core image and the sector it is known by first,
//! LBA 0 last. LBA 0 is one sector, written whole or not at all, and no firmware boots the disk
//! before it holds the protective MBR. So whatever happens in between, there is nothing to boot
//! (`disk-layout.md` 3).

use thiserror::Error;
use wire::outcome::Outcome;

use crate::boot_files::BootFiles;
use crate::clear;
use disk::boot_order::load_option::Program;
use disk::contents::PartitionRef;
use disk::disk::{Disk, DiskError, SectorSize};
use disk::entry::BootEntry;
use disk::installation::{self, Installation};
use disk::layout::{Layout, Role};
use disk::marker::{self, Former, Phase};
use disk::table::{self, TableError};

/// Proof of a complete, flushed, bootable disk. It cannot be copied: the code that boots it takes
/// it by value.
#[derive(Debug, PartialEq, Eq)]
pub struct Installed {
    layout: Layout,
    title: String,
    entry: Option<BootEntry>,
    disk_name: String,
    watchdogs: Vec<&'static str>,
    program: Program,
}

impl Installed {
    /// The layout of the disk.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The name of the system in menus.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The entry that boots it without GRUB's menu; a slot has none.
    #[must_use]
    pub const fn entry(&self) -> Option<&BootEntry> {
        self.entry.as_ref()
    }

    /// The EFI system partition, as the firmware's boot variables name it.
    #[must_use]
    pub fn esp(&self) -> Option<PartitionRef> {
        let partition = self.layout.partition(Role::Esp)?;
        Some(PartitionRef {
            number: partition.number,
            first_lba: partition.first_lba,
            sectors: partition.sectors,
            guid: partition.guid,
        })
    }

    /// What the firmware's boot entry has to start.
    #[must_use]
    pub const fn program(&self) -> Program {
        self.program
    }

    /// Drivers of the hardware watchdogs that the installed system takes over.
    #[must_use]
    pub fn watchdogs(&self) -> &[&'static str] {
        &self.watchdogs
    }

    /// The disk, as [`Disk::name`] called it.
    #[must_use]
    pub fn disk_name(&self) -> &str {
        &self.disk_name
    }
}

/// The last step failed; the disk is not bootable unless the very last flush was all that failed.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum CommitError {
    /// The disk.
    #[error("making {disk} bootable")]
    Disk {
        disk: String,
        #[source]
        source: DiskError,
    },
    /// The partition table.
    #[error("making the partition table of {disk}")]
    Table {
        disk: String,
        #[source]
        source: TableError,
    },
}

impl CommitError {
    /// Another donor would meet the same disk.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// Makes the disk unbootable, and blank but for the marker wherever its contents could be known by:
/// `former` says what of them may stand there until that is done. Returns the bytes cleared.
///
/// # Errors
/// The disk failed. From the first write on the old contents count as lost.
pub fn begin(disk: &mut dyn Disk, layout: &Layout, former: Former) -> Result<u64, DiskError> {
    let size = disk.sector_size();
    // Flushed alone: from here on every interruption is recognised, even in the middle of clearing.
    disk.write_at(0, &marker::sector(&Phase::Wiping(former), size))?;
    disk.flush()?;
    let cleared_bytes = clear::clear(disk, layout)?;
    disk.flush()?;
    // Signatures behind this marker are no longer the old contents'.
    disk.write_at(0, &marker::sector(&Phase::Writing, size))?;
    disk.flush()?;
    Ok(cleared_bytes)
}

/// Makes a disk bootable whose file systems are complete, unmounted and flushed.
///
/// # Errors
/// A write or flush failed.
pub fn commit(
    disk: &mut dyn Disk,
    layout: Layout,
    boot: BootFiles,
) -> Result<Installed, CommitError> {
    let disk_name = disk.name().to_owned();
    let bios = boot.bios.as_ref();
    let tables = table::build(&layout).map_err(|source| CommitError::Table {
        disk: disk_name.clone(),
        source,
    })?;
    let lba0 = match bios {
        Some(bios) if layout.sector == SectorSize::B512 => bios.lba0(&tables.protective_mbr),
        _ => tables.protective_mbr,
    };
    let installation = Installation::of(&layout);
    let write = |disk: &mut dyn Disk| {
        if let (Some(bios), Some(gap)) = (bios, layout.partition(Role::BiosBoot)) {
            disk.write_at(layout.offset_bytes(gap), bios.core())?;
        }
        disk.write_at(tables.backup.offset_bytes, &tables.backup.bytes)?;
        if let Some(installation) = &installation {
            disk.write_at(
                installation::OFFSET_BYTES,
                &installation.sector(layout.sector),
            )?;
        }
        disk.flush()?;
        disk.write_at(tables.primary.offset_bytes, &tables.primary.bytes)?;
        disk.flush()?;
        disk.write_at(0, &lba0)?;
        disk.flush()
    };
    write(disk).map_err(|source| CommitError::Disk {
        disk: disk_name.clone(),
        source,
    })?;
    Ok(Installed {
        layout,
        title: boot.title,
        entry: boot.entry,
        disk_name,
        watchdogs: boot.watchdogs,
        program: boot.program,
    })
}
