use super::{DiskContents, SHIM_LABEL, former, read};
use crate::disk::SectorSize;
use crate::fakes::memory_disk::MemoryDisk;
use crate::marker::{self, Former, Phase};
use crate::sizes::MIB;

mod installed;
mod partitions;
mod peers;

const SIZE: u64 = 8 << 20;

fn disk_with(pieces: &[(u64, &[u8])]) -> MemoryDisk {
    let mut disk = MemoryDisk::new(SIZE, SectorSize::B512);
    for (offset, bytes) in pieces {
        disk.put(*offset, bytes);
    }
    disk
}

fn what(pieces: &[(u64, &[u8])]) -> String {
    occupied(&mut disk_with(pieces)).0
}

/// Its contents, the protected ones among them, and whether it is a shim's medium.
fn occupied(disk: &mut MemoryDisk) -> (String, Option<String>, bool) {
    match read(disk).unwrap() {
        DiskContents::Occupied {
            what,
            protected,
            is_shim_medium,
        } => (what, protected, is_shim_medium),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_disk_of_zeros_is_blank_and_one_byte_at_either_end_is_not() {
    assert_eq!(read(&mut disk_with(&[])).unwrap(), DiskContents::Blank);
    assert_eq!(
        read(&mut disk_with(&[(4 << 20, b"x")])).unwrap(),
        DiskContents::Blank,
        "the middle is not looked at"
    );
    for offset in [0, 511, (1 << 20) - 1, SIZE - (1 << 20), SIZE - 1] {
        assert_eq!(
            what(&[(offset, b"\x01")]),
            format!("unknown data at byte {offset}")
        );
    }
}

const MD: (u64, &[u8]) = (4096, &[0xFC, 0x4E, 0x2B, 0xA9]);

#[test]
fn a_marker_is_an_interrupted_deploy() {
    let earlier = marker::sector(&Phase::Wiping(Former::Unknown), SectorSize::B512);
    let writing = marker::sector(&Phase::Writing, SectorSize::B512);
    let gpt: (u64, &[u8]) = (512, b"EFI PART");
    for marker in [&earlier, &writing] {
        assert_eq!(
            read(&mut disk_with(&[(0, marker), gpt])).unwrap(),
            DiskContents::Interrupted
        );
        assert!(read(&mut disk_with(&[(0, marker)])).unwrap().is_free());
    }
    assert_eq!(
        read(&mut disk_with(&[(0, &earlier), MD])).unwrap(),
        DiskContents::Interrupted,
        "the old contents' own, by a version that did not write down what was there"
    );
    let vmfs: (u64, &[u8]) = (2 << 20, b"\x5E\xF1\xAB\x2F");
    assert_eq!(
        read(&mut disk_with(&[(0, &writing), vmfs])).unwrap(),
        DiskContents::Interrupted,
        "the old contents' own, where an earlier version had not come to yet"
    );
    assert_eq!(
        what(&[(0, &writing), MD]),
        "md RAID",
        "put there after the failed deploy"
    );
}

/// Cut off while the former contents are cleared: what is left of them is ours to take, what
/// somebody puts there afterwards is not.
#[test]
fn what_was_put_behind_a_marker_that_was_wiping_is_somebody_elses() {
    let gpt: (u64, &[u8]) = (512, b"EFI PART");
    let old = [gpt, MD, (SIZE - 512, b"EFI PART old")];
    let former = former(&mut disk_with(&old)).unwrap();
    assert!(matches!(&former, Former::Known(known) if known.len() == 3));
    let wiping = marker::sector(&Phase::Wiping(former), SectorSize::B512);
    let is_interrupted = |pieces: &[(u64, &[u8])]| {
        let marker: [(u64, &[u8]); 1] = [(0, &wiping)];
        let mut disk = disk_with(&[&marker, pieces].concat());
        read(&mut disk).unwrap() == DiskContents::Interrupted
    };
    assert!(is_interrupted(&old) && is_interrupted(&old[1..]) && is_interrupted(&[]));
    let another: [(u64, &[u8]); 3] = [
        (4096, &[0xFC, 0x4E, 0x2B, 0xA9, 1]),
        (SIZE - 8192, MD.1),
        (1024, b"LABELONE"),
    ];
    for piece in another {
        assert!(!is_interrupted(&[gpt, piece]), "{piece:?}");
    }
}

#[test]
fn known_signatures_have_names() {
    assert_eq!(what(&[(512, b"EFI PART")]), "GPT partition table");
    assert_eq!(
        what(&[(SIZE - 512, b"EFI PART")]),
        "GPT partition table",
        "the backup alone counts"
    );
    assert_eq!(what(&[(SIZE - 4096, b"EFI PART")]), "GPT partition table");
    // A type without a place is no partition, and a first sector that ends in 55AA may be boot code
    // alone.
    assert_eq!(
        what(&[(510, b"\x55\xAA"), (450, b"\x83")]),
        "unknown data at byte 450"
    );
    assert_eq!(what(&[(510, b"\x55\xAA")]), "unknown data at byte 510");
    assert_eq!(what(&[(0, b"LUKS\xBA\xBE")]), "LUKS");
    assert_eq!(what(&[(512, b"LABELONE")]), "LVM");
    assert_eq!(
        what(&[(131_072 + 5 * 1024, b"\x0C\xB1\xBA\0\0\0\0\0")]),
        "ZFS"
    );
    assert_eq!(what(&[(SIZE - 65536, b"\xFC\x4E\x2B\xA9")]), "md RAID");
    assert_eq!(what(&[(SIZE - 8192, b"\xFC\x4E\x2B\xA9")]), "md RAID");
    assert_eq!(what(&[(0, b"XFSB")]), "XFS");
    assert_eq!(what(&[(65600, b"_BHRfS_M")]), "btrfs");
    assert_eq!(
        what(&[(3, b"NTFS    "), (510, b"\x55\xAA"), (450, b"\x83")]),
        "NTFS"
    );
}

#[test]
fn a_member_of_something_larger_is_protected_and_a_file_system_is_not() {
    let protected = |pieces: &[(u64, &[u8])]| occupied(&mut disk_with(pieces)).1;
    assert_eq!(protected(&[(512, b"LABELONE")]).as_deref(), Some("LVM"));
    assert_eq!(
        protected(&[
            (1080, &[0x53, 0xEF]),
            (SIZE - 1024, b"Intel Raid ISM Cfg Sig. ")
        ])
        .as_deref(),
        Some("IMSM RAID")
    );
    assert_eq!(protected(&[(0, b"XFSB")]), None);
    assert_eq!(protected(&[(512, b"EFI PART")]), None);
    assert_eq!(protected(&[(7, b"?")]), None, "nobody knows what it is");
}

/// btrfs_super_block::num_devices at 136, bch_sb::nr_devices at 123.
#[test]
fn a_file_system_of_several_disks_is_protected() {
    let bcachefs = b"\xC6\x85\x73\xF6\x66\xCE\x90\xA9\xD9\x6A\x60\xCF\x80\x3D\xF7\xEF";
    for (count, expected) in [
        (1, ["btrfs", "bcachefs"]),
        (3, ["btrfs of several disks", "bcachefs of several disks"]),
    ] {
        let found = [
            occupied(&mut disk_with(&[
                (65600, b"_BHRfS_M"),
                (65536 + 136, &[count]),
            ])),
            occupied(&mut disk_with(&[(4120, bcachefs), (4096 + 123, &[count])])),
        ];
        for ((what, protected, _), expected) in found.into_iter().zip(expected) {
            assert_eq!(what, expected);
            assert_eq!(protected.is_some(), count > 1);
        }
    }
}

/// Each of the four labels is enough, in either byte order, at any slot of its ring.
#[test]
fn one_uberblock_of_any_label_is_zfs() {
    let label = 256 * 1024;
    let uneven = SIZE + 37 * 512;
    for start in [0, label, SIZE - 2 * label, SIZE - label] {
        for slot in [0, 1, 77, 127] {
            for magic in [b"\x0C\xB1\xBA\0\0\0\0\0", b"\0\0\0\0\0\xBA\xB1\x0C"] {
                let mut disk = MemoryDisk::new(uneven, SectorSize::B512);
                disk.put(start + 128 * 1024 + slot * 1024, magic);
                let (what, protected, _) = occupied(&mut disk);
                assert_eq!((what.as_str(), protected.as_deref()), ("ZFS", Some("ZFS")));
            }
        }
    }
}

#[test]
fn what_stood_behind_a_table_that_was_erased_is_found() {
    for (offset, magic, name) in [
        (1080, &[0x53, 0xEF][..], "ext2/3/4"),
        (512, b"LABELONE", "LVM"),
        (0, b"LUKS\xBA\xBE", "LUKS"),
    ] {
        let mut disk = disk_with(&[(MIB + offset, magic)]);
        let (what, protected, _) = occupied(&mut disk);
        assert_eq!(
            what,
            format!("{name} in a partition that no table lists any more")
        );
        assert_eq!(protected.as_deref(), (name != "ext2/3/4").then_some(name));
    }
}

#[test]
fn the_medium_of_a_shim_is_known_by_its_label() {
    let mut label = *b"SMECHVISOR_SHIM                 ";
    assert_eq!(label.trim_ascii_end(), SHIM_LABEL.as_bytes());
    let cd: (u64, &[u8]) = (32769, b"CD001");
    let medium = |label: &[u8]| occupied(&mut disk_with(&[cd, (32768 + 40, label)])).2;
    assert!(medium(&label));
    label[15] = b'2';
    assert!(!medium(&label), "the label goes on");
    assert!(!medium(b"DEBIAN"));
    let without_cd = occupied(&mut disk_with(&[(32768 + 40, SHIM_LABEL.as_bytes())]));
    assert!(!without_cd.2, "no CD");
}

/// Sixteen MiB of a disk are the most that its ends and its marks can be: a disk that ends within
/// one of them is no exception.
#[test]
fn a_disk_of_any_size_is_looked_at() {
    for size in (0..=9).map(|sectors| sectors * 512).chain([
        MIB - 512,
        MIB,
        MIB + 512,
        2 * MIB,
        2 * MIB + 512,
        3 * MIB,
    ]) {
        let mut disk = MemoryDisk::new(size, SectorSize::B512);
        assert_eq!(read(&mut disk).unwrap(), DiskContents::Blank, "{size}");
        if size > 0 {
            disk.put(size - 1, &[1]);
            let at = size - 1;
            assert_eq!(occupied(&mut disk).0, format!("unknown data at byte {at}"));
        }
    }
}
