//! The tools that make formats, and libblkid as an independent judge of the bytes we compare with.

use super::super::{DiskContents, read};
use crate::disk::{Disk, DiskError, SectorSize};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Large enough for every tool.
const SIZE: u64 = 320 << 20;

struct ImageFile(File);

impl ImageFile {
    fn open(path: &Path) -> Self {
        Self(File::open(path).unwrap())
    }
}

impl Disk for ImageFile {
    fn name(&self) -> &str {
        "image"
    }

    fn size_bytes(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }

    fn sector_size(&self) -> SectorSize {
        SectorSize::B512
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.0.read_exact_at(buf, offset).unwrap();
        Ok(())
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<(), DiskError> {
        panic!("a disk that is looked at is never written")
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        panic!("a disk that is looked at is never written")
    }
}

struct Workshop {
    _dir: TempDir,
    image: PathBuf,
}

impl Workshop {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("image");
        Self { _dir: dir, image }
    }

    fn blank(&self) -> File {
        let file = File::create(&self.image).unwrap();
        file.set_len(SIZE).unwrap();
        file
    }

    /// A blank image after a tool has run on it with `input` on its standard input.
    fn made(&self, program: &str, args: &[&str], input: &[u8]) {
        self.blank();
        let mut command = Command::new(program);
        let command = command.args(args).arg(&self.image);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} is needed by this test: {error}"));
        let _ = child.stdin.take().unwrap().write_all(input); // not every tool reads it
        assert!(child.wait().unwrap().success(), "{program}");
    }

    fn contents(&self) -> DiskContents {
        read(&mut ImageFile::open(&self.image)).unwrap()
    }

    /// libblkid's word for it, without its cache; empty when it knows nothing.
    fn blkid(&self) -> String {
        let output = Command::new("/sbin/blkid")
            .args(["-p", "-o", "value", "-s", "TYPE"])
            .arg(&self.image)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A blank image with `pieces` on it is `theirs` to libblkid, and `name` to us.
    fn must_agree(&self, name: &str, theirs: &str, pieces: &Pieces, protected_as: Option<&str>) {
        let file = self.blank();
        for (offset, bytes) in pieces {
            file.write_all_at(bytes, *offset).unwrap();
        }
        assert_eq!(self.blkid(), theirs, "{name}: the peer");
        let DiskContents::Occupied {
            what, protected, ..
        } = self.contents()
        else {
            panic!("{name}: {:?}", self.contents());
        };
        assert_eq!((what.as_str(), protected.as_deref()), (name, protected_as));
    }
}

#[test]
fn formats_made_by_their_own_tools_are_named_as_libblkid_names_them() {
    let workshop = Workshop::new();
    let luks = |kind| {
        let cheap = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
        [&["luksFormat", "-q", "--type", kind][..], &cheap].concat()
    };
    let (luks1, luks2) = (luks("luks1"), luks("luks2"));
    let tools: [(&str, &[&str], &str, &str); 13] = [
        ("mke2fs", &["-q", "-F", "-t", "ext4"], "ext2/3/4", "ext4"),
        ("mke2fs", &["-q", "-F", "-t", "ext2"], "ext2/3/4", "ext2"),
        ("mkswap", &["-q"], "swap", "swap"),
        ("mkfs.vfat", &["-F", "32"], "FAT", "vfat"),
        ("mkfs.vfat", &["-F", "16"], "FAT", "vfat"),
        ("mkfs.xfs", &["-q"], "XFS", "xfs"),
        ("mkfs.btrfs", &["-q"], "btrfs", "btrfs"),
        ("mkfs.f2fs", &["-q"], "F2FS", "f2fs"),
        ("mkfs.ntfs", &["-q", "-F", "-f"], "NTFS", "ntfs"),
        ("mkfs.exfat", &[], "exFAT", "exfat"),
        ("cryptsetup", &luks1, "LUKS", "crypto_LUKS"),
        ("cryptsetup", &luks2, "LUKS", "crypto_LUKS"),
        ("sgdisk", &["-n1"], "GPT partition table (1: empty)", ""),
    ];
    for (program, args, name, theirs) in tools {
        workshop.made(&format!("/sbin/{program}"), args, b"secret");
        let DiskContents::Occupied {
            what, protected, ..
        } = workshop.contents()
        else {
            panic!("{program}: {:?}", workshop.contents());
        };
        assert_eq!((what.as_str(), workshop.blkid().as_str()), (name, theirs));
        assert_eq!(protected.is_some(), name == "LUKS", "{program}");
    }
    // The first of LUKS2's two headers is gone; the second opens the volume still.
    workshop.made("/sbin/cryptsetup", &luks2, b"secret");
    let image = File::options().write(true).open(&workshop.image).unwrap();
    image.write_all_at(&[0; 4096], 0).unwrap();
    assert_eq!(
        (
            workshop.contents().to_string().as_str(),
            workshop.blkid().as_str()
        ),
        ("LUKS", "crypto_LUKS")
    );
}

