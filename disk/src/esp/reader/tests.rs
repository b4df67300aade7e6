use super::{EspReader, Shape};
use crate::contents::PartitionRef;
use crate::disk::{Disk, SectorSize};
use crate::esp::{format, with};
use crate::fakes::memory_disk::MemoryDisk;
use crate::layout::{Layout, Partition, Role, plan};
use crate::sizes::{Sizes, Swap};
use uuid::Uuid;

const MOST: u64 = 1 << 20;
const LONG: &str = "loader/entries/a-name-that-is-longer-than-thirteen-characters.conf";

struct Made {
    disk: MemoryDisk,
    layout: Layout,
}

impl Made {
    /// With files of an empty, a short, and a length of many clusters.
    fn new(sector: SectorSize) -> Self {
        // The least that has as many clusters as FAT32 must.
        let mib = match sector {
            SectorSize::B512 => 64,
            SectorSize::B4096 => 262,
        };
        let sizes = Sizes {
            esp_bytes: Some(mib << 20),
            swap: Swap::None,
            ..Sizes::USUAL
        };
        let mut fresh_id = || Uuid::from_u128(7);
        let layout = plan(2 << 30, sector, sizes, &mut fresh_id).unwrap();
        let mut disk = MemoryDisk::new(2 << 30, sector);
        format(&mut disk, &layout).unwrap();
        with(&mut disk, &layout, |esp| {
            esp.make_directories("loader/entries")?;
            esp.make_directories("smechvisor")?;
            esp.write("smechvisor/vmlinuz", &mut contents().as_slice())?
                .unwrap();
            esp.write(LONG, &mut &b"title x\n"[..])?.unwrap();
            esp.write("smechvisor/empty", &mut &b""[..])
        })
        .unwrap()
        .unwrap();
        Self { disk, layout }
    }

    fn esp(&self) -> &Partition {
        self.layout.partition(Role::Esp).unwrap()
    }

    fn partition(&self) -> PartitionRef {
        let esp = self.esp();
        PartitionRef {
            number: esp.number,
            first_lba: esp.first_lba,
            sectors: esp.sectors,
            guid: esp.guid,
        }
    }

    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let (partition, mut content) = (self.partition(), Vec::new());
        let read = EspReader::open(&mut self.disk, &partition)
            .and_then(|mut reader| reader.read(path, &mut content, MOST));
        read.map_err(|error| format!("{error}: {}", error.source))?;
        Ok(content)
    }

    /// Bytes at this place of the partition.
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = self.layout.offset_bytes(self.esp()) + at;
        self.disk.put(at, bytes);
    }

    fn get(&mut self, at: u64, len: usize) -> Vec<u8> {
        let at = self.layout.offset_bytes(self.esp()) + at;
        let mut bytes = vec![0; len];
        self.disk.read_at(at, &mut bytes).unwrap();
        bytes
    }

    fn shape(&mut self) -> Shape {
        let boot = self.get(0, 4096);
        let sector = self.layout.sector;
        let len = self.layout.len_bytes(self.esp());
        Shape::read(&boot, sector, len).unwrap()
    }
}

fn contents() -> Vec<u8> {
    (0..300_001_u32)
        .map(|number| number.to_le_bytes()[1])
        .collect()
}

#[test]
fn files_in_one_piece_are_located() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let mut made = Made::new(sector);
        let partition = made.partition();
        let mut reader = EspReader::open(&mut made.disk, &partition).unwrap();
        let whole = reader.locate("SMECHVISOR/vmlinuz").unwrap();
        let short = reader.locate(LONG).unwrap();
        for (path, is_why) in [
            ("smechvisor/empty", "cluster 0, which does not exist"),
            ("smechvisor", "is a directory"),
            ("smechvisor/none", "entity not found"),
        ] {
            let error = reader.locate(path).unwrap_err();
            assert_eq!(error.source.to_string(), is_why);
        }
        assert_eq!(whole.len_bytes as usize, contents().len());
        assert_eq!(made.disk.get(whole.offset, contents().len()), contents());
        assert_eq!(made.disk.get(short.offset, 8), b"title x\n");
    }
}

#[test]
fn what_was_written_is_read_whatever_the_sectors() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let mut made = Made::new(sector);
        assert_eq!(made.read("/smechvisor/vmlinuz").unwrap(), contents());
        assert_eq!(made.read("SMECHVISOR/VMLINUZ").unwrap(), contents());
        assert_eq!(made.read(LONG).unwrap(), b"title x\n");
        assert_eq!(made.read("smechvisor/empty").unwrap(), b"");
        for (path, reason) in [
            ("none", "not found"),
            ("loader/entries/a-name", "not found"),
            ("smechvisor", "is a directory"),
            ("smechvisor/vmlinuz/x", "not a directory"),
        ] {
            let error = made.read(path).unwrap_err();
            assert!(error.contains(reason), "{path}: {error}");
        }
    }
}

#[test]
fn a_file_longer_than_wanted_is_refused_before_its_first_byte() {
    let mut made = Made::new(SectorSize::B512);
    let (partition, mut content) = (made.partition(), Vec::new());
    let mut reader = EspReader::open(&mut made.disk, &partition).unwrap();
    let error = reader
        .read("smechvisor/vmlinuz", &mut content, 300_000)
        .unwrap_err();
    assert_eq!(
        error.source.to_string(),
        "300001 bytes, 300000 are the most"
    );
    assert!(content.is_empty());
    assert_eq!(
        reader
            .read("smechvisor/vmlinuz", &mut content, 300_001)
            .unwrap(),
        300_001
    );
}

