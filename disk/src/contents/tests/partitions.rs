//! Contents of partitions, by tables that other tools have written, well and badly.

use super::super::partitions::GPT_TYPES;
use super::super::{DiskContents, read};
use super::{disk_with, occupied};
use crate::disk::{Disk, DiskError, SectorSize};
use crate::fakes::memory_disk::MemoryDisk;
use crate::sizes::MIB;
use std::io::Write;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A table as sfdisk(8) writes it, onto a disk in memory.
fn partitioned(script: &str) -> MemoryDisk {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("image");
    std::fs::File::create(&image)
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    let mut child = Command::new("/sbin/sfdisk")
        .arg("-q")
        .arg(&image)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sfdisk is needed by this test");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
    let bytes = std::fs::read(&image).unwrap();
    let mut disk = MemoryDisk::new(bytes.len() as u64, SectorSize::B512);
    disk.put(0, &bytes);
    disk
}

#[test]
fn each_partition_of_a_gpt_tells_what_it_holds() {
    let mut disk = partitioned(
        "label: gpt\nsize=8M\nsize=8M\nsize=8M\nsize=8M, type=E6D6D379-F507-44C2-A23C-238F2A3DF928\n",
    );
    disk.put(MIB + 82, b"FAT32   ");
    disk.put(9 * MIB, b"LUKS\xBA\xBE");
    disk.put(17 * MIB + 1000, b"?");
    let (what, protected, _) = occupied(&mut disk);
    assert_eq!(
        what,
        "GPT partition table (1: FAT, 2: LUKS, 3: unknown data, 4: LVM)"
    );
    assert_eq!(
        protected.as_deref(),
        Some("LUKS in partition 2, LVM in partition 4"),
        "the type is enough"
    );
}

/// sfdisk's own list, which knows all of them but those that only Ceph's newer tools made.
#[test]
fn types_of_partitions_are_those_that_sfdisk_knows() {
    let output = Command::new("/sbin/sfdisk")
        .args(["-T", "--label", "gpt"])
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let theirs = |name| match name {
        "md RAID" => "Linux RAID",
        "vSAN" => "Virtual SAN",
        "Windows dynamic disk" => "LDM",
        other => other,
    };
    let mut unknown = 0;
    for (kind, name) in GPT_TYPES {
        let guid = kind.to_string().to_uppercase();
        match list.lines().find(|line| line.starts_with(&guid)) {
            Some(line) => assert!(line.contains(theirs(name)), "{name}: {line}"),
            None => {
                assert_eq!(*name, "Ceph", "{guid}");
                unknown += 1;
            }
        }
    }
    assert_eq!(unknown, 4);
}

#[test]
fn logical_partitions_are_looked_at_too() {
    let mut disk = partitioned(
        "label: dos\nsize=8M, type=83\nsize=8M, type=fd\nsize=40M, type=5\n5: size=4M\n6: size=4M\n7: size=4M\n",
    );
    disk.put(MIB + 1080, &[0x53, 0xEF]);
    let seventh = {
        let text = occupied(&mut disk).0;
        assert_eq!(
            text,
            "MBR partition table (1: ext2/3/4, 2: md RAID, 5: empty, 6: empty, 7: empty)"
        );
        // sfdisk leaves a MiB for each link of the chain.
        17 * MIB + MIB + 2 * 5 * MIB
    };
    disk.put(seventh + 512, b"LABELONE");
    let (what, protected, _) = occupied(&mut disk);
    assert!(what.ends_with("6: empty, 7: LVM)"), "{what}");
    assert_eq!(
        protected.as_deref(),
        Some("md RAID in partition 2, LVM in partition 7")
    );
}

#[test]
fn a_long_partition_table_is_abbreviated_and_still_protects() {
    let script: String = "label: gpt\n".to_owned() + &"size=1M\n".repeat(60);
    let mut disk = partitioned(&script);
    disk.put(45 * MIB + 512, b"LABELONE");
    let (what, protected, _) = occupied(&mut disk);
    assert!(what.ends_with("8: empty, 52 more)"), "{what}");
    assert_eq!(protected.as_deref(), Some("LVM in partition 45"));
}

#[test]
fn the_backup_speaks_for_a_gpt_whose_beginning_is_gone() {
    let mut disk = partitioned("label: gpt\nsize=8M\nsize=8M\n");
    disk.put(9 * MIB, b"LUKS\xBA\xBE");
    disk.put(0, &[0; 34 * 512]);
    let (what, protected, _) = occupied(&mut disk);
    assert_eq!(what, "GPT partition table (1: empty, 2: LUKS)");
    assert!(protected.is_some());
}