/// A disk after wipefs(8) counts as blank.
#[test]
fn a_disk_that_was_wiped_with_the_tool_for_it_is_blank() {
    let workshop = Workshop::new();
    workshop.made("/sbin/mkswap", &["-q"], b"");
    let wiped = Command::new("/sbin/wipefs")
        .arg("-aq")
        .arg(&workshop.image)
        .status();
    assert!(wiped.unwrap().success());
    let DiskContents::Occupied { what, .. } = workshop.contents() else {
        panic!("{:?}", workshop.contents());
    };
    assert!(
        what.starts_with("unknown data"),
        "{what}: wipefs takes names away, not data"
    );
    let file = File::options().write(true).open(&workshop.image).unwrap();
    file.write_all_at(&vec![0; 1 << 20], 0).unwrap();
    assert_eq!(workshop.contents(), DiskContents::Blank);
}

type Pieces = Vec<(u64, Vec<u8>)>;

/// The reflected CRC of these polynomials, bit by bit.
fn crc32(polynomial: u32, start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            if sum & 1 == 1 {
                sum >> 1 ^ polynomial
            } else {
                sum >> 1
            }
        })
    })
}

/// The smallest physical volume: a label whose checksum is right.
fn lvm() -> Pieces {
    let mut sector = [0_u8; 512];
    sector[..8].copy_from_slice(b"LABELONE");
    sector[8] = 1;
    sector[20] = 32;
    sector[24..32].copy_from_slice(b"LVM2 001");
    sector[32..64].fill(b'u');
    let sum = crc32(0xEDB8_8320, 0xF597_A6CF, &sector[20..]);
    sector[16..20].copy_from_slice(&sum.to_le_bytes());
    vec![(512, sector.to_vec())]
}

/// A superblock of version 1 says where it stands.
fn md(offset: u64) -> Pieces {
    let mut sector = [0_u8; 512];
    sector[..4].copy_from_slice(&0xA92B_4EFC_u32.to_le_bytes());
    sector[4] = 1;
    sector[144..152].copy_from_slice(&(offset / 512).to_le_bytes());
    vec![(offset, sector.to_vec())]
}

fn stratis() -> Pieces {
    let mut sector = [0_u8; 512];
    sector[4..20].copy_from_slice(b"!Stra0tis\x86\xFF\x02^\x41rh");
    sector[32..96].fill(b'a');
    let sum = !crc32(0x82F6_3B78, !0, &sector[4..]);
    sector[..4].copy_from_slice(&sum.to_le_bytes());
    vec![(512, sector.to_vec())]
}

/// Words of 16 bits that add up to nothing.
fn jmicron() -> Pieces {
    vec![(SIZE - 512, b"JM\xB6\xB2".to_vec())]
}

/// Words of 32 bits, thirty of them, that add up to nothing.
fn nvidia() -> Pieces {
    let mut sector = [0_u8; 120];
    sector[..6].copy_from_slice(b"NVIDIA");
    sector[8] = 30;
    let words = sector.chunks_exact(4);
    let sum = words.fold(0_u32, |sum, word| {
        sum.wrapping_add(u32::from_le_bytes(word.try_into().unwrap()))
    });
    sector[12..16].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    vec![(SIZE - 1024, sector.to_vec())]
}

fn silicon() -> Pieces {
    let mut sector = [0_u8; 512];
    sector[0x63] = 0x2F;
    sector[0x13E..0x140].copy_from_slice(&0x2F00_u16.wrapping_neg().to_le_bytes());
    vec![(SIZE - 512, sector.to_vec())]
}

fn via() -> Pieces {
    let mut sector = [0_u8; 512];
    sector[..2].copy_from_slice(&[0x55, 0xAA]);
    sector[50] = 0xFF;
    vec![(SIZE - 512, sector.to_vec())]
}

fn zfs(label: u64) -> Pieces {
    let magic = 0x00BA_B10C_u64.to_le_bytes();
    let ring = label + 128 * 1024;
    (4..9)
        .map(|slot| (ring + slot * 1024, magic.to_vec()))
        .collect()
}

fn one(offset: u64, bytes: &[u8]) -> Pieces {
    vec![(offset, bytes.to_vec())]
}

