//! The plan of a disk as a value: where each partition lies and what it is called. Nothing is
//! written here.
//!
//! A disk's size goes in, with a source of fresh identities; out comes a [`Layout`] whose
//! partitions do not overlap, lie between the two tables and, but for the BIOS boot partition,
//! start and end on a whole MiB (`disk-layout.md` 1).

use thiserror::Error;
use uuid::Uuid;
use wire::outcome::Outcome;

use crate::disk::SectorSize;
use crate::sizes::{self, ESP_BYTES, MIB, Sizes, Swap};

/// Swap where the disk has room for it.
pub const SWAP_BYTES: u64 = 2048 * MIB;
/// Less swap than this helps nobody: it is left out.
pub const SWAP_MIN_BYTES: u64 = 64 * MIB;
/// Swap shrinks before the root partition gets less than this.
pub const ROOT_BEFORE_SWAP_BYTES: u64 = 2048 * MIB;
/// A root partition smaller than this holds no system: the disk is refused.
pub const ROOT_MIN_BYTES: u64 = 256 * MIB;
/// Bytes of one table's entry array: 128 entries of 128 bytes (UEFI 2.10 5.3.1 asks for 16 KiB at
/// least).
pub const ENTRIES_BYTES: u64 = 128 * 128;
/// The smallest disk that can be planned.
pub const DISK_MIN_BYTES: u64 = MIB + ESP_BYTES + ROOT_MIN_BYTES + MIB;

/// No plan for this disk.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LayoutError {
    /// Even with the smallest root, and without swap unless that was asked for.
    #[error("planning a disk of {} MiB ({disk_bytes} bytes): at least {} MiB ({needed_bytes} bytes) are needed, {} MiB of \
        them for the ESP{}", disk_bytes / MIB, needed_bytes / MIB, esp_bytes / MIB, and_swap(*swap_bytes))]
    TooSmall {
        /// The size of the disk.
        disk_bytes: u64,
        /// The size that the smallest plan takes.
        needed_bytes: u64,
        /// The share of the ESP in it.
        esp_bytes: u64,
        /// The share of swap in it.
        swap_bytes: u64,
    },
    /// FAT32 does not get smaller.
    #[error("planning an ESP of {} MiB on a disk with sectors of {sector_bytes} bytes: FAT32 needs at least {} MiB there",
        esp_bytes / MIB, min_bytes / MIB)]
    SmallEsp {
        /// The size that was asked for.
        esp_bytes: u64,
        /// The smallest size that would do.
        min_bytes: u64,
        /// Of the disk.
        sector_bytes: u64,
    },
}

/// Swap among what is needed.
fn and_swap(swap_bytes: u64) -> String {
    match swap_bytes / MIB {
        0 => String::new(),
        mib => format!(", {mib} MiB for swap"),
    }
}

impl LayoutError {
    /// Another donor would meet the same disk.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// What a partition is for; its GPT type follows from it (`disk-layout.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// GRUB's core image for BIOS, in the gap before the first MiB.
    BiosBoot,
    /// EFI System Partition, FAT32.
    Esp,
    /// Linux swap.
    Swap,
    /// Root file system, ext4.
    Root,
}

/// One partition of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Number in the table, from 1: the N of `/dev/vdaN`.
    pub number: u32,
    /// The purpose of the partition.
    pub role: Role,
    /// First LBA, in sectors of [`Layout::sector`].
    pub first_lba: u64,
    /// Length in sectors of [`Layout::sector`].
    pub sectors: u64,
    /// The partition's own identity in the table (PARTUUID).
    pub guid: Uuid,
    /// Identity of what is inside: ext4 and swap UUID; for FAT the first four bytes are the volume
    /// serial number.
    pub content_id: Uuid,
}

/// A planned disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Logical sector size: the unit of every LBA here.
    pub sector: SectorSize,
    /// Size of the disk in sectors.
    pub disk_sectors: u64,
    /// The table's own identity.
    pub disk_guid: Uuid,
    /// In the order of their numbers.
    pub partitions: Vec<Partition>,
    /// The size of swap on a large disk.
    pub swap_wanted_bytes: u64,
}