/// A GPT was there once; fdisk has written an MBR since and left the backup at the end.
#[test]
fn both_of_two_tables_are_looked_at() {
    let mut disk = partitioned("label: gpt\nsize=8M\nsize=8M\n");
    let mbr =
        partitioned("label: dos\nstart=2048, size=8M, type=83\nstart=40960, size=8M, type=83\n");
    disk.put(0, &[0; 34 * 512]);
    disk.put(0, &mbr.get(0, 512));
    disk.put(40960 * 512 + 512, b"LABELONE");
    let (what, protected, _) = occupied(&mut disk);
    assert_eq!(
        what,
        "GPT partition table, MBR partition table (1: empty, 2: empty, 2: LVM)"
    );
    assert_eq!(protected.as_deref(), Some("LVM in partition 2"));
}

#[test]
fn a_stick_of_a_shim_is_known_by_a_partitions_name_or_label() {
    let mut by_name = partitioned("label: gpt\nsize=8M, name=SMECHVISOR_SHIM\n");
    assert!(occupied(&mut by_name).2);
    let mut by_label = partitioned("label: dos\nsize=8M, type=cd\n");
    assert!(!occupied(&mut by_label).2);
    by_label.put(MIB + 32769, b"CD001");
    by_label.put(MIB + 32768 + 40, b"SMECHVISOR_SHIM                 ");
    assert!(occupied(&mut by_label).2);
}

#[test]
fn a_chain_of_logical_partitions_that_bites_its_tail_has_an_end() {
    let mut entry = [0_u8; 66];
    entry[64..].copy_from_slice(&[0x55, 0xAA]);
    // An extended partition at sector 100 whose second entry leads to itself.
    let mut table = entry;
    table[4] = 5;
    table[8] = 100;
    table[12] = 200;
    let mut link = entry;
    link[4] = 0x83;
    link[8] = 1;
    link[12] = 1;
    link[16 + 4] = 5;
    link[16 + 12] = 1;
    link[16 + 8] = 0;
    let ring = disk_with(&[(446, &table), (100 * 512 + 446, &link)]);
    link[16 + 8] = 1;
    let pair = disk_with(&[
        (446, &table),
        (100 * 512 + 446, &link),
        (101 * 512 + 446, &link),
    ]);
    for mut disk in [ring, pair] {
        let (what, ..) = occupied(&mut disk);
        assert!(what.starts_with("MBR partition table (5:"), "{what}");
    }
}

/// Counts what is read.
struct Counting(MemoryDisk, u64);

impl Disk for Counting {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    fn sector_size(&self) -> SectorSize {
        self.0.sector_size()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.1 += buf.len() as u64;
        self.0.read_at(offset, buf)
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<(), DiskError> {
        panic!("a disk that is looked at is never written")
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        panic!("a disk that is looked at is never written")
    }
}

/// A header that claims four thousand million entries, all of them used, each of the whole disk.
#[test]
fn a_table_of_lies_costs_a_bounded_number_of_reads() {
    let mut entry = [0xFF_u8; 128];
    entry[32..40].copy_from_slice(&0_u64.to_le_bytes());
    let mut header = [0_u8; 92];
    header[..8].copy_from_slice(b"EFI PART");
    header[72..80].copy_from_slice(&2_u64.to_le_bytes());
    header[80..84].fill(0xFF);
    header[84] = 128;
    let mut disk = MemoryDisk::new(1 << 40, SectorSize::B512);
    disk.put(512, &header);
    for number in 0..2048 {
        disk.put(1024 + number * 128, &entry);
    }
    let mut disk = Counting(disk, 0);
    let DiskContents::Occupied {
        what, protected, ..
    } = read(&mut disk).unwrap()
    else {
        panic!()
    };
    assert!(what.ends_with("1016 more)"), "{what}");
    assert_eq!(protected.as_deref(), Some("896 partitions not looked at"));
    assert!(disk.1 < 200 * MIB, "{} bytes", disk.1);
}

/// Every byte of a table, changed in every bit: no panic, no end that does not come, and never a
/// disk that may be taken.
#[test]
fn a_damaged_table_is_still_somebodys() {
    let intact = partitioned("label: gpt\nsize=8M\nsize=8M\n");
    for at in (0..92)
        .map(|at| 512 + at)
        .chain((0..256).map(|at| 1024 + at))
    {
        for bit in 0..8 {
            let mut disk = intact.clone();
            let byte = disk.get(at, 1)[0] ^ 1 << bit;
            disk.put(at, &[byte]);
            assert!(!read(&mut disk).unwrap().is_free(), "byte {at} bit {bit}");
        }
    }
}
