//! A disk that a deploy has left is known; one that looks like it is not taken for it.

use super::super::{DiskContents, PartitionRef, read};
use crate::contents::signatures;
use crate::disk::SectorSize;
use crate::fakes::memory_disk::MemoryDisk;
use crate::installation::{self, Installation};
use crate::layout::{Layout, Role, plan};
use crate::sizes::{LayoutKind, MIB, Sizes};
use crate::{esp, table};
use uuid::Uuid;
use wire::record::Slot;

/// What a commit writes, and what tells the file systems apart. The whole of a deploy is compared
/// in `deploy/tests`.
fn disk(sector: SectorSize, size_mib: u64) -> (MemoryDisk, Layout) {
    let (mut disk, layout) = earlier_disk(sector, size_mib);
    let installation = Installation::of(&layout).unwrap();
    disk.put(installation::OFFSET_BYTES, &installation.sector(sector));
    (disk, layout)
}

/// The same of a disk with two slots, of which the first holds an image.
fn ab_disk(sector: SectorSize, size_mib: u64) -> (MemoryDisk, Layout) {
    let sizes = Sizes {
        layout: LayoutKind::Ab { slot_bytes: None },
        ..Sizes::USUAL
    };
    let (mut disk, layout) = committed(sector, size_mib, sizes);
    let installation = Installation::of(&layout).unwrap();
    disk.put(installation::OFFSET_BYTES, &installation.sector(sector));
    let slot = layout.slot(Slot::A).unwrap();
    disk.put(slot.offset_bytes + 54, b"FAT16   ");
    disk.put(slot.offset_bytes + 510, &[0x55, 0xAA]);
    (disk, layout)
}

/// A disk as an earlier version committed it.
fn earlier_disk(sector: SectorSize, size_mib: u64) -> (MemoryDisk, Layout) {
    committed(sector, size_mib, Sizes::USUAL)
}

fn committed(sector: SectorSize, size_mib: u64, sizes: Sizes) -> (MemoryDisk, Layout) {
    let mut next = 0_u128;
    let mut fresh_id = || {
        next += 1;
        Uuid::from_u128(next << 64 | next)
    };
    let layout = plan(size_mib * MIB, sector, sizes, &mut fresh_id).unwrap();
    let mut disk = MemoryDisk::new(size_mib * MIB, sector);
    esp::format(&mut disk, &layout).unwrap();
    if let Some(area) = layout.partition(Role::Swap) {
        let magic_at = layout.offset_bytes(area) + 4096 - 10;
        disk.put(magic_at, b"SWAPSPACE2");
    }
    let files = layout.files().unwrap();
    disk.put(layout.offset_bytes(files) + 1080, &[0x53, 0xEF]);
    let tables = table::build(&layout).unwrap();
    disk.put(tables.backup.offset_bytes, &tables.backup.bytes);
    disk.put(tables.primary.offset_bytes, &tables.primary.bytes);
    disk.put(0, &tables.protective_mbr);
    (disk, layout)
}

fn installed(layout: &Layout) -> DiskContents {
    DiskContents::Installed {
        esp: partition(layout, Role::Esp),
        root: partition(layout, layout.system().unwrap().role),
        besides: None,
        protected: None,
    }
}

fn partition(layout: &Layout, role: Role) -> PartitionRef {
    let partition = layout.partition(role).unwrap();
    PartitionRef {
        number: partition.number,
        first_lba: partition.first_lba,
        sectors: partition.sectors,
        guid: partition.guid,
    }
}

#[test]
fn an_installed_disk_is_known_with_and_without_swap() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        for size_mib in [6144, 1024] {
            for make in [disk, earlier_disk] {
                let (mut disk, layout) = make(sector, size_mib);
                assert_eq!(read(&mut disk).unwrap(), installed(&layout));
                assert!(!installed(&layout).is_free(), "somebody uses it");
            }
        }
    }
}

/// Offsets from the start of the table's entries, LBA 2.
const ENTRIES: u64 = 1024;

