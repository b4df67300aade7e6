//! A disk that a deploy of ours has left is known; one that looks like it is not taken for it.

use super::super::{Slot, State, read};
use crate::disk::{Disk, SectorSize};
use crate::layout::{Layout, MIB, Role, plan};
use crate::memory_disk::MemoryDisk;
use crate::{esp, swap, table};
use uuid::Uuid;

/// What a commit writes, and what tells the file systems apart. The whole of a deploy is compared in `deploy/tests`.
fn disk(sector: SectorSize, size_mib: u64) -> (MemoryDisk, Layout) {
    let mut next = 0_u128;
    let mut fresh_id = || {
        next += 1;
        Uuid::from_u128(next << 64 | next)
    };
    let layout = plan(
        size_mib * MIB,
        sector,
        crate::sizes::Sizes::USUAL,
        &mut fresh_id,
    )
    .unwrap();
    let mut disk = MemoryDisk::new(size_mib * MIB, sector);
    esp::format(&mut disk, &layout).unwrap();
    if let Some(area) = layout.partition(Role::Swap) {
        swap::format(&mut disk, &layout, area).unwrap();
    }
    let root = layout.partition(Role::Root).unwrap();
    disk.put(layout.offset_bytes(root) + 1080, &[0x53, 0xEF]);
    let tables = table::build(&layout).unwrap();
    disk.put(tables.backup.offset_bytes, &tables.backup.bytes);
    disk.put(tables.primary.offset_bytes, &tables.primary.bytes);
    disk.put(0, &tables.protective_mbr);
    (disk, layout)
}

fn slot(layout: &Layout, role: Role) -> Slot {
    let partition = layout.partition(role).unwrap();
    Slot {
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
            let (mut disk, layout) = disk(sector, size_mib);
            let expected = State::Installed {
                esp: slot(&layout, Role::Esp),
                root: slot(&layout, Role::Root),
            };
            assert_eq!(read(&mut disk).unwrap(), expected);
            assert!(!expected.is_free(), "somebody uses it");
        }
    }
}

#[test]
fn whatever_was_done_to_it_since_makes_it_somebody_elses() {
    let (intact, layout) = disk(SectorSize::B512, 6144);
    let root = layout.offset_bytes(layout.partition(Role::Root).unwrap());
    let end = intact.size_bytes();
    let name = 1024 + 2 * 128 + 56;
    let cases: [(&str, u64, &[u8]); 7] = [
        ("no protective MBR", 450, &[0x83]),
        ("no boot signature", 510, &[0, 0]),
        ("another name", name, b"x"),
        ("another type", 1024 + 2 * 128, b"x"),
        ("another file system", root + 1080, &[0, 0]),
        ("LVM in the root", root + 512, b"LABELONE"),
        ("a RAID at the end", end - 1024, b"Intel Raid ISM Cfg Sig. "),
    ];
    for (case, offset, bytes) in cases {
        let mut disk = intact.clone();
        disk.put(offset, bytes);
        let state = read(&mut disk).unwrap();
        assert!(matches!(state, State::Occupied { .. }), "{case}: {state:?}");
    }
    // A partition more.
    let mut disk = intact.clone();
    let mut entry = disk.get(1024, 128);
    entry[56..].fill(0);
    disk.put(1024 + 4 * 128, &entry);
    assert!(matches!(read(&mut disk).unwrap(), State::Occupied { .. }));
}
