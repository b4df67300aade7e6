//! The partitions of a node with two slots, opened: the ESP and the slot that does not run to be
//! written, the slot that runs to be read (`slot.md` 1).
//!
//! In: what slot-init says that runs, the partition table, sysfs. Out: [`SlotDisks`]. A partition
//! is opened only when number, type and name in the table, and place and device number in the
//! kernel, are those of a disk that a deploy has made. Which slot may be written is an [`Idle`],
//! and it is made of what runs alone: opening the running one for writing does not compile. Besides
//! it is claimed with `O_EXCL`, which the kernel refuses for what is in use. Nothing is mounted.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use disk::contents::{PartitionRef, own_partitions};
use disk::disk::{Disk, DiskError, Medium, SectorSize};
use disk::layout::Role;
use thiserror::Error;
use wire::outcome::Outcome;
use wire::record::Slot;
use wire::running::Running;

use crate::blockdisk::{BlockDisk, Kind};
use crate::disks::IMAGE_SECTOR;
use crate::written::Written;

/// Where the kernel lists block devices, partitions too.
pub const SYS_CLASS_BLOCK: &str = "/sys/class/block";
/// sysfs counts in these, whatever the disk's sectors are.
const SYSFS_SECTOR: u64 = 512;

/// The slot that does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle(Slot);

impl Idle {
    /// The one beside what runs.
    #[must_use]
    pub const fn beside(running: &Running<'_>) -> Self {
        Self(running.slot.other())
    }

    /// Which one.
    #[must_use]
    pub const fn slot(self) -> Slot {
        self.0
    }
}

/// What the partitions are opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every write fails, and others may do what they like meanwhile.
    Look,
    /// ESP and idle slot are claimed and written.
    Change,
}

/// The partitions of a node.
#[derive(Debug)]
pub struct SlotDisks {
    /// With the boot record. Not mounted.
    pub esp: PartitionDisk,
    /// What runs; every write fails.
    pub running: PartitionDisk,
    /// What does not.
    pub idle: PartitionDisk,
    /// Which slot that is.
    pub idle_slot: Idle,
}

impl SlotDisks {
    /// ESP, slot A and slot B, whichever of them runs.
    pub fn parts(&mut self) -> (&mut PartitionDisk, &mut PartitionDisk, &mut PartitionDisk) {
        match self.idle_slot.slot() {
            Slot::A => (&mut self.esp, &mut self.idle, &mut self.running),
            Slot::B => (&mut self.esp, &mut self.running, &mut self.idle),
        }
    }
}

/// One partition as a disk.
#[derive(Debug)]
pub struct PartitionDisk {
    disk: BlockDisk,
    /// The kernel's numbers about it; an image file has none.
    stat: Option<PathBuf>,
    name: String,
    /// From the start of `disk`: 0 unless that is an image file, which has no partition devices.
    offset: u64,
    len_bytes: u64,
}

/// A partition is not opened.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SlotDisksError {
    /// The disk, or one of its partitions.
    #[error("opening the partitions of {disk}")]
    Disk {
        disk: String,
        #[source]
        source: DiskError,
    },
    /// Its entry is missing, or has another number, type or name.
    #[error("{disk} has no partition {number} with the type and name of the {what} of a deploy")]
    Missing {
        disk: String,
        number: u32,
        what: What,
    },
    /// The kernel has another table in mind than is on the disk.
    #[error(
        "the kernel does not know partition {number} of {disk} as the table on the disk has it"
    )]
    Kernel { disk: String, number: u32 },
    /// sysfs.
    #[error("looking for partition {number} of {disk} in {}", path.display())]
    Sysfs {
        disk: String,
        number: u32,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The path leads elsewhere by now.
    #[error("{} leads to another device than partition {number} of {disk}", path.display())]
    Other {
        disk: String,
        number: u32,
        path: PathBuf,
    },
}

impl SlotDisksError {
    /// The machine's problem.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// What a partition of a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// EFI system partition.
    Esp,
    /// A slot.
    Slot(Slot),
}

