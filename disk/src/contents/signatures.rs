//! The table of signatures: one row for each place where a format signs itself (`disk-gate.md` 3).
//!
//! No library: libblkid is a quarter of a MiB of C that would be linked into PID 1 to compare a few
//! bytes, and it trusts what it reads more than a gate has to (checksums, versions): bytes that
//! look like a RAID's are a RAID's here. It judges these rows in the tests, as an independent peer,
//! together with the tools that make the formats.

use super::area::Area;

/// The relation of a format to other disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Describes partitions.
    Table,
    /// The disk alone holds everything.
    Plain,
    /// A member of something larger, or closed to everybody without its key.
    Protected,
}

/// One match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

impl Finding {
    pub(super) const fn protected(name: &'static str) -> Self {
        let kind = Kind::Protected;
        Self { name, kind }
    }
}

/// Where a signature stands.
enum Place {
    /// Bytes from the start.
    Start(u32),
    /// So many sectors of 512 bytes before the end, and so many bytes into that sector.
    End(u16, u16),
    /// At one of several offsets from the start: first, step, count.
    Every(u32, u32, u8),
}

struct Row {
    name: &'static str,
    kind: Kind,
    place: Place,
    magic: &'static [u8],
}

const fn row(name: &'static str, kind: Kind, place: Place, magic: &'static [u8]) -> Row {
    Row {
        name,
        kind,
        place,
        magic,
    }
}

const fn table(name: &'static str, place: Place, magic: &'static [u8]) -> Row {
    row(name, Kind::Table, place, magic)
}

const fn plain(name: &'static str, offset: u32, magic: &'static [u8]) -> Row {
    row(name, Kind::Plain, Place::Start(offset), magic)
}

const fn protected(name: &'static str, place: Place, magic: &'static [u8]) -> Row {
    row(name, Kind::Protected, place, magic)
}

pub(super) const GPT: &str = "GPT partition table";
pub(super) const MBR: &str = "MBR partition table";
pub(super) const EXT: &str = "ext2/3/4";
pub(super) const FAT: &str = "FAT";
pub(super) const SWAP: &str = "swap";
const BTRFS: &str = "btrfs";
const BCACHEFS: &str = "bcachefs";
const MD: &str = "md RAID";
const ZFS: &str = "ZFS";

const MD_MAGIC: &[u8] = &[0xFC, 0x4E, 0x2B, 0xA9];
const MD_MAGIC_SWAPPED: &[u8] = &[0xA9, 0x2B, 0x4E, 0xFC];
/// 0x00BAB10C in 64 bits.
const ZFS_MAGICS: &[&[u8]] = &[b"\x0C\xB1\xBA\0\0\0\0\0", b"\0\0\0\0\0\xBA\xB1\x0C"];
const LUKS_SECOND: &[u8] = b"SKUL\xBA\xBE";
const BCACHE_MAGIC: &[u8] = b"\xC6\x85\x73\xF6\x4E\x1A\x45\xCA\x82\x65\xF5\x7F\x48\xBA\x6D\x81";
const BCACHEFS_MAGIC: &[u8] = b"\xC6\x85\x73\xF6\x66\xCE\x90\xA9\xD9\x6A\x60\xCF\x80\x3D\xF7\xEF";
const STRATIS_MAGIC: &[u8] = b"!Stra0tis\x86\xFF\x02^\x41rh";
const BITLOCKER_TO_GO: &[u8] = b"\x3B\xD6\x67\x49\x29\x2E\xD8\x4A\x83\x99\xF6\xA3\x39\xE3\xD0\x01";

use Place::{End, Every, Start};