#[test]
fn what_takes_the_place_of_the_table_makes_it_somebody_elses() {
    let end = 6144 * MIB;
    let cases: [(&str, u64, &[u8]); 6] = [
        ("no protective MBR", 450, &[0x83]),
        ("no boot signature", 510, &[0, 0]),
        ("another disk", 512 + 56, b"x"),
        ("another ESP", ENTRIES + 16, b"x"),
        ("another root", ENTRIES + 2 * 128 + 16, b"x"),
        ("a RAID at the end", end - 1024, b"Intel Raid ISM Cfg Sig. "),
    ];
    let (intact, layout) = disk(SectorSize::B512, 6144);
    for (case, offset, bytes) in cases {
        let mut disk = intact.clone();
        disk.put(offset, bytes);
        // By its table alone, which is ours but for the GUIDs, it would be one of an earlier
        // version.
        let esp = layout.offset_bytes(layout.partition(Role::Esp).unwrap());
        disk.put(esp + 82, b"gone    ");
        let contents = read(&mut disk).unwrap();
        assert!(
            matches!(contents, DiskContents::Occupied { .. }),
            "{case}: {contents:?}"
        );
    }
}

/// Changes that an administrator may make to the partitions of the installed system.
#[test]
fn other_names_and_more_partitions_leave_it_an_installation() {
    let (intact, layout) = disk(SectorSize::B512, 6144);
    let name = ENTRIES + 2 * 128 + 56;
    let mut renamed = intact.clone();
    renamed.put(name, b"x");
    assert_eq!(read(&mut renamed).unwrap(), installed(&layout));
    let mut grown = intact.clone();
    let mut entry = grown.get(ENTRIES, 128);
    entry[16] ^= 1;
    entry[56..].fill(0);
    grown.put(ENTRIES + 4 * 128, &entry);
    assert_eq!(
        read(&mut grown).unwrap().to_string(),
        "a system installed by spk-visor, and 5: FAT beside it"
    );
}

/// More than this disk may be lost with a partition that somebody has added; what our own
/// partitions hold never says so.
#[test]
fn what_is_protected_beside_an_installation_is_named() {
    let (intact, layout) = disk(SectorSize::B512, 6144);
    let root = layout.partition(Role::Root).unwrap();
    let end = root.first_lba + root.sectors;
    let added = |kind: Uuid| {
        let (mut disk, start) = (intact.clone(), end - 32 * 2048);
        // The root has shrunk and made room.
        disk.put(ENTRIES + 2 * 128 + 40, &(start - 1).to_le_bytes());
        let mut entry = vec![0; 128];
        entry[..16].copy_from_slice(&kind.to_bytes_le());
        entry[16] = 5;
        entry[32..40].copy_from_slice(&start.to_le_bytes());
        entry[40..48].copy_from_slice(&(end - 1).to_le_bytes());
        disk.put(ENTRIES + 4 * 128, &entry);
        (disk, start * 512)
    };
    let protected = |mut disk: MemoryDisk| match read(&mut disk).unwrap() {
        DiskContents::Installed { protected, .. } => protected,
        other => panic!("{other:?}"),
    };
    const LINUX: Uuid = uuid::uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
    const LVM: Uuid = uuid::uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928");
    let (plain, start) = added(LINUX);
    assert_eq!(protected(plain.clone()), None);
    for (at, magic, name) in [
        (0, &b"LUKS\xba\xbe"[..], "LUKS"),
        (
            512,
            b"LABELONE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0LVM2 001",
            "LVM",
        ),
        (4096, &[0xFC, 0x4E, 0x2B, 0xA9], "md RAID"),
    ] {
        let expected = Some(format!("{name} in partition 5"));
        let mut disk = plain.clone();
        disk.put(start + at, magic);
        assert_eq!(protected(disk), expected);
        let mut disk = plain.clone();
        disk.put(layout.offset_bytes(root) + at, magic);
        assert_eq!(protected(disk), None, "{name} in a block of the root");
    }
    let (declared, _) = added(LVM);
    let expected = Some("LVM in partition 5".to_owned());
    assert_eq!(protected(declared), expected, "by its type");
}

