//! The plan of a disk as a value: where each partition lies and what it is called. Nothing is
//! written here.
//!
//! A disk's size goes in, with a source of fresh identities; out comes a [`Layout`] whose
//! partitions do not overlap, lie between the two tables and, but for the BIOS boot partition,
//! start and end on a whole MiB (`disk-layout.md` 1).

use std::ops::RangeInclusive;

use thiserror::Error;
use uuid::Uuid;
use wire::outcome::Outcome;
use wire::record::Slot;

use crate::disk::SectorSize;
use crate::sizes::{self, ESP_BYTES, LayoutKind, MIB, Sizes, Swap};
use crate::slots::SlotArea;

/// Swap where the disk has room for it.
pub const SWAP_BYTES: u64 = 2048 * MIB;
/// Less swap than this helps nobody: it is left out.
pub const SWAP_MIN_BYTES: u64 = 64 * MIB;
/// Swap shrinks before the root partition gets less than this.
pub const ROOT_BEFORE_SWAP_BYTES: u64 = 2048 * MIB;
/// A root partition smaller than this holds no system: the disk is refused.
pub const ROOT_MIN_BYTES: u64 = 256 * MIB;
/// Likewise the partition for state, which holds no system.
pub const STATE_BEFORE_SWAP_BYTES: u64 = 1024 * MIB;
/// With less a node has no room for logs, the users' data and an update's bookkeeping.
pub const STATE_MIN_BYTES: u64 = 512 * MIB;
/// A slot is an eighth of the disk, because later images are larger; between these two.
pub const SLOT_USUAL_BYTES: RangeInclusive<u64> = 512 * MIB..=4096 * MIB;
/// Bytes of one table's entry array: 128 entries of 128 bytes (UEFI 2.10 5.3.1 asks for 16 KiB at
/// least).
pub const ENTRIES_BYTES: u64 = 128 * 128;
/// The smallest disk that can be planned, with one system.
pub const DISK_MIN_BYTES: u64 = MIB + ESP_BYTES + ROOT_MIN_BYTES + MIB;

/// No plan for this disk.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LayoutError {
    /// Even with the smallest root or state, and without swap unless that was asked for.
    #[error("planning a disk of {} MiB ({disk_bytes} bytes): at least {} MiB ({needed_bytes} bytes) are needed, {} MiB of \
        them for the ESP{}{}", disk_bytes / MIB, needed_bytes / MIB, esp_bytes / MIB, and_slots(*slot_bytes), and_swap(*swap_bytes))]
    TooSmall {
        /// The size of the disk.
        disk_bytes: u64,
        /// The size that the smallest plan takes.
        needed_bytes: u64,
        /// The share of the ESP in it.
        esp_bytes: u64,
        /// What of it each of two slots takes; 0 without slots.
        slot_bytes: u64,
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

/// Slots among what is needed.
fn and_slots(slot_bytes: u64) -> String {
    match slot_bytes / MIB {
        0 => String::new(),
        mib => format!(", {mib} MiB for each of two slots"),
    }
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
    /// A slot: one image of a system, raw.
    Slot(Slot),
    /// What survives updates, ext4.
    State,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 7] = [
        Role::BiosBoot,
        Role::Esp,
        Role::Swap,
        Role::Root,
        Role::Slot(Slot::A),
        Role::Slot(Slot::B),
        Role::State,
    ];

    /// The number of such a partition in every plan's table, from 1: the N of `/dev/vdaN`
    /// (`disk-layout.md` 1, `slot.md` 1).
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Role::Esp => 1,
            Role::Swap => 2,
            Role::Root | Role::Slot(Slot::A) => 3,
            Role::BiosBoot => 4,
            Role::Slot(Slot::B) => 5,
            Role::State => 6,
        }
    }
}

/// One partition of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Number in the table: [`Role::number`].
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
/// Numbers do not depend on the size ([`Role::number`]); that of swap is missing on a small disk.
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
    let esp_bytes = sizes.esp_bytes_on(sector);
    let min_bytes = sizes::esp_min_bytes(sector);
    if esp_bytes < min_bytes {
        return Err(LayoutError::SmallEsp {
            esp_bytes,
            min_bytes,
            sector_bytes: sector.bytes(),
        });
    }
    let rest = Rest::of(sizes.layout, disk_bytes);
    let asked = match sizes.swap {
        Swap::Exactly(bytes) => bytes,
        Swap::Usual | Swap::None => 0,
    };
    let disk_sectors = disk_bytes / sector.bytes();
    // Behind the last partition: the backup entries and, in the last sector, the backup header.
    let backup_bytes = ENTRIES_BYTES + sector.bytes();
    let end = disk_sectors
        .saturating_mul(sector.bytes())
        .saturating_sub(backup_bytes)
        / MIB
        * MIB;
    let behind_esp = end.saturating_sub(MIB.saturating_add(esp_bytes));
    if behind_esp.saturating_sub(asked) < rest.min_bytes() {
        return Err(LayoutError::TooSmall {
            disk_bytes,
            needed_bytes: asked
                .saturating_add(esp_bytes)
                .saturating_add(rest.min_bytes().saturating_add(2 * MIB)),
            esp_bytes,
            slot_bytes: rest.slot_bytes,
            swap_bytes: asked,
        });
    }
    let (swap_bytes, swap_wanted_bytes) = match sizes.swap {
        Swap::Usual => (usual_swap_bytes(behind_esp, &rest), SWAP_BYTES),
        Swap::Exactly(_) | Swap::None => (asked, asked),
    };
    let disk_guid = fresh_id();
    let places = rest.places(esp_bytes, swap_bytes, end, sector);
    let partitions = places.into_iter().map(|(role, from, to)| Partition {
        number: role.number(),
        role,
        first_lba: from / sector.bytes(),
        sectors: to.saturating_sub(from) / sector.bytes(),
        guid: fresh_id(),
        content_id: fresh_id(),
    });
    Ok(Layout {
        sector,
        disk_sectors,
        disk_guid,
        partitions: partitions.collect(),
        swap_wanted_bytes,
    })
}

