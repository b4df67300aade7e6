//! A disk that was used before: with every signature that the gate knows at both ends of every
//! planned partition. After the deploy nothing of it is left for anybody to find, and nothing that
//! is written into the partitions later makes the disk another one.

use super::fakes::{Recorder, planned, rounds, sign, whole_stream};
use super::real_tools::tool;
use super::{OPTIONS, Options, run_with};
use disk::contents::{self, DiskContents};
use disk::disk::SectorSize;
use disk::fakes::memory_disk::MemoryDisk;
use disk::installation;
use disk::layout::{Layout, Role};
use disk::sizes::MIB;
use disk::sizes::{Sizes, Swap};
use std::collections::BTreeSet;
use std::process::Command;
use tempfile::TempDir;

/// No longer than the tests need; root ends less than a MiB before the disk does, so that the last
/// MiB of the disk is partly root's.
const SIZE: u64 = 520 * MIB + 20 * 1024;
const SIZES: Sizes = Sizes {
    esp_bytes: Some(64 * MIB),
    swap: Swap::Exactly(80 * MIB),
    ..Sizes::USUAL
};

fn deploy(before: MemoryDisk) -> (MemoryDisk, Layout) {
    let options = Options {
        sizes: SIZES,
        ..OPTIONS
    };
    let mut disk = Recorder::new(before);
    let installed = run_with(&whole_stream(), &mut disk, &options).unwrap();
    (disk.disk, installed.layout().clone())
}

/// libblkid's word for each partition, and what wipefs would find to erase in it: this, and nothing
/// else.
pub fn must_hold_only(disk: &MemoryDisk, layout: &Layout, expected: &[(Role, &str)]) {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("slice");
    let path = image.to_str().unwrap();
    for (role, kind) in expected {
        let partition = layout.partition(*role).unwrap();
        let (start, len_bytes) = (layout.offset_bytes(partition), layout.len_bytes(partition));
        disk.save_part(&image, start, len_bytes);
        let probed = Command::new("/sbin/blkid")
            .args(["-p", "-o", "value", "-s", "TYPE", path])
            .output()
            .unwrap();
        let said = String::from_utf8(probed.stdout).unwrap();
        assert_eq!(said.trim(), *kind, "blkid, {role:?}: {}", probed.status);
        let found = tool("/sbin/wipefs", &["-n", "-i", "-O", "TYPE", path]);
        let found: BTreeSet<&str> = found.split_whitespace().collect();
        let only: BTreeSet<&str> = kind.split_whitespace().collect();
        assert_eq!(found, only, "wipefs, {role:?}");
    }
}

#[test]
fn nothing_of_a_used_disk_is_left_at_the_ends_of_any_partition() {
    let blank = MemoryDisk::new(SIZE, SectorSize::B512);
    let plan = planned(&blank, SIZES);
    let root = plan.len_bytes(plan.partition(Role::Root).unwrap());
    let count = rounds(root).len();
    assert!(count > 5, "{count} rounds");
    for round in 0..count {
        let mut before = blank.clone();
        sign(&mut before, &plan, round);
        let (disk, layout) = deploy(before);
        // The root of this test is no file system: there nothing at all may be found.
        let expected = [(Role::Esp, "vfat"), (Role::Swap, "swap"), (Role::Root, "")];
        must_hold_only(&disk, &layout, &expected);
        let contents = contents::read(&mut disk.clone()).unwrap();
        assert!(
            matches!(contents, DiskContents::Installed { .. }),
            "{round}: {contents}"
        );
    }
}

/// The installed system may write anything: a full swap, a hibernated one, any block of any
/// file.
#[test]
fn nothing_in_our_partitions_makes_an_installation_anything_else() {
    let (intact, layout) = deploy(MemoryDisk::new(SIZE, SectorSize::B512));
    let expected = contents::read(&mut intact.clone()).unwrap();
    assert!(
        matches!(expected, DiskContents::Installed { .. }),
        "{expected}"
    );
    let root = layout.len_bytes(layout.partition(Role::Root).unwrap());
    for round in 0..rounds(root).len() {
        let mut disk = intact.clone();
        sign(&mut disk, &layout, round);
        assert_eq!(contents::read(&mut disk).unwrap(), expected, "{round}");
    }
    // As signatures of the whole disk, where they lie in a partition.
    for (_, at, magic) in contents::signatures::known(SIZE) {
        let is_inside = |role| {
            let partition = layout.partition(role).unwrap();
            let start = layout.offset_bytes(partition);
            (start..start + layout.len_bytes(partition)).contains(&at)
        };
        if is_inside(Role::Esp) || is_inside(Role::Root) {
            let mut disk = intact.clone();
            disk.put(at, magic);
            assert_eq!(contents::read(&mut disk).unwrap(), expected, "{at}");
        }
    }
    // All of it at random.
    let mut disk = intact.clone();
    let mut state_of_noise = 7;
    for role in [Role::Esp, Role::Swap, Role::Root] {
        let partition = layout.partition(role).unwrap();
        let (start, len_bytes) = (layout.offset_bytes(partition), layout.len_bytes(partition));
        for at in [0, len_bytes - MIB] {
            let noise = (0..MIB).map(|_| (super::fakes::next(&mut state_of_noise) >> 24) as u8);
            disk.put(start + at, &noise.collect::<Vec<u8>>());
        }
    }
    assert_eq!(contents::read(&mut disk).unwrap(), expected);
}

/// The sector belongs to the table beside it.
#[test]
fn a_disk_that_was_partitioned_since_is_no_installation() {
    let (intact, _) = deploy(MemoryDisk::new(SIZE, SectorSize::B512));
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("image");
    let path = image.to_str().unwrap();
    let again: [&[&str]; 4] = [
        &["-o", path],
        &["-o", "-n1:2048:+64M", "-t1:ef00", "-n2", path],
        &["-d3", path],
        &[
            "-o",
            "-n1:2048:+64M",
            "-c1:smechvisor-esp",
            "-n3",
            "-c3:smechvisor-root",
            path,
        ],
    ];
    for args in again {
        intact.save(&image);
        tool("/sbin/sgdisk", args);
        let mut disk = MemoryDisk::new(SIZE, SectorSize::B512);
        let file = std::fs::File::open(&image).unwrap();
        for at in [0, SIZE - MIB] {
            let mut bytes = vec![0; MIB as usize];
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, at).unwrap();
            disk.put(at, &bytes);
        }
        let sector = disk.get(installation::OFFSET_BYTES, 20);
        assert_eq!(sector, b"SMECHVISOR INSTALLED", "it is there still");
        let contents = contents::read(&mut disk).unwrap();
        assert!(
            matches!(contents, DiskContents::Occupied { .. }),
            "{args:?}: {contents}"
        );
    }
}