#[test]
fn of_an_earlier_version_exactly_our_partitions_are_known_whatever_is_in_swap() {
    let (intact, layout) = earlier_disk(SectorSize::B512, 6144);
    let swap = layout.partition(Role::Swap).unwrap();
    for (_, at, magic) in signatures::known(layout.len_bytes(swap)) {
        let mut disk = intact.clone();
        disk.put(layout.offset_bytes(swap) + at, magic);
        assert_eq!(read(&mut disk).unwrap(), installed(&layout), "{at}");
    }
    let root = layout.offset_bytes(layout.partition(Role::Root).unwrap());
    let mut disk = intact.clone();
    disk.put(root + 4096, &[0xFC, 0x4E, 0x2B, 0xA9]);
    assert_eq!(
        read(&mut disk).unwrap(),
        installed(&layout),
        "a file's bytes"
    );
    let cases: [(&str, u64, &[u8]); 3] = [
        ("another name", ENTRIES + 2 * 128 + 56, b"x"),
        ("another type", ENTRIES + 2 * 128, b"x"),
        ("another file system", root + 1080, &[0, 0]),
    ];
    for (case, offset, bytes) in cases {
        let mut disk = intact.clone();
        disk.put(offset, bytes);
        let contents = read(&mut disk).unwrap();
        assert!(
            matches!(contents, DiskContents::Occupied { .. }),
            "{case}: {contents:?}"
        );
    }
    // A partition more.
    let mut disk = intact.clone();
    let mut entry = disk.get(ENTRIES, 128);
    entry[56..].fill(0);
    disk.put(ENTRIES + 4 * 128, &entry);
    assert!(matches!(
        read(&mut disk).unwrap(),
        DiskContents::Occupied { .. }
    ));
}

#[test]
fn a_disk_with_two_slots_is_known_whatever_they_hold() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        for size_mib in [6144, 1800] {
            let (mut disk, layout) = ab_disk(sector, size_mib);
            assert_eq!(read(&mut disk).unwrap(), installed(&layout));
            // Bytes of an image, of a user or of nobody.
            for role in [Role::Slot(Slot::A), Role::Slot(Slot::B), Role::State] {
                let place = layout.offset_bytes(layout.partition(role).unwrap());
                let end = place + layout.len_bytes(layout.partition(role).unwrap());
                for (at, magic) in [
                    (place, &b"LUKS\xba\xbe"[..]),
                    (place + 512, b"LABELONE"),
                    (place + 4096, b"\xfc\x4e\x2b\xa9"),
                    (end - 1024, b"Intel Raid ISM Cfg Sig. "),
                ] {
                    disk.put(at, magic);
                }
            }
            assert_eq!(read(&mut disk).unwrap(), installed(&layout));
        }
    }
}

#[test]
fn two_slots_without_their_sector_or_their_table_are_somebody_elses() {
    let (intact, _) = ab_disk(SectorSize::B512, 6144);
    let cases: [(&str, u64, &[u8]); 4] = [
        ("no sector", installation::OFFSET_BYTES, &[0; 512]),
        ("another disk", 512 + 56, b"x"),
        ("another ESP", ENTRIES + 16, b"x"),
        ("another slot A", ENTRIES + 2 * 128 + 16, b"x"),
    ];
    for (case, offset, bytes) in cases {
        let mut disk = intact.clone();
        disk.put(offset, bytes);
        let contents = read(&mut disk).unwrap();
        assert!(
            matches!(contents, DiskContents::Occupied { .. }),
            "{case}: {contents:?}"
        );
    }
    for other in [4_u64, 5] {
        let mut disk = intact.clone();
        disk.put(ENTRIES + other * 128 + 16, b"x");
        assert!(matches!(
            read(&mut disk).unwrap(),
            DiskContents::Installed { besides: None, .. }
        ));
    }
}