/// The three images with which a review stopped the reader that was here before: two by a panic,
/// one for ever.
#[test]
fn unterminated_chains_bad_clusters_and_loops_are_errors() {
    let mut made = Made::new(SectorSize::B512);
    let shape = made.shape();
    made.put(36, &u32::MAX.to_le_bytes());
    let error = made.read(LONG).unwrap_err();
    assert!(error.contains("tables of 4294967295"), "{error}");

    let mut made = Made::new(SectorSize::B512);
    // The first entry of the root that is no label is `loader`, behind the piece of its long name.
    let root = made.get(shape.data, 512);
    let at = root
        .chunks(32)
        .position(|entry| entry.starts_with(b"LOADER"))
        .unwrap();
    made.put(shape.data + at as u64 * 32 + 26, &1_u16.to_le_bytes());
    let error = made.read(LONG).unwrap_err();
    assert!(error.contains("cluster 1, which does not exist"), "{error}");

    let mut made = Made::new(SectorSize::B512);
    // A root that leads to itself, with no entry that ends it.
    let root = u64::from(shape.root);
    made.put(shape.table + root * 4, &shape.root.to_le_bytes());
    made.put(
        shape.data,
        &vec![0xE5; usize::try_from(shape.cluster).unwrap()],
    );
    let error = made.read(LONG).unwrap_err();
    assert!(error.contains("a directory without an end"), "{error}");

    // A file that leads to itself ends where its entry says.
    let mut made = Made::new(SectorSize::B512);
    let whole = made.shape().clusters_end;
    for cluster in 3..whole.min(2000) {
        made.put(shape.table + u64::from(cluster) * 4, &cluster.to_le_bytes());
    }
    assert_eq!(made.read("smechvisor/vmlinuz").unwrap().len(), 300_001);
}

#[test]
fn no_byte_of_the_boot_sector_or_of_a_directory_does_any_harm() {
    let mut made = Made::new(SectorSize::B512);
    let shape = made.shape();
    for at in (0..512)
        .chain(shape.table..shape.table + 64)
        .chain(shape.data..shape.data + 256)
    {
        let before = made.get(at / 512 * 512, 512);
        let byte = before[usize::try_from(at % 512).unwrap()];
        for changed in [0, 0xFF, byte ^ 1, byte ^ 0x80] {
            made.put(at, &[changed]);
            // Whether it can still be read depends on the byte.
            let _ = made.read(LONG);
        }
        made.put(at, &[byte]);
    }
    assert_eq!(made.read("smechvisor/vmlinuz").unwrap(), contents());
}

#[test]
fn a_partition_shorter_than_its_file_system_or_than_a_sector_is_an_error() {
    let mut made = Made::new(SectorSize::B512);
    for sectors in [0, 1, 100, made.esp().sectors - 1] {
        let partition = PartitionRef {
            sectors,
            ..made.partition()
        };
        assert!(
            EspReader::open(&mut made.disk, &partition).is_err(),
            "{sectors}"
        );
    }
    let partition = PartitionRef {
        first_lba: u64::MAX,
        ..made.partition()
    };
    assert!(EspReader::open(&mut made.disk, &partition).is_err());
}

/// FAT12 and FAT16, and the chain that crosses from one piece of the table to the next.
#[test]
fn the_head_of_a_slot_is_read_on_disks_of_both_kinds() {
    let large: Vec<u8> = (0..13_000_000_u32).map(|n| (n / 4096) as u8).collect();
    for (sector, mib) in [
        (SectorSize::B512, 14),
        (SectorSize::B4096, 14),
        (SectorSize::B512, 40),
        (SectorSize::B4096, 40),
    ] {
        let files: [(&str, &[u8]); 4] = [
            ("vmlinuz", &large),
            ("boot.cfg", b"boot"),
            ("grub/grubx64.efi", b"efi"),
            ("empty", b""),
        ];
        let head = crate::head::make(mib << 20, 7, &files).unwrap();
        let mut disk = MemoryDisk::new(64 << 20, sector);
        disk.put(3 << 20, &head);
        let len = disk.size_bytes() - (3 << 20);
        let mut reader = EspReader::open_area(&mut disk, 3 << 20, len).unwrap();
        for (path, content) in files {
            let mut found = Vec::new();
            reader.read(path, &mut found, 16 << 20).unwrap();
            assert!(found == content, "{path}");
        }
        for path in ["grub", "grub/none", "boot.cfg/x", "none"] {
            assert!(reader.read(path, &mut Vec::new(), 99).is_err(), "{path}");
        }
        // Any change of the boot sector: an error or a file, no panic and no end of the disk.
        for at in 11..64 {
            for byte in [0, 1, 0x7F, 0xFF] {
                let mut disk = disk.clone();
                disk.put((3 << 20) + at, &[byte]);
                if let Ok(mut reader) = EspReader::open_area(&mut disk, 3 << 20, len) {
                    let _ = reader.read("grub/grubx64.efi", &mut Vec::new(), 1 << 20);
                }
            }
        }
    }
}
