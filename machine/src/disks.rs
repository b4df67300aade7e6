//! The disks a deploy may choose from, looked at but not touched: inventory and contents together,
//! for the gate.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use disk::contents::{self, DiskContents};
use disk::disk::{Disk, DiskError, SectorSize};
use thiserror::Error;
use wire::chain::chain;
use wire::outcome::Outcome;

use crate::blockdisk::BlockDisk;
use crate::gate::{Candidate, Contents};
use crate::inventory::{self, Found, InventoryError, SYS_BLOCK, Transport};

/// Sectors of an image file: what most disks it may be copied to have.
pub const IMAGE_SECTOR: SectorSize = SectorSize::B512;

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disks {
    /// At every disk of this machine.
    Machine,
    /// At this device or image file only.
    One(PathBuf),
}

/// The disks could not be looked at.
#[derive(Debug, Error)]
pub enum DisksError {
    /// sysfs.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The one that was named.
    #[error("looking at {}", path.display())]
    One {
        /// The path that was opened.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl DisksError {
    /// Nothing a donor could change.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

impl Disks {
    /// Every disk there is now, with what is on it.
    ///
    /// # Errors
    /// The list itself cannot be read; a disk that cannot is listed as such.
    pub fn look(&self) -> Result<Vec<Candidate>, DisksError> {
        let found = match self {
            Disks::Machine => inventory::read(Path::new(SYS_BLOCK))?,
            Disks::One(path) => vec![one(path).map_err(|source| DisksError::One {
                path: path.clone(),
                source,
            })?],
        };
        Ok(found
            .into_iter()
            .map(|disk| {
                let contents = contents(&disk.path);
                Candidate::new(disk, contents)
            })
            .collect())
    }
}

/// A named disk, under the name the kernel has for it; image files and devices that are no whole
/// disks have no serial number.
fn one(path: &Path) -> io::Result<Found> {
    let path = fs::canonicalize(path)?;
    let listed = inventory::read(Path::new(SYS_BLOCK)).unwrap_or_default(); // an image file needs no sysfs
    if let Some(found) = listed.into_iter().find(|found| found.path == path) {
        return Ok(found);
    }
    let disk = BlockDisk::open_to_read(&path, IMAGE_SECTOR).map_err(|error| error.source)?;
    unlisted(&disk)
}

/// The facts about an image file, or about a device that is no whole disk.
fn unlisted(disk: &BlockDisk) -> io::Result<Found> {
    let file = disk.try_clone_file()?;
    Ok(Found {
        path: disk.path().to_owned(),
        size_bytes: disk.size_bytes(),
        sector_bytes: disk.sector_size().bytes(),
        transport: Transport::Other,
        is_removable: false,
        is_read_only: file.metadata()?.permissions().readonly(),
        serial: None,
        vendor: None,
        model: None,
        wwn: None,
    })
}

/// The identity and contents of an open disk, asked of the descriptor that it will be written
/// through: whatever its path leads to by now. `sys_dev_block` is [`inventory::SYS_DEV_BLOCK`] but
/// in tests.
///
/// # Errors
/// The kernel's.
pub fn behind(disk: &mut BlockDisk, sys_dev_block: &Path) -> io::Result<Candidate> {
    let listed = disk
        .device_number()?
        .and_then(|number| inventory::of_device(sys_dev_block, number))
        .filter(|found| found.path == disk.path());
    let found = match listed {
        Some(found) => found,
        None => unlisted(disk)?,
    };
    Ok(Candidate::new(found, held(contents::read(disk))))
}

fn contents(path: &Path) -> Contents {
    let disk = BlockDisk::open_to_read(path, IMAGE_SECTOR);
    held(disk.and_then(|mut disk| contents::read(&mut disk)))
}

fn held(read: Result<DiskContents, DiskError>) -> Contents {
    match read {
        Ok(contents) => Contents::Holds(contents),
        Err(error) => Contents::Unreadable(chain(&error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::Disks;
    use crate::gate::Contents;
    use disk::contents::DiskContents;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    #[test]
    fn an_image_file_is_a_disk_with_contents() {
        let path = std::env::temp_dir().join(format!("smv-disks-image-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        file.set_len(4 << 20).unwrap();
        let seen = Disks::One(path.clone()).look().unwrap();
        assert_eq!(
            (seen[0].contents().clone(), seen[0].disk().size_bytes),
            (Contents::Holds(DiskContents::Blank), 4 << 20)
        );
        assert_eq!(seen[0].confirmation(), path.display().to_string());
        file.write_all_at(&[1], 1000).unwrap();
        let seen = Disks::One(path.clone()).look().unwrap();
        assert!(matches!(
            seen[0].contents(),
            Contents::Holds(DiskContents::Occupied { .. })
        ));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_missing_disk_is_an_error_that_names_it() {
        assert!(
            Disks::One("/nonexistent.img".into())
                .look()
                .unwrap_err()
                .to_string()
                .contains("/nonexistent.img")
        );
    }
}