/// Plans a disk of `disk_bytes` with partitions of these sizes. `fresh_id` is called for every
/// identity and must not repeat itself.
///
/// Numbers do not depend on the size: 1 ESP, 2 swap (missing on a small disk), 3 root, 4 BIOS boot.
///
/// # Errors
/// The disk is too small for these sizes, as it is for any below [`DISK_MIN_BYTES`] with the usual
/// ones; or the ESP is for its sectors.
pub fn plan(
    disk_bytes: u64,
    sector: SectorSize,
    sizes: Sizes,
    fresh_id: &mut dyn FnMut() -> Uuid,
) -> Result<Layout, LayoutError> {
    let esp_bytes = sizes.esp_bytes;
    let min_bytes = sizes::esp_min_bytes(sector);
    if esp_bytes < min_bytes {
        return Err(LayoutError::SmallEsp {
            esp_bytes,
            min_bytes,
            sector_bytes: sector.bytes(),
        });
    }
    let asked = match sizes.swap {
        Swap::Exactly(bytes) => bytes,
        Swap::Usual | Swap::None => 0,
    };
    let too_small = LayoutError::TooSmall {
        disk_bytes,
        needed_bytes: asked
            .saturating_add(esp_bytes)
            .saturating_add(ROOT_MIN_BYTES + 2 * MIB),
        esp_bytes,
        swap_bytes: asked,
    };
    let disk_sectors = disk_bytes / sector.bytes();
    // Behind the last partition: the backup entries and, in the last sector, the backup header.
    let backup_bytes = ENTRIES_BYTES + sector.bytes();
    let end = disk_sectors
        .saturating_mul(sector.bytes())
        .saturating_sub(backup_bytes)
        / MIB
        * MIB;
    let esp_start = MIB;
    let swap_start = esp_start.saturating_add(esp_bytes);
    let behind_esp = end.saturating_sub(swap_start);
    if behind_esp.saturating_sub(asked) < ROOT_MIN_BYTES {
        return Err(too_small);
    }
    let (swap_bytes, swap_wanted_bytes) = match sizes.swap {
        Swap::Usual => (usual_swap_bytes(behind_esp), SWAP_BYTES),
        Swap::Exactly(_) | Swap::None => (asked, asked),
    };
    let root_start = swap_start + swap_bytes;
    // In front of the first: LBA 0, the primary header, the primary entries.
    let bios_start = 2 * sector.bytes() + ENTRIES_BYTES;

    let disk_guid = fresh_id();
    let mut partition = |number, role, from: u64, to: u64| Partition {
        number,
        role,
        first_lba: from / sector.bytes(),
        sectors: to.saturating_sub(from) / sector.bytes(),
        guid: fresh_id(),
        content_id: fresh_id(),
    };
    let mut partitions = vec![partition(1, Role::Esp, esp_start, swap_start)];
    if swap_bytes > 0 {
        partitions.push(partition(2, Role::Swap, swap_start, root_start));
    }
    partitions.push(partition(3, Role::Root, root_start, end));
    partitions.push(partition(4, Role::BiosBoot, bios_start, esp_start));
    Ok(Layout {
        sector,
        disk_sectors,
        disk_guid,
        partitions,
        swap_wanted_bytes,
    })
}

/// Swap for the space behind the ESP: what the root partition can spare, nothing when that is
/// hardly anything.
const fn usual_swap_bytes(behind_esp: u64) -> u64 {
    let spare = behind_esp.saturating_sub(ROOT_BEFORE_SWAP_BYTES);
    if spare < SWAP_MIN_BYTES {
        0
    } else if spare < SWAP_BYTES {
        spare
    } else {
        SWAP_BYTES
    }
}

impl Layout {
    /// The partition with this role, when the plan has one (a small disk may have no swap).
    #[must_use]
    pub fn partition(&self, role: Role) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.role == role)
    }

    /// Byte offset of a partition's first byte.
    #[must_use]
    pub const fn offset_bytes(&self, partition: &Partition) -> u64 {
        partition.first_lba.saturating_mul(self.sector.bytes())
    }

    /// A partition's size in bytes.
    #[must_use]
    pub const fn len_bytes(&self, partition: &Partition) -> u64 {
        partition.sectors.saturating_mul(self.sector.bytes())
    }

    /// By how much swap is smaller than it would be on a larger disk; 0 on most, and when its size
    /// was said.
    #[must_use]
    pub fn swap_missing_bytes(&self) -> u64 {
        let swap = self
            .partition(Role::Swap)
            .map_or(0, |partition| self.len_bytes(partition));
        self.swap_wanted_bytes.saturating_sub(swap)
    }

    /// Size of the disk in bytes, rounded down to whole sectors.
    #[must_use]
    pub const fn disk_bytes(&self) -> u64 {
        self.disk_sectors.saturating_mul(self.sector.bytes())
    }
}

#[cfg(test)]
mod tests;