impl What {
    const fn role(self) -> Role {
        match self {
            What::Esp => Role::Esp,
            What::Slot(slot) => Role::Slot(slot),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Esp => f.write_str("ESP"),
            What::Slot(slot) => write!(f, "slot {slot}"),
        }
    }
}

/// Opens the partitions of what runs. `root` is `/` and `sys` is [`SYS_CLASS_BLOCK`] but in tests;
/// the disk may be an image file.
///
/// # Errors
/// See [`SlotDisksError`]. Nothing was written.
pub fn open(
    running: &Running<'_>,
    access: Access,
    root: &Path,
    sys: &Path,
) -> Result<SlotDisks, SlotDisksError> {
    let name = running.disk;
    let path = root.join(name.trim_start_matches('/'));
    let failed = |source| SlotDisksError::Disk {
        disk: name.to_owned(),
        source,
    };
    let mut whole = BlockDisk::open_to_read(&path, IMAGE_SECTOR).map_err(failed)?;
    let own = own_partitions(&mut whole).map_err(failed)?;
    let idle_slot = Idle::beside(running);
    let is_image = whole.kind() == Kind::Image;
    let writable = (is_image && access == Access::Change)
        .then(|| BlockDisk::open_image_to_write(&path, IMAGE_SECTOR));
    let disk = Whole {
        name,
        writable: writable.transpose().map_err(failed)?,
        whole,
        sys,
        own,
    };
    Ok(SlotDisks {
        esp: disk.open(What::Esp, access)?,
        running: disk.open(What::Slot(running.slot), Access::Look)?,
        idle: disk.open(What::Slot(idle_slot.slot()), access)?,
        idle_slot,
    })
}

/// The whole disk, while its partitions are looked for.
struct Whole<'a> {
    /// As slot-init knows it.
    name: &'a str,
    whole: BlockDisk,
    /// An image file, opened once for all that is written.
    writable: Option<BlockDisk>,
    sys: &'a Path,
    own: Vec<(Role, PartitionRef)>,
}

impl Whole<'_> {
    fn open(&self, what: What, access: Access) -> Result<PartitionDisk, SlotDisksError> {
        let number = what.role().number();
        let mut own = self.own.iter();
        let entry = own.find(|(role, entry)| *role == what.role() && entry.number == number);
        let Some((_, entry)) = entry else {
            return Err(SlotDisksError::Missing {
                disk: self.name.to_owned(),
                number,
                what,
            });
        };
        let sector = self.whole.sector_size();
        let (offset, len_bytes) = (
            entry.first_lba.saturating_mul(sector.bytes()),
            entry.sectors.saturating_mul(sector.bytes()),
        );
        if self.whole.kind() == Kind::Device {
            return self.open_device(number, access, offset, len_bytes);
        }
        let writable = self.writable.as_ref().filter(|_| access == Access::Change);
        let image = writable.unwrap_or(&self.whole).try_clone();
        Ok(PartitionDisk {
            disk: image.map_err(|source| self.cloning(source))?,
            stat: None,
            name: format!("{what} of {}", self.name),
            offset,
            len_bytes,
        })
    }

    fn open_device(
        &self,
        number: u32,
        access: Access,
        offset: u64,
        len_bytes: u64,
    ) -> Result<PartitionDisk, SlotDisksError> {
        let disk = || self.name.to_owned();
        let name = self.whole.path().file_name().unwrap_or_default();
        let sys = self.sys.join(name);
        let found = child(&sys, number).map_err(|source| SlotDisksError::Sysfs {
            disk: disk(),
            number,
            path: sys.clone(),
            source,
        })?;
        let is_same = |found: &Child| (found.offset, found.len_bytes) == (offset, len_bytes);
        let found = found
            .filter(is_same)
            .ok_or_else(|| SlotDisksError::Kernel {
                disk: disk(),
                number,
            })?;
        let path = self.whole.path().with_file_name(&found.name);
        let opened = BlockDisk::open_partition(&path, access == Access::Change);
        let opened = opened.map_err(|source| SlotDisksError::Disk {
            disk: disk(),
            source,
        })?;
        if opened.device_number().ok().flatten() != Some(found.device) {
            return Err(SlotDisksError::Other {
                disk: disk(),
                number,
                path,
            });
        }
        Ok(PartitionDisk {
            name: path.display().to_string(),
            disk: opened,
            stat: Some(sys.join(&found.name).join("stat")),
            offset: 0,
            len_bytes,
        })
    }

    fn cloning(&self, source: io::Error) -> SlotDisksError {
        SlotDisksError::Disk {
            disk: self.name.to_owned(),
            source: DiskError {
                action: "opening",
                disk: self.name.to_owned(),
                offset: 0,
                len: 0,
                source,
            },
        }
    }
}

