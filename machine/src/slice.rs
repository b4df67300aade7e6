//! A partition as a block device while no table describes it yet: a BLKPG partition of a disk, a
//! loop device over an image.
//!
//! Dropping a slice takes it back from the kernel, so an error anywhere leaves none behind.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use disk::layout::{Layout, Partition};
use rustix::fs::{Mode, OFlags, open};
use sys::loopdev::LoopDevice;

use crate::blockdisk::{BlockDisk, Kind};

/// A planned partition that the kernel knows.
#[derive(Debug)]
pub enum Slice {
    /// Of a block device, added with BLKPG.
    Partition(KernelPartition),
    /// Of an image file.
    Loop(LoopDevice),
}

/// A partition that exists in the kernel only; forgotten on drop.
#[derive(Debug)]
pub struct KernelPartition {
    disk: File,
    number: u32,
    path: PathBuf,
}

impl Drop for KernelPartition {
    fn drop(&mut self) {
        // In an orderly deploy `finish` has seen that nobody uses it; after a failure there is
        // nobody to tell, and the next deploy's `forget_partitions` reports it.
        let _ = sys::block::delete_partition(&self.disk, self.number);
    }
}

impl Slice {
    /// Makes `partition` a block device. devtmpfs creates the node before the kernel's call
    /// returns.
    ///
    /// # Errors
    /// The kernel's: the range is taken, no loop device is free.
    pub fn expose(disk: &BlockDisk, layout: &Layout, partition: &Partition) -> io::Result<Self> {
        let (start, len) = (layout.offset_bytes(partition), layout.len_bytes(partition));
        let file = disk.try_clone_file()?;
        if disk.kind() == Kind::Image {
            let sector = u32::try_from(layout.sector.bytes()).unwrap_or(512); // 512 or 4096
            return Ok(Slice::Loop(LoopDevice::attach(&file, start, len, sector)?));
        }
        sys::block::add_partition(&file, partition.number, start, len)?;
        let path = node(disk.path(), partition.number);
        let slice = Slice::Partition(KernelPartition {
            disk: file,
            number: partition.number,
            path,
        });
        fs::metadata(slice.path())?;
        Ok(slice)
    }

    /// Its device node.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Slice::Partition(partition) => &partition.path,
            Slice::Loop(device) => device.path(),
        }
    }

    /// Takes the partition back after use. What was written through it is on the medium when this
    /// returns.
    ///
    /// # Errors
    /// `EBUSY`: it is still mounted, or open somewhere. Or writing back failed.
    pub fn finish(self) -> io::Result<()> {
        match &self {
            Slice::Partition(partition) => {
                // O_EXCL is the proof that no mount is left: open(2).
                let device = File::from(open(
                    &partition.path,
                    OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC,
                    Mode::empty(),
                )?);
                device.sync_all()?;
                drop(device);
                sys::block::delete_partition(&partition.disk, partition.number)?;
            }
            Slice::Loop(device) => device.file().sync_all()?,
        }
        Ok(())
    }
}

/// Makes the kernel forget the partitions of whatever table the disk had: they would overlap ours,
/// and they are gone.
///
/// # Errors
/// `EBUSY`: one is in use.
pub fn forget_partitions(disk: &BlockDisk) -> io::Result<()> {
    let (Kind::Device, Some(name)) = (disk.kind(), disk.path().file_name()) else {
        return Ok(());
    };
    let file = disk.try_clone_file()?;
    for entry in fs::read_dir(Path::new("/sys/class/block").join(name))? {
        let Ok(number) = fs::read_to_string(entry?.path().join("partition")) else {
            continue; // an attribute, not a partition
        };
        if let Ok(number) = number.trim().parse() {
            sys::block::delete_partition(&file, number)?;
        }
    }
    Ok(())
}

/// The kernel's name for a partition: a `p` goes between when the disk's name ends in a digit
/// (`disk_name()` in `block/`).
fn node(disk: &Path, number: u32) -> PathBuf {
    let disk = disk.display().to_string();
    let between = if disk.ends_with(|last: char| last.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    PathBuf::from(format!("{disk}{between}{number}"))
}

#[cfg(test)]
mod tests {
    use super::node;
    use std::path::Path;

    #[test]
    fn nodes_are_named_as_the_kernel_names_them() {
        for (disk, expected) in [
            ("/dev/vda", "/dev/vda3"),
            ("/dev/sdaa", "/dev/sdaa3"),
            ("/dev/nvme0n1", "/dev/nvme0n1p3"),
            ("/dev/mmcblk0", "/dev/mmcblk0p3"),
        ] {
            assert_eq!(node(Path::new(disk), 3), Path::new(expected));
        }
    }
}