/// What lies behind ESP and swap.
struct Rest {
    /// Of each of two slots; 0 without slots.
    slot_bytes: u64,
    /// What the last partition is for: it gets what is left.
    last: Role,
    last_min_bytes: u64,
    /// Swap shrinks before the last partition gets less.
    last_before_swap_bytes: u64,
}

impl Rest {
    fn of(layout: LayoutKind, disk_bytes: u64) -> Self {
        match layout {
            LayoutKind::Single => Self {
                slot_bytes: 0,
                last: Role::Root,
                last_min_bytes: ROOT_MIN_BYTES,
                last_before_swap_bytes: ROOT_BEFORE_SWAP_BYTES,
            },
            LayoutKind::Ab { slot_bytes } => Self {
                slot_bytes: slot_bytes.unwrap_or_else(|| {
                    let eighth = disk_bytes / 8 / MIB * MIB;
                    eighth.clamp(*SLOT_USUAL_BYTES.start(), *SLOT_USUAL_BYTES.end())
                }),
                last: Role::State,
                last_min_bytes: STATE_MIN_BYTES,
                last_before_swap_bytes: STATE_BEFORE_SWAP_BYTES,
            },
        }
    }

    const fn slots_bytes(&self) -> u64 {
        self.slot_bytes.saturating_mul(2)
    }

    const fn min_bytes(&self) -> u64 {
        self.slots_bytes().saturating_add(self.last_min_bytes)
    }

    /// Role, first byte and the byte behind the last one of every partition, in the order of their
    /// numbers.
    fn places(
        &self,
        esp_bytes: u64,
        swap_bytes: u64,
        end: u64,
        sector: SectorSize,
    ) -> Vec<(Role, u64, u64)> {
        // In front of the first: LBA 0, the primary header, the primary entries.
        let gap_at = 2 * sector.bytes() + ENTRIES_BYTES;
        let swap_at = MIB.saturating_add(esp_bytes);
        let behind_swap = swap_at.saturating_add(swap_bytes);
        let slot_b = behind_swap.saturating_add(self.slot_bytes);
        let last_at = behind_swap.saturating_add(self.slots_bytes());
        let gap = (Role::BiosBoot, gap_at, MIB);
        let mut places = vec![(Role::Esp, MIB, swap_at)];
        if swap_bytes > 0 {
            places.push((Role::Swap, swap_at, behind_swap));
        }
        match self.last {
            Role::State => places.extend([
                (Role::Slot(Slot::A), behind_swap, slot_b),
                gap,
                (Role::Slot(Slot::B), slot_b, last_at),
                (Role::State, last_at, end),
            ]),
            last => places.extend([(last, last_at, end), gap]),
        }
        places
    }
}

/// Swap for the space behind the ESP: what the other partitions can spare, nothing when that is
/// hardly anything.
const fn usual_swap_bytes(behind_esp: u64, rest: &Rest) -> u64 {
    let spare = behind_esp
        .saturating_sub(rest.slots_bytes())
        .saturating_sub(rest.last_before_swap_bytes);
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

    /// The partition that holds the system a deploy brings, and names the installation.
    #[must_use]
    pub fn system(&self) -> Option<&Partition> {
        let root = self.partition(Role::Root);
        root.or_else(|| self.partition(Role::Slot(Slot::A)))
    }

    /// The partition with the file system that the kernel makes and mounts: root or state.
    #[must_use]
    pub fn files(&self) -> Option<&Partition> {
        let root = self.partition(Role::Root);
        root.or_else(|| self.partition(Role::State))
    }

    /// Where a slot lies on this disk, when the plan has slots.
    #[must_use]
    pub fn slot(&self, slot: Slot) -> Option<SlotArea> {
        let partition = self.partition(Role::Slot(slot))?;
        Some(SlotArea {
            offset_bytes: self.offset_bytes(partition),
            len_bytes: self.len_bytes(partition),
        })
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
