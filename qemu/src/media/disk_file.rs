//! An image file as the product's own code sees a disk: for disks that are made without a machine,
//! and for what a machine left on one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use disk::disk::{Disk, DiskError, SectorSize};

use crate::error::{Doing, HarnessError, Result};

/// The disk. Nothing is flushed on the host: a scenario does not outlive a crash of it.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    name: String,
    size_bytes: u64,
    sector: SectorSize,
}

impl DiskFile {
    /// Opens an image for reading and writing.
    ///
    /// # Errors
    /// The file, or sectors that no disk has.
    pub fn open(path: &Path, sector_bytes: u32) -> Result<Self> {
        let sector = SectorSize::from_bytes(sector_bytes.into());
        let sector = sector.map_err(|bytes| {
            HarnessError::unexpected(path.display().to_string(), "512 or 4096", bytes.to_string())
        })?;
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.doing("opening", path.display())?;
        let metadata = file.metadata().doing("looking at", path.display())?;
        Ok(Self {
            file,
            name: path.display().to_string(),
            size_bytes: metadata.len(),
            sector,
        })
    }

    fn failed(
        &self,
        action: &'static str,
        offset: u64,
        len: usize,
    ) -> impl FnOnce(io::Error) -> DiskError {
        let disk = self.name.clone();
        move |source| DiskError {
            action,
            disk,
            offset,
            len,
            source,
        }
    }
}

impl Disk for DiskFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn sector_size(&self) -> SectorSize {
        self.sector
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> std::result::Result<(), DiskError> {
        let failed = self.failed("reading", offset, buf.len());
        self.file.read_exact_at(buf, offset).map_err(failed)
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> std::result::Result<(), DiskError> {
        let failed = self.failed("writing", offset, buf.len());
        self.file.write_all_at(buf, offset).map_err(failed)
    }

    fn flush(&mut self) -> std::result::Result<(), DiskError> {
        Ok(())
    }
}
