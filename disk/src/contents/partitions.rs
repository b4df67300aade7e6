//! The tables of partitions that others have left: read, not trusted. What an entry claims to be
//! beyond the disk is cut off, a chain of logical partitions is followed so far and no further, and
//! no checksum decides whether data may be destroyed.

use uuid::{Uuid, uuid};

use super::area::{Area, read_bytes};
use super::signatures::Finding;
use crate::disk::{Disk, DiskError};

/// The most partitions that are looked at; a table with more is reported all the same.
pub(super) const LOOKED_AT: usize = 128;
/// Entries of a GPT that are read: eight times as many as every tool makes room for, and more than
/// Linux has numbers for.
const ENTRIES_MAX: u32 = 1024;
/// UEFI 2.10 5.3.2: bytes of a GPT header that say where the entries are.
const HEADER_BYTES: usize = 92;
/// UEFI 2.10 5.3.3: 128 bytes; larger ones are powers of two, and nobody makes them.
const ENTRY_BYTES: std::ops::RangeInclusive<u32> = 128..=512;
/// Logical partitions of an MBR.
const LOGICAL_MAX: u32 = 64;
/// Sectors of an MBR's table have this size wherever it was written, as far as anybody has seen.
const MBR_SECTOR: u64 = 512;

/// An entry in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u32,
    /// In bytes from the start of the disk, and on it.
    pub(super) start: u64,
    pub(super) len_bytes: u64,
    /// The fields that only a GPT has.
    pub(super) gpt: Option<GptEntry>,
    /// The system that the entry's type names, whether or not the contents agree.
    pub(super) declared: Option<&'static str>,
}

/// A GPT as it was found.
pub(super) struct Gpt {
    /// Its own identity.
    pub(super) disk_guid: Uuid,
    /// Those in use.
    pub(super) entries: Vec<Entry>,
}

/// See [`Entry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GptEntry {
    pub(super) kind: Uuid,
    pub(super) guid: Uuid,
    pub(super) first_lba: u64,
    pub(super) sectors: u64,
    pub(super) name: String,
}