/// Formats whose tools make nothing in a file, or are not to be had: made by hand, and libblkid has
/// to agree.
#[test]
fn members_made_by_hand_are_named_as_libblkid_names_them() {
    const LABEL: u64 = 256 * 1024;
    let workshop = Workshop::new();
    let promise = b"Promise Technology, Inc.";
    let bcache = b"\xC6\x85\x73\xF6\x4E\x1A\x45\xCA\x82\x65\xF5\x7F\x48\xBA\x6D\x81";
    let members: Vec<(&str, &str, Pieces)> = vec![
        ("LVM", "LVM2_member", lvm()),
        ("md RAID", "linux_raid_member", md(0)),
        ("md RAID", "linux_raid_member", md(4096)),
        ("md RAID", "linux_raid_member", md(SIZE - 8192)),
        (
            "md RAID",
            "linux_raid_member",
            one(SIZE - 65536, &0xA92B_4EFC_u32.to_le_bytes()),
        ),
        (
            "md RAID",
            "linux_raid_member",
            one(SIZE - 65536, &0xA92B_4EFC_u32.to_be_bytes()),
        ),
        ("BitLocker", "BitLocker", one(0, b"\xEB\x52\x90-FVE-FS-")),
        (
            "Ceph",
            "ceph_bluestore",
            one(0, b"bluestore block device\n"),
        ),
        (
            "VMFS",
            "VMFS_volume_member",
            one(1 << 20, b"\x0D\xD0\x01\xC0"),
        ),
        ("VMFS", "VMFS", one(2 << 20, b"\x5E\xF1\xAB\x2F")),
        ("ZFS", "zfs_member", zfs(0)),
        ("ZFS", "zfs_member", zfs(LABEL)),
        ("ZFS", "zfs_member", zfs(SIZE - 2 * LABEL)),
        ("ZFS", "zfs_member", zfs(SIZE - LABEL)),
        (
            "bcache",
            "bcache",
            vec![(4096 + 8, vec![8]), (4096 + 24, bcache.to_vec())],
        ),
        ("Stratis", "stratis", stratis()),
        ("Oracle ASM", "oracleasm", one(32, b"ORCLDISK")),
        ("VDO", "vdo", one(0, b"dmvdo001")),
        ("dm-integrity", "DM_integrity", one(0, b"integrt\0\x01")),
        ("DRBD", "drbd", one(SIZE - 4096 + 60, b"\x83\x74\x02\x6B")),
        ("DRBD", "drbd", one(SIZE - 4096 + 60, b"\x83\x74\x02\x6D")),
        (
            "IMSM RAID",
            "isw_raid_member",
            one(SIZE - 1024, b"Intel Raid ISM Cfg Sig. 1.1.00"),
        ),
        (
            "DDF RAID",
            "ddf_raid_member",
            one(SIZE - 512, b"\xDE\x11\xDE\x11"),
        ),
        (
            "DDF RAID",
            "ddf_raid_member",
            one(SIZE - 512, b"\x11\xDE\x11\xDE"),
        ),
        (
            "DDF RAID",
            "ddf_raid_member",
            one(SIZE - 257 * 512, b"\xDE\x11\xDE\x11"),
        ),
        (
            "Adaptec RAID",
            "adaptec_raid_member",
            vec![
                (SIZE - 512, b"\x37\xFC\x4D\x1E".to_vec()),
                (SIZE - 256, b"DPTM".to_vec()),
            ],
        ),
        (
            "HighPoint RAID",
            "hpt37x_raid_member",
            one(4640, b"\xF0\x16\x78\x5A"),
        ),
        (
            "HighPoint RAID",
            "hpt45x_raid_member",
            one(SIZE - 11 * 512, b"\xF3\x16\x78\x5A"),
        ),
        ("JMicron RAID", "jmicron_raid_member", jmicron()),
        (
            "LSI RAID",
            "lsi_mega_raid_member",
            one(SIZE - 512, b"$XIDE$"),
        ),
        ("NVIDIA RAID", "nvidia_raid_member", nvidia()),
        (
            "Promise RAID",
            "promise_fasttrack_raid_member",
            one(SIZE - 63 * 512, promise),
        ),
        (
            "Promise RAID",
            "promise_fasttrack_raid_member",
            one(SIZE - 991 * 512, promise),
        ),
        (
            "Silicon Image RAID",
            "silicon_medley_raid_member",
            silicon(),
        ),
        ("VIA RAID", "via_raid_member", via()),
    ];
    for (name, theirs, pieces) in members {
        workshop.must_agree(name, theirs, &pieces, Some(name));
    }
}

/// The same for file systems nobody deploys on.
#[test]
fn file_systems_made_by_hand_are_named_as_libblkid_names_them() {
    let workshop = Workshop::new();
    let cases: Vec<(&str, &str, Pieces)> = vec![
        ("ReFS", "ReFS", one(0, b"\0\0\0ReFS\0\0\0\0")),
        ("OCFS2", "ocfs2", one(1024, b"OCFSV2")),
        ("EROFS", "erofs", one(1024, b"\xE2\xE1\xF5\xE0")),
        ("ISO 9660", "iso9660", one(32768, b"\x01CD001\x01")),
        ("UFS", "ufs", one(8192 + 1372, b"\x54\x19\x01\0")),
        ("UFS", "ufs", one(65536 + 1372, b"\x19\x01\x54\x19")),
        (
            "GFS2",
            "gfs2",
            vec![
                (65536, b"\x01\x16\x19\x70".to_vec()),
                (65536 + 24, b"\0\0\x07\x09\0\0\x07\x6C".to_vec()),
            ],
        ),
        (
            "APFS",
            "apfs",
            vec![
                (24, vec![1, 0, 0, 0x80]),
                (32, b"NXSB".to_vec()),
                (37, vec![0x10]),
            ],
        ),
        (
            "squashfs",
            "squashfs",
            vec![(0, b"hsqs".to_vec()), (28, vec![4])],
        ),
        ("a hibernated system", "swsuspend", one(4086, b"S1SUSPEND")),
    ];
    for (name, theirs, pieces) in cases {
        workshop.must_agree(name, theirs, &pieces, None);
    }
}
