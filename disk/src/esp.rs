//! The EFI System Partition: a FAT32 made and filled on a slice of the disk; and read, where a
//! system was installed earlier.
//!
//! FAT32 whatever the size: UEFI 2.10 13.3.1.1 asks for it on fixed disks. Its few files are
//! written here too, not through a mount: a receiver then needs no vfat driver (containers and
//! small kernels have none), and the power-cut tests see the real thing.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use thiserror::Error;
use wire::outcome::Outcome;

use crate::disk::{Disk, SectorSize};
use crate::layout::{Layout, Partition, Role};
use crate::sizes;
use slice::Slice;

pub(crate) mod dot_entries;
mod reader;
mod slice;

pub use reader::{EspReader, Extent};

const LABEL: [u8; 11] = *b"ESP        ";
/// One cluster's worth of calls into the file system per read or write.
const COPY_BYTES: usize = 64 * 1024;

/// The ESP could not be made, written or read.
#[derive(Debug, Error)]
#[error("{action} {object} on the ESP of {disk}")]
pub struct EspError {
    /// `making`, `writing`, `reading`.
    pub action: &'static str,
    /// A path, or `FAT32`.
    pub object: String,
    /// Name of the disk.
    pub disk: String,
    /// A disk error, or what the file system said.
    #[source]
    pub source: io::Error,
}

impl EspError {
    /// The machine's problem: whether the packages' files fit is asked before
    /// ([`Esp::free_bytes`]).
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

/// Makes the planned ESP an empty FAT32. Not flushed.
///
/// # Errors
/// The plan has no ESP, or the disk failed.
pub fn format(disk: &mut dyn Disk, layout: &Layout) -> Result<(), EspError> {
    let name = disk.name().to_owned();
    let mut make = || {
        let partition = planned(layout)?;
        let options = FormatVolumeOptions::new()
            .fat_type(FatType::Fat32)
            .bytes_per_sector(match layout.sector {
                SectorSize::B512 => 512,
                SectorSize::B4096 => 4096,
            })
            .bytes_per_cluster(sizes::cluster_bytes(
                layout.len_bytes(partition),
                layout.sector,
            ))
            .volume_id(volume_id(partition))
            .volume_label(LABEL);
        let mut slice = Slice::new(disk, layout, partition);
        fatfs::format_volume(&mut slice, options)?;
        slice.seek(SeekFrom::Start(0))?;
        // The formatter leaves the count of free clusters unknown; counting them writes it on
        // unmount.
        let volume = FileSystem::new(&mut slice, FsOptions::new())?;
        volume.stats()?;
        volume.unmount()?;
        slice.write_back()
    };
    make().map_err(|source| whole("making", &name, source))
}

fn planned(layout: &Layout) -> io::Result<&Partition> {
    let none = || io::Error::new(ErrorKind::NotFound, "the layout has no ESP");
    layout.partition(Role::Esp).ok_or_else(none)
}

/// Lends the ESP that [`format()`] made. What `work` wrote is on the disk when this returns, and
/// durable after the disk's next flush.
///
/// # Errors
/// The disk failed, what is there is no FAT, or whatever `work` says.
pub fn with<T, E: From<EspError>>(
    disk: &mut dyn Disk,
    layout: &Layout,
    work: impl FnOnce(&Esp<'_, '_>) -> Result<T, E>,
) -> Result<T, E> {
    let disk_name = disk.name().to_owned();
    let partition = planned(layout).map_err(|source| whole("opening", &disk_name, source))?;
    let mut slice = Slice::new(disk, layout, partition);
    let answer = lend(&mut slice, &disk_name, work)?;
    dot_entries::mend(&mut slice)
        .and_then(|()| slice.write_back())
        .map_err(|source| whole("closing", &disk_name, source))?;
    Ok(answer)
}

fn lend<T, E: From<EspError>>(
    slice: &mut Slice<'_>,
    disk_name: &str,
    work: impl FnOnce(&Esp<'_, '_>) -> Result<T, E>,
) -> Result<T, E> {
    let esp = Esp {
        volume: FileSystem::new(slice, FsOptions::new())
            .map_err(|source| whole("opening", disk_name, source))?,
        disk_name,
    };
    let answer = work(&esp)?;
    // Writes the count of free clusters and the mark that the volume is clean.
    esp.volume
        .unmount()
        .map_err(|source| whole("closing", disk_name, source))?;
    Ok(answer)
}

/// An error of the file system as a whole.
fn whole(action: &'static str, disk_name: &str, source: io::Error) -> EspError {
    EspError {
        action,
        object: "FAT32".to_owned(),
        disk: disk_name.to_owned(),
        source,
    }
}

/// An ESP whose files can be read and written.
pub struct Esp<'s, 'd> {
    volume: FileSystem<&'s mut Slice<'d>>,
    disk_name: &'s str,
}

impl Esp<'_, '_> {
    /// Room for contents of files, in bytes; each file takes whole clusters of it.
    ///
    /// # Errors
    /// The disk failed.
    pub fn free_bytes(&self) -> Result<u64, EspError> {
        let stats = self.volume.stats();
        let stats = stats.map_err(|source| self.error("measuring", "FAT32", source))?;
        Ok(u64::from(stats.free_clusters()).saturating_mul(u64::from(stats.cluster_size())))
    }