/// Types that stand for a part of something larger. Ceph's are those of `ceph-disk`, whose volumes
/// have no signature of their own.
pub(super) const GPT_TYPES: &[(Uuid, &str)] = &[
    (uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928"), "LVM"),
    (uuid!("a19d880f-05fc-4d3b-a006-743f0f84911e"), "md RAID"),
    (uuid!("6a898cc3-1dd2-11b2-99a6-080020736631"), "ZFS"),
    (uuid!("516e7cba-6ecf-11d6-8ff8-00022d09712b"), "ZFS"),
    (uuid!("4fbd7e29-9d25-41b8-afd0-062c0ceff05d"), "Ceph"),
    (uuid!("4fbd7e29-9d25-41b8-afd0-5ec00ceff05d"), "Ceph"),
    (uuid!("45b0969e-9b03-4f30-b4c6-b4b80ceff106"), "Ceph"),
    (uuid!("45b0969e-9b03-4f30-b4c6-5ec00ceff106"), "Ceph"),
    (uuid!("cafecafe-9b03-4f30-b4c6-b4b80ceff106"), "Ceph"),
    (uuid!("30cd0809-c2b2-499c-8879-2d6b78529876"), "Ceph"),
    (uuid!("5ce17fce-4087-4169-b7ff-056cc58473f9"), "Ceph"),
    (uuid!("fb3aabf9-d25f-47cc-bf5e-721d1816496b"), "Ceph"),
    (uuid!("aa31e02a-400f-11db-9590-000c2911d1b8"), "VMFS"),
    (uuid!("381cfccc-7288-11e0-92ee-000c2911d0b2"), "vSAN"),
    (
        uuid!("e75caf8f-f680-4cee-afa3-b001e56efc2d"),
        "Storage Spaces",
    ),
    (
        uuid!("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"),
        "Windows dynamic disk",
    ),
    (
        uuid!("af9b60a0-1431-4f62-bc68-3311714a69ad"),
        "Windows dynamic disk",
    ),
];

const MBR_TYPES: &[(u8, &str)] = &[
    (0x8E, "LVM"),
    (0xFD, "md RAID"),
    (0xFB, "VMFS"),
    (0x42, "Windows dynamic disk"),
];

/// Types of an MBR: the protective one, and those of partitions that hold partitions.
const PROTECTIVE: u8 = 0xEE;
const EXTENDED: [u8; 3] = [0x05, 0x0F, 0x85];

impl Entry {
    /// The finding that follows from its type.
    pub(super) fn declared(&self) -> Option<Finding> {
        self.declared.map(Finding::protected)
    }
}

/// A GPT: the first of its two copies that has a header. `sector` is where that one was found,
/// which is what its addresses count in. `None` when it cannot be followed.
pub(super) fn gpt(disk: &mut dyn Disk, whole: &Area) -> Result<Option<Gpt>, DiskError> {
    let end = whole.len_bytes();
    let places = [
        (512, 512),
        (4096, 4096),
        (512, end.saturating_sub(512)),
        (4096, end.saturating_sub(4096)),
    ];
    let found = places
        .into_iter()
        .find(|&(_, offset)| whole.stands_at(offset, b"EFI PART"));
    let Some((sector, offset)) = found else {
        return Ok(None);
    };
    let header = whole.get(offset, HEADER_BYTES).unwrap_or_default();
    let guid = header.get(56..72).map(Uuid::from_slice_le);
    let (Some(Ok(disk_guid)), Some(lba), Some(count), Some(entry_bytes)) =
        (guid, le64(header, 72), le32(header, 80), le32(header, 84))
    else {
        return Ok(None);
    };
    if !entry_bytes.is_power_of_two() || !ENTRY_BYTES.contains(&entry_bytes) {
        return Ok(None);
    }
    let count = count.min(ENTRIES_MAX);
    let len_bytes = u64::from(count) * u64::from(entry_bytes);
    let bytes = read_bytes(disk, lba.saturating_mul(sector), len_bytes)?;
    let entries = bytes.chunks_exact(usize::try_from(entry_bytes).unwrap_or(usize::MAX));
    let entries = (1..).zip(entries);
    Ok(Some(Gpt {
        disk_guid,
        entries: entries
            .filter_map(|(number, entry)| gpt_entry(number, entry, sector, end))
            .collect(),
    }))
}

fn gpt_entry(number: u32, entry: &[u8], sector: u64, end: u64) -> Option<Entry> {
    let kind = Uuid::from_slice_le(entry.get(..16)?).ok()?;
    let guid = Uuid::from_slice_le(entry.get(16..32)?).ok()?;
    let (first_lba, last_lba) = (le64(entry, 32)?, le64(entry, 40)?);
    if kind.is_nil() || last_lba < first_lba {
        return None;
    }
    let sectors = (last_lba - first_lba).saturating_add(1);
    let (start, len_bytes) = on_disk(
        first_lba.saturating_mul(sector),
        sectors.saturating_mul(sector),
        end,
    )?;
    let units = entry.get(56..128)?.chunks_exact(2);
    let units = units.map(|unit| {
        unit.iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u16::from(byte))
    });
    let name = char::decode_utf16(units.take_while(|&unit| unit != 0));
    Some(Entry {
        number,
        start,
        len_bytes,
        declared: GPT_TYPES
            .iter()
            .find(|(known, _)| *known == kind)
            .map(|&(_, name)| name),
        gpt: Some(GptEntry {
            kind,
            guid,
            first_lba,
            sectors,
            name: name.map(|char| char.unwrap_or('?')).collect(),
        }),
    })
}

/// One entry of an MBR or of a link in the chain of logical partitions.
#[derive(Clone, Copy)]
struct MbrEntry {
    flag: u8,
    kind: u8,
    lba: u32,
    sectors: u32,
}

impl MbrEntry {
    const fn is_used(self) -> bool {
        self.kind != 0 && self.lba != 0 && self.sectors != 0
    }
}

