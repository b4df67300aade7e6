//! The partition sizes that the operator asks for (`disk-layout.md` 2): words in, sizes in whole
//! MiB out.
//!
//! A size is within what its file system can have; whether it fits the disk is
//! [`crate::layout::plan`]'s business.

use crate::disk::SectorSize;
use crate::size;

/// One MiB: the unit of alignment.
pub const MIB: u64 = 1024 * 1024;
/// The EFI System Partition: large enough for FAT32 with 4096-byte sectors, and for several
/// kernels.
pub const ESP_BYTES: u64 = 512 * MIB;
/// A kernel, its ramdisk and GRUB, twice while they are replaced: less is of no use.
const ESP_MIN_BYTES: u64 = 64 * MIB;
/// Still 512-byte sectors in 32 bits, with room to spare.
const ESP_MAX_BYTES: u64 = 32 * 1024 * MIB;
/// FAT32 has at least 65525 clusters (UEFI 2.10 13.3.1.1 leaves that to the FAT specification); the
/// tables themselves take some.
const CLUSTERS_MIN: u64 = 67_000;
/// What a cluster is made as, if there are enough of them then.
const CLUSTER_BYTES: u64 = 4096;
const SWAP_MIN_BYTES: u64 = MIB;
/// The header counts pages of 4096 bytes in 32 bits.
const SWAP_MAX_BYTES: u64 = 8 << 40;

/// The expected form of `esp=`.
pub const ESP_EXPECTED: &str = "a size from 64M to 32G, like 1G (K, M, G, T; KB, MB, GB, TB)";
/// The expected form of `swap=`.
pub const SWAP_EXPECTED: &str =
    "none, or a size from 1M to 8T, like 8G (K, M, G, T; KB, MB, GB, TB)";

/// How much swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Swap {
    /// As much as [`crate::layout`] finds right for the disk.
    #[default]
    Usual,
    /// So many bytes, or no deploy at all.
    Exactly(u64),
    /// No swap.
    None,
}

/// The sizes that can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Of the EFI System Partition.
    pub esp_bytes: u64,
    /// Of the swap area.
    pub swap: Swap,
}

impl Sizes {
    /// When nobody says anything.
    pub const USUAL: Self = Self {
        esp_bytes: ESP_BYTES,
        swap: Swap::Usual,
    };
}

impl Default for Sizes {
    fn default() -> Self {
        Self::USUAL
    }
}

/// Reads the size of an ESP; see [`ESP_EXPECTED`].
#[must_use]
pub fn esp(text: &str) -> Option<u64> {
    whole_mib(text, ESP_MIN_BYTES, ESP_MAX_BYTES)
}

/// Reads what is said of swap; see [`SWAP_EXPECTED`].
#[must_use]
pub fn swap(text: &str) -> Option<Swap> {
    if text == "none" {
        return Some(Swap::None);
    }
    whole_mib(text, SWAP_MIN_BYTES, SWAP_MAX_BYTES).map(Swap::Exactly)
}

/// Partitions begin and end on a whole MiB: never less than what was asked for.
fn whole_mib(text: &str, min: u64, max: u64) -> Option<u64> {
    let bytes = size::parse(text).filter(|bytes| (min..=max).contains(bytes))?;
    bytes.checked_next_multiple_of(MIB)
}

/// The smallest ESP on a disk with these sectors: a cluster has at least one.
#[must_use]
pub const fn esp_min_bytes(sector: SectorSize) -> u64 {
    let fat = CLUSTERS_MIN.saturating_mul(sector.bytes()).div_ceil(MIB) * MIB;
    if fat > ESP_MIN_BYTES {
        fat
    } else {
        ESP_MIN_BYTES
    }
}

/// Bytes of a cluster of an ESP: 4096, less where there would be too few of them for FAT32.
#[must_use]
pub fn cluster_bytes(esp_bytes: u64, sector: SectorSize) -> u32 {
    let mut bytes = CLUSTER_BYTES;
    while bytes > sector.bytes() && esp_bytes / bytes < CLUSTERS_MIN {
        bytes /= 2;
    }
    u32::try_from(bytes).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::MIB;
    use super::{Sizes, Swap, cluster_bytes, esp, esp_min_bytes, swap};
    use crate::disk::SectorSize;

    #[test]
    fn sizes_are_rounded_up_to_whole_mib_and_bounded() {
        for (text, mib) in [
            ("64M", 64),
            ("1G", 1024),
            ("1000MB", 954),
            ("32GiB", 32_768),
            ("67108865", 65),
        ] {
            assert_eq!(esp(text), Some(mib * MIB), "{text}");
        }
        for text in ["", "none", "0", "512", "63M", "33G", "1.5G", "-1G", "M"] {
            assert_eq!(esp(text), None, "{text}");
        }
        assert_eq!(swap("none"), Some(Swap::None));
        assert_eq!(swap("8G"), Some(Swap::Exactly(8192 * MIB)));
        assert_eq!(swap("1500KB"), Some(Swap::Exactly(2 * MIB)));
        for text in ["", "None", "0", "8", "9T", "usual", "16777216T"] {
            assert_eq!(swap(text), None, "{text}");
        }
    }

    #[test]
    fn every_esp_has_enough_clusters_for_fat32() {
        for (mib, sector, expected) in [
            (64, SectorSize::B512, 512),
            (128, SectorSize::B512, 1024),
            (200, SectorSize::B512, 2048),
            (Sizes::USUAL.esp_bytes / MIB, SectorSize::B512, 4096),
            (300, SectorSize::B512, 4096),
            (32_768, SectorSize::B512, 4096),
            (262, SectorSize::B4096, 4096),
        ] {
            assert_eq!(cluster_bytes(mib * MIB, sector), expected, "{mib}");
        }
        assert_eq!(esp_min_bytes(SectorSize::B512), 64 * MIB);
        assert_eq!(esp_min_bytes(SectorSize::B4096), 262 * MIB);
    }
}
