//! A disk that writes down what was done to it, file systems that are plain directories, and
//! streams to deploy.

use disk::contents::signatures;
use disk::disk::{Disk, DiskError, SectorSize};
use disk::fakes::grub_images;
use disk::fakes::memory_disk::MemoryDisk;
use disk::layout::{self, Layout, Role};
use disk::sizes::MIB;
use disk::sizes::Sizes;
use disk::volumes::{Volumes, VolumesError};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// An operation on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Write(u64, Vec<u8>),
    /// From where on, and how many bytes.
    Zero(u64, u64),
    Flush,
}

/// Remembers every operation; one of them may fail.
pub struct Recorder {
    pub disk: MemoryDisk,
    pub log: Vec<Op>,
    pub fail_at: Option<usize>,
}

impl Recorder {
    pub fn new(disk: MemoryDisk) -> Self {
        Self {
            disk,
            log: Vec::new(),
            fail_at: None,
        }
    }

    fn step(&mut self, action: &'static str, op: Op) -> Result<(), DiskError> {
        let number = self.log.len();
        self.log.push(op);
        if self.fail_at == Some(number) {
            let source = io::Error::other("the disk is broken");
            return Err(DiskError {
                action,
                disk: "fake".to_owned(),
                offset: 0,
                len: 0,
                source,
            });
        }
        Ok(())
    }
}

impl Disk for Recorder {
    fn name(&self) -> &str {
        "fake"
    }
    fn size_bytes(&self) -> u64 {
        self.disk.size_bytes()
    }
    fn sector_size(&self) -> SectorSize {
        self.disk.sector_size()
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.disk.read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), DiskError> {
        self.step("writing", Op::Write(offset, buf.to_vec()))?;
        self.disk.write_at(offset, buf)
    }
    fn zero_at(&mut self, offset: u64, len_bytes: u64) -> Result<(), DiskError> {
        self.step("writing", Op::Zero(offset, len_bytes))?;
        self.disk.zero_at(offset, len_bytes)
    }
    fn flush(&mut self) -> Result<(), DiskError> {
        self.step("flushing", Op::Flush)?;
        self.disk.flush()
    }
}

/// The root as a directory; unmounting writes all it holds into its partition.
pub struct PlainVolumes {
    base: PathBuf,
    layout: Option<Layout>,
    pub is_mounted: bool,
}

impl PlainVolumes {
    pub fn new(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
            layout: None,
            is_mounted: false,
        }
    }
}

fn failed(source: DiskError) -> VolumesError {
    VolumesError {
        action: "writing",
        object: "a fake volume".to_owned(),
        source: Box::new(source),
    }
}

impl Volumes for PlainVolumes {
    fn mount(&mut self, disk: &mut dyn Disk, layout: &Layout) -> Result<OwnedFd, VolumesError> {
        let root = layout.files().unwrap();
        // mke2fs leaves something behind at once.
        disk.write_at(layout.offset_bytes(root), &[0xEF; 4096])
            .map_err(failed)?;
        let root = self.base.join("root");
        fs::create_dir(&root).unwrap();
        self.layout = Some(layout.clone());
        self.is_mounted = true;
        Ok(fs::File::open(root).unwrap().into())
    }

    fn unmount(&mut self, disk: &mut dyn Disk, root: OwnedFd) -> Result<(), VolumesError> {
        drop(root);
        self.is_mounted = false;
        let layout = self.layout.take().unwrap();
        let mut content = Vec::new();
        serialise(&self.base.join("root"), &mut content);
        content.resize(content.len().next_multiple_of(4096), 0);
        let partition = layout.files().unwrap();
        let mut offset = layout.offset_bytes(partition) + CONTENT_OFFSET;
        for chunk in content.chunks(16 * 1024) {
            disk.write_at(offset, chunk).map_err(failed)?;
            offset += chunk.len() as u64;
        }
        disk.flush().map_err(failed)
    }
}

/// Behind the file system's own structures.
pub const CONTENT_OFFSET: u64 = 4 * MIB;

/// Paths, lengths and contents, in order.
fn serialise(directory: &Path, into: &mut Vec<u8>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        into.extend_from_slice(path.file_name().unwrap().as_encoded_bytes());
        if path.is_dir() {
            into.push(b'/');
            serialise(&path, into);
        } else {
            let content = fs::read(&path).unwrap();
            into.extend_from_slice(format!("={}:", content.len()).as_bytes());
            into.extend_from_slice(&content);
        }
        into.push(b'\n');
    }
}