/// The four entries of a sector that ends in 55AA.
fn mbr_entries(sector: &[u8]) -> Option<[MbrEntry; 4]> {
    let table = sector.get(446..512)?.strip_suffix(&[0x55, 0xAA])?;
    let mut entries = [MbrEntry {
        flag: 0,
        kind: 0,
        lba: 0,
        sectors: 0,
    }; 4];
    for (entry, bytes) in entries.iter_mut().zip(table.chunks_exact(16)) {
        *entry = MbrEntry {
            flag: *bytes.first()?,
            kind: *bytes.get(4)?,
            lba: le32(bytes, 8)?,
            sectors: le32(bytes, 12)?,
        };
    }
    Some(entries)
}

/// Is there a table at all? The boot sector of a FAT or an NTFS ends in 55AA too, but where a table
/// has its entries there is text, code or nothing.
pub(super) fn is_mbr(whole: &Area) -> bool {
    mbr_entries(whole.head()).is_some_and(|entries| {
        entries.iter().all(|entry| matches!(entry.flag, 0 | 0x80))
            && entries.iter().any(|entry| entry.is_used())
    })
}

/// Is it one that says "look at the GPT"?
pub(super) fn is_protective(whole: &Area) -> bool {
    mbr_entries(whole.head())
        .is_some_and(|entries| entries.iter().any(|entry| entry.kind == PROTECTIVE))
}

/// The entries of an MBR and the logical partitions behind them.
pub(super) fn mbr(disk: &mut dyn Disk, whole: &Area) -> Result<Vec<Entry>, DiskError> {
    let end = whole.len_bytes();
    let mut found = Vec::new();
    let Some(entries) = mbr_entries(whole.head()) else {
        return Ok(found);
    };
    let mut number = 5;
    for (own, entry) in (1..).zip(entries).filter(|(_, entry)| entry.is_used()) {
        if EXTENDED.contains(&entry.kind) {
            logical(disk, entry.lba.into(), end, &mut number, &mut found)?;
        } else if entry.kind != PROTECTIVE {
            found.extend(mbr_entry(own, 0, entry, end));
        }
    }
    Ok(found)
}

/// A chain of sectors: the first entry of each is a partition, counted from that sector; the second
/// leads to the next link, counted from the first.
fn logical(
    disk: &mut dyn Disk,
    first: u64,
    end: u64,
    number: &mut u32,
    found: &mut Vec<Entry>,
) -> Result<(), DiskError> {
    let mut link = first;
    while *number < 5 + LOGICAL_MAX {
        let sector = read_bytes(disk, link.saturating_mul(MBR_SECTOR), MBR_SECTOR)?;
        let Some([partition, next, ..]) = mbr_entries(&sector) else {
            break;
        };
        if partition.is_used() {
            found.extend(mbr_entry(*number, link, partition, end));
        }
        // Empty links count too: nothing else ends a ring of them.
        *number += 1;
        if !next.is_used() {
            break;
        }
        link = first.saturating_add(next.lba.into());
    }
    Ok(())
}

fn mbr_entry(number: u32, base: u64, entry: MbrEntry, end: u64) -> Option<Entry> {
    let (start, len_bytes) = on_disk(
        base.saturating_add(entry.lba.into())
            .saturating_mul(MBR_SECTOR),
        u64::from(entry.sectors) * MBR_SECTOR,
        end,
    )?;
    Some(Entry {
        number,
        start,
        len_bytes,
        gpt: None,
        declared: MBR_TYPES
            .iter()
            .find(|(kind, _)| *kind == entry.kind)
            .map(|&(_, name)| name),
    })
}

/// The part of a partition that lies on the disk.
fn on_disk(start: u64, len_bytes: u64, end: u64) -> Option<(u64, u64)> {
    let room = end.checked_sub(start).filter(|room| *room > 0)?;
    Some((start, len_bytes.min(room)))
}

fn le32(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn le64(bytes: &[u8], offset: usize) -> Option<u64> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}