    /// The bytes of [`Esp::free_bytes`] that a file of this length takes.
    #[must_use]
    pub fn taken_bytes(&self, len_bytes: u64) -> u64 {
        let cluster = u64::from(self.volume.cluster_size()).max(1);
        len_bytes.div_ceil(cluster).saturating_mul(cluster)
    }

    /// Makes the directory and those above it; they may exist.
    ///
    /// # Errors
    /// The disk failed, or a file is in the way.
    pub fn make_directories(&self, path: &str) -> Result<(), EspError> {
        let mut directory = self.volume.root_dir();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            directory = directory
                .create_dir(part)
                .map_err(|source| self.error("making", path, source))?;
        }
        Ok(())
    }

    /// Makes a file, or replaces it. Its directory must exist. The second error of the result is
    /// `content`'s own.
    ///
    /// # Errors
    /// The disk failed or is full.
    pub fn write(&self, path: &str, content: &mut dyn Read) -> Result<io::Result<()>, EspError> {
        let failed = |source| self.error("writing", path, source);
        let mut file = self.volume.root_dir().create_file(path).map_err(failed)?;
        file.truncate().map_err(failed)?;
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            let len = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(error)),
            };
            file.write_all(buffer.get(..len).unwrap_or_default())
                .map_err(failed)?;
        }
        file.flush().map_err(failed)?;
        Ok(Ok(()))
    }

    /// Copies a file's content to `into`; returns its length in bytes. Beyond tests, [`EspReader`]
    /// reads.
    ///
    /// # Errors
    /// There is no such file, the disk failed, or `into` did.
    #[cfg(any(test, feature = "fakes"))]
    pub fn read(&self, path: &str, into: &mut dyn Write) -> Result<u64, EspError> {
        self.volume
            .root_dir()
            .open_file(path)
            .and_then(|mut file| io::copy(&mut file, into))
            .map_err(|source| self.error("reading", path, source))
    }

    fn error(&self, action: &'static str, object: &str, source: io::Error) -> EspError {
        EspError {
            action,
            object: object.to_owned(),
            disk: self.disk_name.to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EspReader, format, volume_id_text, with};
    use crate::contents::PartitionRef;
    use crate::disk::SectorSize;
    use crate::fakes::memory_disk::MemoryDisk;
    use crate::layout::{Role, plan};
    use crate::sizes::{Sizes, Swap};
    use std::process::Command;
    use tempfile::TempDir;
    use uuid::Uuid;

    #[test]
    fn fsck_and_blkid_find_it_clean_with_both_sector_sizes() {
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("esp");
        for (sector, esp_mib) in [
            (SectorSize::B512, 512),
            (SectorSize::B4096, 512),
            (SectorSize::B512, 64),
            (SectorSize::B512, 261),
            (SectorSize::B4096, 262),
            (SectorSize::B512, 5000),
        ] {
            let sizes = Sizes {
                esp_bytes: Some(esp_mib << 20),
                swap: Swap::None,
                ..Sizes::USUAL
            };
            let mut fresh_id = || Uuid::from_u128(0x1a2b_3c4d << 96);
            let layout = plan(6 << 30, sector, sizes, &mut fresh_id).unwrap();
            let esp = layout.partition(Role::Esp).unwrap();
            let mut disk = MemoryDisk::new(6 << 30, sector);
            // Leftovers of an earlier file system must not show through.
            disk.put(layout.offset_bytes(esp), &vec![0xE5; 3 << 20]);
            format(&mut disk, &layout).unwrap();
            let long = vec![0x5A; 700_001];
            with(&mut disk, &layout, |esp| {
                esp.make_directories("EFI/smechvisor")?;
                esp.make_directories("EFI/BOOT")?;
                esp.write("EFI/BOOT/BOOTX64.EFI", &mut long.as_slice())?
                    .unwrap();
                esp.write("EFI/smechvisor/grub.cfg", &mut &b"set timeout=3"[..])?
                    .unwrap();
                // Replaced by a shorter one.
                esp.write("EFI/smechvisor/grub.cfg", &mut &b"set"[..])
            })
            .unwrap()
            .unwrap();
            let read = |disk: &mut MemoryDisk, path: &str| {
                let mut content = Vec::new();
                with(disk, &layout, |esp| esp.read(path, &mut content)).unwrap();
                content
            };
            assert_eq!(read(&mut disk, "EFI/BOOT/BOOTX64.EFI"), long);
            assert_eq!(read(&mut disk, "efi/SMECHVISOR/grub.cfg"), b"set");
            let partition = PartitionRef {
                number: esp.number,
                first_lba: esp.first_lba,
                sectors: esp.sectors,
                guid: esp.guid,
            };
            let mut again = Vec::new();
            let mut reader = EspReader::open(&mut disk, &partition).unwrap();
            reader
                .read("EFI/BOOT/BOOTX64.EFI", &mut again, 1 << 20)
                .unwrap();
            assert_eq!(again, long);
            let error = with(&mut disk, &layout, |esp| esp.read("none", &mut Vec::new()));
            assert_eq!(
                error.unwrap_err().to_string(),
                "reading none on the ESP of memory"
            );
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
                fsck.contains("6 files, ") && fsck.contains("32 bit entries"),
                "{esp_mib} MiB: {fsck}"
            );
            let is_usual = esp_mib == 512;
            assert!(!is_usual || fsck.contains("6 files, 176/"), "{fsck}");
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