/// Offsets from the on-disk format of each.
const ROWS: &[Row] = &[
    table(GPT, Start(512), b"EFI PART"),
    table(GPT, Start(4096), b"EFI PART"),
    table(GPT, End(1, 0), b"EFI PART"),
    table(GPT, End(8, 0), b"EFI PART"),
    // Members of something larger. md 1.1 and 1.2; what stands near the end is looked for below.
    protected("LVM", Every(0, 512, 4), b"LABELONE"),
    protected(MD, Start(0), MD_MAGIC),
    protected(MD, Start(4096), MD_MAGIC),
    protected("LUKS", Start(0), b"LUKS\xBA\xBE"),
    // The second header stands behind the first, whose size is a power of two.
    protected("LUKS", Start(0x4000), LUKS_SECOND),
    protected("LUKS", Start(0x8000), LUKS_SECOND),
    protected("LUKS", Start(0x1_0000), LUKS_SECOND),
    protected("LUKS", Start(0x2_0000), LUKS_SECOND),
    protected("LUKS", Start(0x4_0000), LUKS_SECOND),
    protected("LUKS", Start(0x10_0000), LUKS_SECOND),
    protected("LUKS", Start(0x20_0000), LUKS_SECOND),
    protected("BitLocker", Start(3), b"-FVE-FS-"),
    protected("BitLocker", Start(424), BITLOCKER_TO_GO),
    protected("Ceph", Start(0), b"bluestore block device\n"),
    protected("VMFS", Start(0x10_0000), b"\x0D\xD0\x01\xC0"),
    protected("VMFS", Start(0x20_0000), b"\x5E\xF1\xAB\x2F"),
    protected("bcache", Start(4096 + 24), BCACHE_MAGIC),
    protected("Stratis", Start(512 + 4), STRATIS_MAGIC),
    protected("Stratis", Start(9 * 512 + 4), STRATIS_MAGIC),
    protected("VDO", Start(0), b"dmvdo001"),
    protected("dm-integrity", Start(0), b"integrt\0"),
    protected("Oracle ASM", Start(32), b"ORCLDISK"),
    protected("Storage Spaces", Start(4096), b"SPACEDB "),
    protected("Windows dynamic disk", Start(6 * 512), b"PRIVHEAD"),
    // Internal metadata is the last 4 KiB; the magic tells the version, or that 8.4 was not closed.
    protected("DRBD", End(8, 60), b"\x83\x74\x02\x6B"),
    protected("DRBD", End(8, 60), b"\x83\x74\x02\x6C"),
    protected("DRBD", End(8, 60), b"\x83\x74\x02\x6D"),
    // RAIDs of firmware and of cheap controllers, as Linux and dmraid know them.
    protected("IMSM RAID", End(2, 0), b"Intel Raid ISM Cfg Sig. "),
    protected("IMSM RAID", End(16, 0), b"Intel Raid ISM Cfg Sig. "),
    protected("DDF RAID", End(1, 0), b"\xDE\x11\xDE\x11"),
    protected("DDF RAID", End(1, 0), b"\x11\xDE\x11\xDE"),
    protected("DDF RAID", End(8, 0), b"\xDE\x11\xDE\x11"),
    protected("DDF RAID", End(257, 0), b"\xDE\x11\xDE\x11"),
    protected("DDF RAID", End(257, 0), b"\x11\xDE\x11\xDE"),
    protected("Adaptec RAID", End(1, 0), b"\x37\xFC\x4D\x1E"),
    protected("HighPoint RAID", Start(9 * 512 + 32), b"\xF0\x16\x78\x5A"),
    protected("HighPoint RAID", Start(9 * 512 + 32), b"\xFD\x16\x78\x5A"),
    protected("HighPoint RAID", End(11, 0), b"\xF3\x16\x78\x5A"),
    protected("HighPoint RAID", End(11, 0), b"\xFD\x16\x78\x5A"),
    protected("JMicron RAID", End(1, 0), b"JM"),
    protected("LSI RAID", End(1, 0), b"$XIDE$"),
    protected("NVIDIA RAID", End(2, 0), b"NVIDIA"),
    protected("Promise RAID", End(16, 0), PROMISE),
    protected("Promise RAID", End(63, 0), PROMISE),
    protected("Promise RAID", End(255, 0), PROMISE),
    protected("Promise RAID", End(256, 0), PROMISE),
    protected("Promise RAID", End(399, 0), PROMISE),
    protected("Promise RAID", End(591, 0), PROMISE),
    protected("Promise RAID", End(675, 0), PROMISE),
    protected("Promise RAID", End(735, 0), PROMISE),
    protected("Promise RAID", End(911, 0), PROMISE),
    protected("Promise RAID", End(951, 0), PROMISE),
    protected("Promise RAID", End(974, 0), PROMISE),
    protected("Promise RAID", End(991, 0), PROMISE),
    protected("Silicon Image RAID", End(1, 0x60), b"\0\0\0\x2F"),
    protected("VIA RAID", End(1, 0), b"\x55\xAA\0"),
    protected("VIA RAID", End(1, 0), b"\x55\xAA\x01"),
    // File systems.
    plain(EXT, 1024 + 56, &[0x53, 0xEF]),
    plain("XFS", 0, b"XFSB"),
    plain(BTRFS, BTRFS_AT + 64, b"_BHRfS_M"),
    plain(BCACHEFS, BCACHEFS_AT + 24, BCACHEFS_MAGIC),
    plain("F2FS", 1024, &[0x10, 0x20, 0xF5, 0xF2]),
    plain(FAT, 82, b"FAT32   "),
    plain(FAT, 54, b"FAT16   "),
    plain(FAT, 54, b"FAT12   "),
    plain("exFAT", 3, b"EXFAT   "),
    plain("NTFS", 3, b"NTFS    "),
    plain("ReFS", 3, b"ReFS\0\0\0\0"),
    plain("ISO 9660", ISO_AT + 1, b"CD001"),
    row("UDF", Kind::Plain, Every(ISO_AT + 1, 2048, 8), b"NSR02"),
    row("UDF", Kind::Plain, Every(ISO_AT + 1, 2048, 8), b"NSR03"),
    plain("HFS+", 1024, b"H+\0\x04"),
    plain("HFS+", 1024, b"HX\0\x05"),
    plain("APFS", 32, b"NXSB"),
    plain("JFS", 32768, b"JFS1"),
    plain("ReiserFS", 65536 + 52, b"ReIsEr"),
    plain("NILFS2", 1024 + 6, &[0x34, 0x34]),
    plain("UFS", 8192 + 1372, &[0x54, 0x19, 0x01, 0]),
    plain("UFS", 65536 + 1372, &[0x19, 0x01, 0x54, 0x19]),
    plain("GFS2", 65536, &[0x01, 0x16, 0x19, 0x70]),
    row("OCFS2", Kind::Plain, Every(1024, 1024, 8), b"OCFSV2"),
    plain("squashfs", 0, b"hsqs"),
    plain("EROFS", 1024, &[0xE2, 0xE1, 0xF5, 0xE0]),
    // One page minus ten bytes, for the page sizes Linux has.
    plain(SWAP, 4096 - 10, b"SWAPSPACE2"),
    plain(SWAP, 8192 - 10, b"SWAPSPACE2"),
    plain(SWAP, 16384 - 10, b"SWAPSPACE2"),
    plain(SWAP, 65536 - 10, b"SWAPSPACE2"),
    plain("a hibernated system", 4096 - 10, b"S1SUSPEND"),
    plain("a hibernated system", 4096 - 10, b"LINHIB0001"),
];

