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
/// With two slots, which hold their kernels themselves: GRUB and its two environment files.
const AB_ESP_BYTES: u64 = 128 * MIB;
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

/// A kernel, its ramdisk and a small root.
const SLOT_MIN_BYTES: u64 = 64 * MIB;
/// As much as the chunks of one image can be (`protocol.md` 4.1).
const SLOT_MAX_BYTES: u64 = 64 * 1024 * MIB;

/// What `layout=` takes.
pub const LAYOUT_EXPECTED: &str = "single or ab";
/// What `slot=` takes.
pub const SLOT_EXPECTED: &str = "a size from 64M to 64G, like 1G (K, M, G, T; KB, MB, GB, TB)";
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

/// Which partitions a disk gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayoutKind {
    /// One system in a root file system that is written once (`disk-layout.md` 1).
    #[default]
    Single,
    /// Two slots, of which one runs while the other is written, and state beside them
    /// (`slot.md` 1).
    Ab {
        /// Of each slot; `None` is what is usual for the disk.
        slot_bytes: Option<u64>,
    },
}

impl LayoutKind {
    /// As it is said: `single`, `ab`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            LayoutKind::Single => "single",
            LayoutKind::Ab { .. } => "ab",
        }
    }

    /// The kind of this name, with slots of the usual size.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let kinds = [LayoutKind::Single, LayoutKind::Ab { slot_bytes: None }];
        kinds.into_iter().find(|kind| kind.name() == name)
    }
}

/// What can be said of the partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Which there are.
    pub layout: LayoutKind,
    /// Of the EFI System Partition; `None` is what is usual for the layout.
    pub esp_bytes: Option<u64>,
    /// Of the swap area.
    pub swap: Swap,
}

impl Sizes {
    /// When nobody says anything.
    pub const USUAL: Self = Self {
        layout: LayoutKind::Single,
        esp_bytes: None,
        swap: Swap::Usual,
    };

    /// Of the EFI System Partition on a disk with such sectors.
    #[must_use]
    pub fn esp_bytes_on(&self, sector: SectorSize) -> u64 {
        let usual = match self.layout {
            LayoutKind::Single => ESP_BYTES,
            LayoutKind::Ab { .. } => AB_ESP_BYTES.max(esp_min_bytes(sector)),
        };
        self.esp_bytes.unwrap_or(usual)
    }
}

/// Reads the size of an ESP; see [`ESP_EXPECTED`].
#[must_use]
pub fn esp(text: &str) -> Option<u64> {
    whole_mib(text, ESP_MIN_BYTES, ESP_MAX_BYTES)
}

/// Reads the size of a slot; see [`SLOT_EXPECTED`].
#[must_use]
pub fn slot(text: &str) -> Option<u64> {
    whole_mib(text, SLOT_MIN_BYTES, SLOT_MAX_BYTES)
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
    use super::{LayoutKind, Sizes, Swap, cluster_bytes, esp, esp_min_bytes, slot, swap};
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
        for (text, mib) in [("64M", 64), ("64G", 65_536), ("1000MB", 954)] {
            assert_eq!(slot(text), Some(mib * MIB), "{text}");
        }
        for text in ["", "none", "63M", "65G"] {
            assert_eq!(slot(text), None, "{text}");
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
            (512, SectorSize::B512, 4096),
            (300, SectorSize::B512, 4096),
            (32_768, SectorSize::B512, 4096),
            (262, SectorSize::B4096, 4096),
        ] {
            assert_eq!(cluster_bytes(mib * MIB, sector), expected, "{mib}");
        }
        assert_eq!(esp_min_bytes(SectorSize::B512), 64 * MIB);
        assert_eq!(esp_min_bytes(SectorSize::B4096), 262 * MIB);
    }

    #[test]
    fn the_usual_esp_depends_on_the_layout_and_the_sectors() {
        let ab = Sizes {
            layout: LayoutKind::from_name("ab").unwrap(),
            ..Sizes::USUAL
        };
        let usual = |sizes: Sizes, sector| sizes.esp_bytes_on(sector) / MIB;
        for (sizes, sector, mib) in [
            (Sizes::USUAL, SectorSize::B512, 512),
            (Sizes::USUAL, SectorSize::B4096, 512),
            (ab, SectorSize::B512, 128),
            (ab, SectorSize::B4096, 262),
        ] {
            assert_eq!(usual(sizes, sector), mib);
            let esp_bytes = Some(64 * MIB);
            assert_eq!(usual(Sizes { esp_bytes, ..sizes }, sector), 64);
        }
        assert_eq!(LayoutKind::from_name("single"), Some(LayoutKind::Single));
        assert_eq!(LayoutKind::from_name("AB"), None);
    }
}