/// A partition as sysfs has it.
#[derive(Debug, PartialEq, Eq)]
struct Child {
    /// `vda3`, `nvme0n1p3`.
    name: String,
    /// In bytes from the start of the disk.
    offset: u64,
    len_bytes: u64,
    /// Major and minor number.
    device: (u32, u32),
}

/// The partition with this number, by its attribute and not by its name: `vda3` and `nvme0n1p3` are
/// named by different rules.
fn child(sys: &Path, number: u32) -> io::Result<Option<Child>> {
    for entry in fs::read_dir(sys)? {
        let path = entry?.path();
        let read = |attribute: &str| fs::read_to_string(path.join(attribute)).ok();
        let number_of = |attribute| read(attribute)?.trim().parse::<u64>().ok();
        if number_of("partition") != Some(number.into()) {
            continue; // an attribute, or another one
        }
        let named = || {
            let device = read("dev")?;
            let (major, minor) = device.trim().split_once(':')?;
            Some(Child {
                name: path.file_name()?.to_str()?.to_owned(),
                offset: number_of("start")?.saturating_mul(SYSFS_SECTOR),
                len_bytes: number_of("size")?.saturating_mul(SYSFS_SECTOR),
                device: (major.parse().ok()?, minor.parse().ok()?),
            })
        };
        return Ok(named());
    }
    Ok(None)
}

impl PartitionDisk {
    /// Where writes to it can be seen.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn written(&self) -> io::Result<Written> {
        Ok(match &self.stat {
            Some(path) => Written::Counted(path.clone()),
            None => Written::Dated(self.disk.try_clone_file()?),
        })
    }

    fn within(&self, action: &'static str, offset: u64, len: u64) -> Result<u64, DiskError> {
        let end = offset.checked_add(len);
        let is_inside = end.is_some_and(|end| end <= self.len_bytes);
        let at = self.offset.checked_add(offset).filter(|_| is_inside);
        at.ok_or_else(|| DiskError {
            action,
            disk: self.name.clone(),
            offset,
            len: usize::try_from(len).unwrap_or(usize::MAX),
            source: io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the partition ends at byte {}", self.len_bytes),
            ),
        })
    }
}

impl Disk for PartitionDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn sector_size(&self) -> SectorSize {
        self.disk.sector_size()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let at = self.within("reading", offset, buf.len() as u64)?;
        self.disk.read_at(at, buf)
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), DiskError> {
        let at = self.within("writing", offset, buf.len() as u64)?;
        self.disk.write_at(at, buf)
    }

    fn zero_at(&mut self, offset: u64, len_bytes: u64) -> Result<(), DiskError> {
        let at = self.within("clearing", offset, len_bytes)?;
        self.disk.zero_at(at, len_bytes)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.disk.flush()
    }

    fn forget_cache(&mut self) -> Result<(), DiskError> {
        self.disk.forget_cache()
    }

    fn begin_flush(&mut self, offset: u64, len_bytes: u64) {
        if let Ok(at) = self.within("writing", offset, len_bytes) {
            self.disk.begin_flush(at, len_bytes);
        }
    }

    fn medium(&self) -> Result<Option<Box<dyn Medium + Send>>, DiskError> {
        let area = (self.offset, self.len_bytes);
        let opened = self.disk.open_medium(self.name.clone(), area)?;
        Ok(Some(Box::new(opened)))
    }
}

#[cfg(test)]
mod tests;
