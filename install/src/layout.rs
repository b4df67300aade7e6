//! The plan of a disk as a value: where each partition lies and what it is called. Nothing is written here.

use uuid::Uuid;

use crate::disk::SectorSize;

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
    /// What it is for.
    pub role: Role,
    /// First LBA, in sectors of [`Layout::sector`].
    pub first_lba: u64,
    /// Length in sectors of [`Layout::sector`].
    pub sectors: u64,
    /// The partition's own identity in the table (PARTUUID).
    pub guid: Uuid,
    /// Identity of what is inside: ext4 and swap UUID; for FAT the first four bytes are the volume serial number.
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
}

impl Layout {
    /// The partition with this role, when the plan has one (a small disk may have no swap).
    #[must_use]
    pub fn partition(&self, role: Role) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.role == role)
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
}