/// A package of these files.
pub fn package(files: &[(&str, &[u8])]) -> Vec<u8> {
    let owner = fs::metadata(std::env::current_exe().unwrap()).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(u64::from(owner.uid()));
        header.set_gid(u64::from(owner.gid()));
        header.set_mtime(1);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let mut xz = liblzma::read::XzEncoder::new(tar.as_slice(), 1);
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut xz, &mut bytes).unwrap();
    bytes
}

pub fn base_package() -> Vec<u8> {
    // Not compressible, so that the kernel spans several writes.
    let mut contents = 1_u32;
    let kernel: Vec<u8> = (0..50_000)
        .map(|_| (next(&mut contents) >> 24) as u8)
        .collect();
    package(&[
        ("boot/vmlinuz-6.12", &kernel),
        ("etc/fstab", b"/dev/sda1 / ext3 defaults 0 1\n"),
        ("etc/os-release", b"PRETTY_NAME=Test\n"),
    ])
}

pub fn grub_package() -> Vec<u8> {
    package(&[
        ("usr/lib/smechvisor/grub/grubx64.efi", b"MZ"),
        ("usr/lib/smechvisor/grub/boot.img", &grub_images::boot_img()),
        (
            "usr/lib/smechvisor/grub/core.img",
            &grub_images::core_img(40_000),
        ),
    ])
}

/// As a donor sends them.
pub fn stream(packages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, data) in packages {
        let name = wire::stream::PackageName::parse(name.as_bytes()).unwrap();
        bytes.extend_from_slice(&wire::stream::header(&name, data.len() as u64).unwrap());
        bytes.extend_from_slice(data);
    }
    bytes.extend_from_slice(&wire::stream::TERMINATOR);
    bytes
}

pub fn whole_stream() -> Vec<u8> {
    stream(&[
        ("smechvisor-base.tar.xz", base_package()),
        ("bootloader-grub.tar.xz", grub_package()),
    ])
}

/// Signatures at the ends of an area, as many as do not overlap, the earlier of the table's rows
/// first: those of the first round. The next round has those that did not fit, and so on until each
/// has had its turn.
pub fn rounds(len_bytes: u64) -> Vec<Vec<(u64, &'static [u8])>> {
    let mut rounds: Vec<Vec<(u64, &'static [u8])>> = Vec::new();
    for (_, at, magic) in signatures::known(len_bytes) {
        let fits = |round: &Vec<(u64, &[u8])>| {
            let mut others = round.iter();
            others.all(|(other, bytes)| {
                at + magic.len() as u64 <= *other || other + bytes.len() as u64 <= at
            })
        };
        match rounds.iter_mut().find(|round| fits(round)) {
            Some(round) => round.push((at, magic)),
            None => rounds.push(vec![(at, magic)]),
        }
    }
    rounds
}

/// Puts the signatures of a round at the ends of each planned partition but the gap.
pub fn sign(disk: &mut MemoryDisk, layout: &Layout, round: usize) {
    for partition in &layout.partitions {
        let (start, len_bytes) = (layout.offset_bytes(partition), layout.len_bytes(partition));
        let rounds = rounds(len_bytes);
        if let Some(round) = rounds.get(round)
            && partition.role != Role::BiosBoot
        {
            for (at, magic) in round {
                disk.put(start + at, magic);
            }
        }
    }
}

/// The layout that a deploy plans, with identities of no importance.
pub fn planned(disk: &MemoryDisk, sizes: Sizes) -> Layout {
    layout::plan(disk.size_bytes(), disk.sector(), sizes, &mut Uuid::nil).unwrap()
}

/// A disk that boots an old system: boot code, GPT at both ends, an old file system's signature in
/// the gap, and others at the ends of its partitions, which began and ended where ours do.
pub fn old_disk(size_bytes: u64, sector: SectorSize) -> MemoryDisk {
    let mut disk = MemoryDisk::new(size_bytes, sector);
    disk.put(0, &[0xCC; 440]);
    disk.put(450, &[0xEE]);
    disk.put(510, &[0x55, 0xAA]);
    disk.put(sector.bytes(), b"EFI PART old");
    disk.put(size_bytes - sector.bytes(), b"EFI PART old");
    disk.put(65536 + 64, b"_BHRfS_M");
    disk.put(300 * MIB, b"old contents");
    let layout = planned(&disk, Sizes::USUAL);
    sign(&mut disk, &layout, 0);
    disk
}

/// Xorshift: small, seeded, good enough to choose sectors.
pub fn next(contents: &mut u32) -> u32 {
    *contents ^= *contents << 13;
    *contents ^= *contents >> 17;
    *contents ^= *contents << 5;
    *contents
}