const PROMISE: &[u8] = b"Promise Technology, Inc.";
/// Block 16 of a CD: where the primary volume descriptor stands (ECMA-119 6.7.1).
pub(super) const ISO_AT: u32 = 16 * 2048;
const BTRFS_AT: u32 = 65536;
const BCACHEFS_AT: u32 = 4096;

/// Everything that signs itself in `area`, each once.
pub(super) fn look(area: &Area) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for (_, finding) in places(area) {
        if !found.contains(&finding) {
            found.push(finding);
        }
    }
    found
}

/// The same with the place of each signature, from the start of the area.
pub(super) fn places(area: &Area) -> Vec<(u64, Finding)> {
    let stands = |signature: &Signature| area.stands_at(signature.at, signature.magic);
    signatures(area.len_bytes())
        .filter(stands)
        .map(|signature| (signature.at, signature.finding(area)))
        .collect()
}

/// A name, and the bytes that stand for it at one place.
struct Signature {
    name: &'static str,
    kind: Kind,
    at: u64,
    magic: &'static [u8],
}

/// Every signature that can be found in an area of this size.
fn signatures(len_bytes: u64) -> impl Iterator<Item = Signature> {
    let rows = ROWS.iter().flat_map(move |row| {
        row.offsets(len_bytes).map(|at| Signature {
            name: row.name,
            kind: row.kind,
            at,
            magic: row.magic,
        })
    });
    let protected = |name| {
        move |(at, magic)| Signature {
            name,
            kind: Kind::Protected,
            at,
            magic,
        }
    };
    rows.chain(md_at_end(len_bytes).map(protected(MD)))
        .chain(zfs(len_bytes).map(protected(ZFS)))
}

