use super::{State, read};
use crate::disk::SectorSize;
use crate::marker::{self, Phase};
use crate::memory_disk::MemoryDisk;
use std::path::Path;
use std::process::Command;

const SIZE: u64 = 8 << 20;

fn disk_with(pieces: &[(u64, &[u8])]) -> MemoryDisk {
    let mut disk = MemoryDisk::new(SIZE, SectorSize::B512);
    for (offset, bytes) in pieces {
        disk.put(*offset, bytes);
    }
    disk
}

fn what(pieces: &[(u64, &[u8])]) -> String {
    match read(&mut disk_with(pieces)).unwrap() {
        State::Occupied { what, .. } => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_disk_of_zeros_is_blank_and_one_byte_at_either_end_is_not() {
    assert_eq!(read(&mut disk_with(&[])).unwrap(), State::Blank);
    assert_eq!(
        read(&mut disk_with(&[(4 << 20, b"x")])).unwrap(),
        State::Blank,
        "the middle is not looked at"
    );
    for offset in [0, 511, (1 << 20) - 1, SIZE - (1 << 20), SIZE - 1] {
        assert_eq!(
            what(&[(offset, b"\x01")]),
            format!("unknown data at byte {offset}")
        );
    }
}

#[test]
fn a_marker_is_an_interrupted_deploy() {
    let wiping = marker::sector(Phase::Wiping, SectorSize::B512);
    let writing = marker::sector(Phase::Writing, SectorSize::B512);
    let gpt: (u64, &[u8]) = (512, b"EFI PART");
    for marker in [&wiping, &writing] {
        assert_eq!(
            read(&mut disk_with(&[(0, marker), gpt])).unwrap(),
            State::Interrupted
        );
        assert!(read(&mut disk_with(&[(0, marker)])).unwrap().is_free());
    }
    let md: (u64, &[u8]) = (4096, &[0xFC, 0x4E, 0x2B, 0xA9]);
    assert_eq!(
        read(&mut disk_with(&[(0, &wiping), md])).unwrap(),
        State::Interrupted,
        "the old contents' own"
    );
    assert_eq!(
        what(&[(0, &writing), md]),
        "md RAID",
        "put there after the failed deploy"
    );
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
    assert_eq!(
        what(&[(510, b"\x55\xAA"), (450, b"\x83")]),
        "MBR partition table"
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

/// The real tools' own signatures, where the tools are there.
#[test]
fn file_systems_made_by_their_own_tools_are_named() {
    let dir = crate::test_dir::TestDir::new("state");
    let image = dir.path().join("image");
    let made = |program: &str, args: &[&str]| {
        std::fs::File::create(&image)
            .unwrap()
            .set_len(64 << 20)
            .unwrap();
        let status = Command::new(program).args(args).arg(&image).output();
        match status {
            Ok(output) => assert!(output.status.success(), "{program}: {output:?}"),
            Err(error) => panic!("{program} is needed by this test: {error}"),
        }
        state_of(&image)
    };
    assert_eq!(
        made("/sbin/mke2fs", &["-q", "-F", "-t", "ext4"]),
        "ext2/3/4"
    );
    assert_eq!(made("/sbin/mkswap", &["-q"]), "swap");
    assert_eq!(made("/sbin/mkfs.vfat", &["-F", "32"]), "FAT");
    assert_eq!(made("/sbin/mkfs.vfat", &["-F", "16"]), "FAT");
    assert_eq!(made("/sbin/sgdisk", &["-n1"]), "GPT partition table");
}

fn state_of(image: &Path) -> String {
    let bytes = std::fs::read(image).unwrap();
    let mut disk = MemoryDisk::new(bytes.len() as u64, SectorSize::B512);
    disk.put(0, &bytes);
    read(&mut disk).unwrap().to_string()
}
