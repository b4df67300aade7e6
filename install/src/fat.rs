//! The FAT32 of the EFI System Partition, made on a slice of the disk.
//!
//! FAT32 whatever the size: UEFI 2.10 13.3.1.1 asks for it on fixed disks. Its files are written later, by the kernel's vfat.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use thiserror::Error;
use wire::outcome::Outcome;

use crate::disk::{Disk, SectorSize};
use crate::layout::{Layout, Partition};

/// 131072 clusters on 512 MiB: FAT32 by the count alone, with both sector sizes.
const CLUSTER_BYTES: u32 = 4096;
const LABEL: [u8; 11] = *b"ESP        ";
/// What is read or written at once; the formatter itself works in pieces of 512 bytes and less.
const CHUNK: u64 = 64 * 1024;

/// The ESP could not be made.
#[derive(Debug, Error)]
#[error("making FAT32 on partition {number} of {disk}")]
pub struct FatError {
    /// Number of the partition.
    pub number: u32,
    /// Name of the disk.
    pub disk: String,
    /// A disk error, or what the formatter said.
    #[source]
    pub source: io::Error,
}

impl FatError {
    /// The machine's problem.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// The volume serial number of a FAT partition.
#[must_use]
pub fn volume_id(partition: &Partition) -> u32 {
    let [a, b, c, d, ..] = *partition.content_id.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The serial number as Linux shows it and fstab wants it: `UUID=1A2B-3C4D`.
#[must_use]
pub fn volume_id_text(partition: &Partition) -> String {
    let id = volume_id(partition);
    format!("{:04X}-{:04X}", id >> 16, id & 0xFFFF)
}

/// Makes `partition` an empty FAT32. Not flushed.
///
/// # Errors
/// The disk failed.
pub fn format(disk: &mut dyn Disk, layout: &Layout, partition: &Partition) -> Result<(), FatError> {
    let name = disk.name().to_owned();
    let sector_bytes = match layout.sector {
        SectorSize::B512 => 512,
        SectorSize::B4096 => 4096,
    };
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_sector(sector_bytes)
        .bytes_per_cluster(CLUSTER_BYTES)
        .volume_id(volume_id(partition))
        .volume_label(LABEL);
    let mut slice = Slice::new(
        disk,
        layout.offset_bytes(partition),
        layout.len_bytes(partition),
    );
    let make = || {
        fatfs::format_volume(&mut slice, options)?;
        slice.seek(SeekFrom::Start(0))?;
        // The formatter leaves the count of free clusters unknown; counting them writes it on unmount.
        let volume = FileSystem::new(&mut slice, FsOptions::new())?;
        volume.stats()?;
        volume.unmount()?;
        slice.write_back()
    };
    make().map_err(|source| FatError {
        number: partition.number,
        disk: name,
        source,
    })
}

/// Bytes of one partition as a seekable stream; one chunk at a time is in memory.
struct Slice<'a> {
    disk: &'a mut dyn Disk,
    start: u64,
    len: u64,
    position: u64,
    /// Offset of `chunk` in the slice, when one is loaded.
    loaded: Option<u64>,
    chunk: Vec<u8>,
    is_dirty: bool,
}

impl<'a> Slice<'a> {
    fn new(disk: &'a mut dyn Disk, start: u64, len: u64) -> Self {
        Self {
            disk,
            start,
            len,
            position: 0,
            loaded: None,
            chunk: Vec::new(),
            is_dirty: false,
        }
    }

    fn write_back(&mut self) -> io::Result<()> {
        if let Some(at) = self.loaded.filter(|_| self.is_dirty) {
            self.disk
                .write_at(self.start.saturating_add(at), &self.chunk)
                .map_err(io::Error::other)?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// The bytes from the position to the end of its chunk.
    fn here(&mut self) -> io::Result<&mut [u8]> {
        let at = self.position / CHUNK * CHUNK;
        if self.loaded != Some(at) {
            self.write_back()?;
            self.loaded = None;
            let len = CHUNK.min(self.len.saturating_sub(at));
            self.chunk.resize(usize::try_from(len).unwrap_or(0), 0);
            if len > 0 {
                self.disk
                    .read_at(self.start.saturating_add(at), &mut self.chunk)
                    .map_err(io::Error::other)?;
            }
            self.loaded = Some(at);
        }
        let from = usize::try_from(self.position.saturating_sub(at)).unwrap_or(usize::MAX);
        Ok(self.chunk.get_mut(from..).unwrap_or_default())
    }
}

impl Read for Slice<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.here()?.as_ref().read(buf)?;
        self.position = self.position.saturating_add(len as u64);
        Ok(len)
    }
}

impl Write for Slice<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = self.here()?.write(buf)?;
        self.is_dirty = self.is_dirty || len > 0;
        self.position = self.position.saturating_add(len as u64);
        Ok(len)
    }

    /// The formatter calls this often; what counts is [`Slice::write_back`] and the caller's own flush.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Slice<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position
            .filter(|at| *at <= self.len)
            .ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::{format, volume_id_text};
    use crate::disk::SectorSize;
    use crate::layout::{Role, plan};
    use crate::memory_disk::MemoryDisk;
    use crate::test_dir::TestDir;
    use std::process::Command;
    use uuid::Uuid;

    #[test]
    fn fsck_and_blkid_find_it_clean_with_both_sector_sizes() {
        let dir = TestDir::new("fat");
        let image = dir.path().join("esp");
        for sector in [SectorSize::B512, SectorSize::B4096] {
            let layout = plan(2 << 30, sector, &mut || Uuid::from_u128(0x1a2b_3c4d << 96)).unwrap();
            let esp = layout.partition(Role::Esp).unwrap();
            let mut disk = MemoryDisk::new(2 << 30, sector);
            // Leftovers of an earlier file system must not show through.
            disk.put(layout.offset_bytes(esp), &vec![0xE5; 3 << 20]);
            format(&mut disk, &layout, esp).unwrap();
            disk.save_part(&image, layout.offset_bytes(esp), layout.len_bytes(esp));

            let run = |program: &str, args: &[&str]| {
                let output = Command::new(program)
                    .args(args)
                    .arg(&image)
                    .output()
                    .unwrap();
                let text = String::from_utf8_lossy(&output.stdout)
                    + String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{program} with {sector:?}: {text}");
                text.into_owned()
            };
            let fsck = run("/sbin/fsck.vfat", &["-n", "-v"]);
            assert!(
                fsck.contains("1 files, 1/") && fsck.contains("32 bit entries"),
                "{fsck}"
            );
            for complaint in ["ninitialized", "wrong", "ifferences", "irty"] {
                assert!(!fsck.contains(complaint), "{complaint}: {fsck}");
            }
            let blkid = run("/sbin/blkid", &["-p", "-o", "export"]);
            assert_eq!(volume_id_text(esp), "1A2B-3C4D");
            for line in ["VERSION=FAT32", "UUID=1A2B-3C4D", "LABEL=ESP", "TYPE=vfat"] {
                assert!(blkid.lines().any(|found| found == line), "{line}: {blkid}");
            }
        }
    }
}
