use super::build;
use crate::disk::SectorSize;
use crate::fakes::memory_disk::MemoryDisk;
use crate::layout::{Layout, Role, plan};
use crate::sizes::{LayoutKind, MIB, Sizes};
use std::process::Command;
use tempfile::TempDir;
use uuid::Uuid;
use wire::record::Slot;

fn layout(bytes: u64, sector: SectorSize) -> Layout {
    layout_of(bytes, sector, Sizes::USUAL)
}

fn layout_of(bytes: u64, sector: SectorSize, sizes: Sizes) -> Layout {
    let mut next = 0x1111_2222_3333_4444_5555_6666_7777_0000_u128;
    plan(bytes, sector, sizes, &mut || {
        next += 1;
        Uuid::from_u128(next)
    })
    .unwrap()
}

const AB: Sizes = Sizes {
    layout: LayoutKind::Ab { slot_bytes: None },
    ..Sizes::USUAL
};

/// With backup and primary swapped for `keep`: the disk with only these pieces on it.
fn disk(layout: &Layout, backup: bool, primary: bool) -> MemoryDisk {
    let tables = build(layout).unwrap();
    let mut disk = MemoryDisk::new(layout.disk_bytes(), layout.sector);
    disk.put(0, &tables.protective_mbr);
    if backup {
        disk.put(tables.backup.offset_bytes, &tables.backup.bytes);
    }
    if primary {
        disk.put(tables.primary.offset_bytes, &tables.primary.bytes);
    }
    disk
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

#[test]
fn sgdisk_and_sfdisk_find_the_table_clean() {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("image");
    let path = image.to_str().unwrap();
    for (size, sizes) in [
        (DISK_SMALL, Sizes::USUAL),
        (8 << 30, Sizes::USUAL),
        ((3 << 30) + 512 * 77, Sizes::USUAL),
        (1666 * MIB, AB),
        (8 << 30, AB),
    ] {
        let layout = layout_of(size, SectorSize::B512, sizes);
        disk(&layout, true, true).save(&image);
        let verdict = run("/sbin/sgdisk", &["--verify", path]);
        assert!(verdict.contains("No problems found"), "{size}: {verdict}");
        let dump = run("/sbin/sfdisk", &["--dump", path]);
        assert!(
            dump.contains(
                &format!("label-id: {}", layout.disk_guid)
                    .to_uppercase()
                    .replace("LABEL-ID", "label-id")
            )
        );
        for (role, kind) in KINDS {
            let Some(partition) = layout.partition(role) else {
                assert!(!dump.contains(kind), "{dump}");
                continue;
            };
            let line = dump
                .lines()
                .find(|line| line.starts_with(&format!("{path}{} ", partition.number)))
                .unwrap_or_else(|| panic!("partition {}: {dump}", partition.number));
            let line: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                line.contains(&format!("start= {},", partition.first_lba)),
                "{line}"
            );
            assert!(
                line.contains(&format!("size= {},", partition.sectors)),
                "{line}"
            );
            assert!(line.contains(&format!("type={kind}")), "{line}");
            assert!(
                line.contains(&partition.guid.to_string().to_uppercase()),
                "{line}"
            );
        }
    }
}

const DISK_SMALL: u64 = 900 * MIB;
const KINDS: [(Role, &str); 7] = [
    (Role::Esp, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
    (Role::Swap, "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"),
    (Role::Root, "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"),
    (Role::Slot(Slot::A), "293B648A-0785-4004-B16D-48430CD206C4"),
    (Role::Slot(Slot::B), "293B648A-0785-4004-B16D-48430CD206C4"),
    (Role::State, "0FC63DAF-8483-4772-8E79-3D69D8477DE4"),
    (Role::BiosBoot, "21686148-6449-6E6F-744E-656564454649"),
];

/// sfdisk of util-linux 2.38 takes no sector size for a file, so a second implementation reads this
/// one.
#[test]
fn a_table_of_4096_byte_sectors_is_read_back_from_either_end() {
    for (backup, primary) in [(true, true), (true, false), (false, true)] {
        let sectors = [SectorSize::B512, SectorSize::B4096];
        for (sector, sizes) in sectors
            .iter()
            .flat_map(|it| [(*it, Sizes::USUAL), (*it, AB)])
        {
            let layout = layout_of(5 << 30, sector, sizes);
            let dir = TempDir::new().unwrap();
            let image = dir.path().join("image");
            disk(&layout, backup, primary).save(&image);
            let block = if sector == SectorSize::B512 {
                gpt::disk::LogicalBlockSize::Lb512
            } else {
                gpt::disk::LogicalBlockSize::Lb4096
            };
            let read = gpt::GptConfig::new()
                .logical_block_size(block)
                .open(&image)
                .unwrap();
            assert_eq!(*read.guid(), layout.disk_guid);
            assert_eq!(read.partitions().len(), layout.partitions.len());
            for partition in &layout.partitions {
                let found = &read.partitions()[&partition.number];
                assert_eq!(found.first_lba, partition.first_lba);
                assert_eq!(found.sectors_len().unwrap(), partition.sectors);
                assert_eq!(found.part_guid, partition.guid);
            }
        }
    }
}

#[test]
fn the_pieces_touch_nothing_but_their_own_sectors() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        for size in [DISK_SMALL, 9 << 40] {
            let layout = layout(size, sector);
            let tables = build(&layout).unwrap();
            let bios = layout.partition(Role::BiosBoot).unwrap();
            let root = layout.partition(Role::Root).unwrap();
            assert_eq!(tables.primary.offset_bytes, sector.bytes());
            assert_eq!(
                tables.primary.offset_bytes + tables.primary.bytes.len() as u64,
                layout.offset_bytes(bios)
            );
            assert!(
                tables.backup.offset_bytes >= layout.offset_bytes(root) + layout.len_bytes(root)
            );
            assert_eq!(
                tables.backup.offset_bytes + tables.backup.bytes.len() as u64,
                size
            );
            assert_eq!(tables.protective_mbr.len() as u64, sector.bytes());
            assert_eq!(tables.protective_mbr[450], 0xEE);
            assert_eq!(tables.protective_mbr[510..512], [0x55, 0xAA]);
        }
    }
    let huge = layout(9 << 40, SectorSize::B512);
    assert_eq!(
        build(&huge).unwrap().protective_mbr[458..462],
        [0xFF; 4],
        "more sectors than 32 bits can say"
    );
}