impl Row {
    fn offsets(&self, len_bytes: u64) -> impl Iterator<Item = u64> {
        let (first, step, count) = match self.place {
            Start(offset) => (Some(offset.into()), 0, 1),
            End(sectors, within) => {
                let lba = (len_bytes / 512).checked_sub(sectors.into());
                (lba.map(|lba| lba * 512 + u64::from(within)), 0, 1)
            }
            Every(first, step, count) => (Some(first.into()), step.into(), count.into()),
        };
        let offsets = move |first: u64| (0..count).map(move |n: u64| first + n * step);
        first.into_iter().flat_map(offsets)
    }
}

impl Signature {
    /// A file system that spans several disks is no more what it seems to be than a RAID is.
    fn finding(&self, area: &Area) -> Finding {
        let byte_is_over_one = |offset: u32| {
            let byte = area.get(offset.into(), 1);
            byte.is_some_and(|byte| byte.iter().any(|&count| count > 1))
        };
        match self.name {
            // num_devices of the superblock; nobody has 256 of them.
            BTRFS if byte_is_over_one(BTRFS_AT + 136) => {
                Finding::protected("btrfs of several disks")
            }
            BCACHEFS if byte_is_over_one(BCACHEFS_AT + 123) => {
                Finding::protected("bcachefs of several disks")
            }
            name => Finding {
                name,
                kind: self.kind,
            },
        }
    }
}

/// md 0.90: the last whole 64 KiB block before the last, in the byte order of its machine; md 1.0:
/// 8 KiB before the end, on a 4 KiB boundary.
fn md_at_end(len_bytes: u64) -> impl Iterator<Item = (u64, &'static [u8])> {
    let old = (len_bytes & !0xFFFF).checked_sub(0x10000);
    let new = (len_bytes & !0xFFF).checked_sub(0x2000);
    let places = [(old, MD_MAGIC), (old, MD_MAGIC_SWAPPED), (new, MD_MAGIC)];
    let found = places.into_iter();
    found.filter_map(|(at, magic)| Some((at?, magic)))
}

/// Two labels of 256 KiB at either end. In the second half of each stands a ring of uberblocks,
/// every KiB or more apart, in the byte order of their machine. One of them is enough: more than
/// one pool has come back from a single label.
fn zfs(len_bytes: u64) -> impl Iterator<Item = (u64, &'static [u8])> {
    const LABEL: u64 = 256 * 1024;
    const RING: u64 = 128 * 1024;
    let end = len_bytes / LABEL * LABEL;
    let labels = [
        Some(0),
        Some(LABEL),
        end.checked_sub(2 * LABEL),
        end.checked_sub(LABEL),
    ];
    let slots = labels
        .into_iter()
        .flatten()
        .flat_map(|label| (0..RING / 1024).map(move |slot| label + RING + slot * 1024));
    slots.flat_map(|at| ZFS_MAGICS.iter().map(move |magic| (at, *magic)))
}

/// Every signature of an area of this size: its name, where it stands, its bytes.
#[cfg(any(test, feature = "fakes"))]
#[must_use]
pub fn known(len_bytes: u64) -> Vec<(&'static str, u64, &'static [u8])> {
    signatures(len_bytes)
        .map(|signature| (signature.name, signature.at, signature.magic))
        .filter(|(_, at, magic)| at + magic.len() as u64 <= len_bytes)
        .collect()
}
