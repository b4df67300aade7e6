//! The disk seam: size, sector size, read, write, zero, flush. Nothing else is known of a disk
//! here.
//!
//! Written bytes are on the medium only after the next successful [`Disk::flush`]; until then a
//! power cut may lose any part of it, in any order. One sector is written whole or not at all
//! (`disk-layout.md`).

use thiserror::Error;
use wire::outcome::Outcome;

/// Zeros that [`Disk::zero_at`] writes at a time.
const ZEROS_BYTES: u64 = 1024 * 1024;

/// The logical sector size, the unit of LBA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectorSize {
    /// 512 bytes.
    B512,
    /// 4096 bytes (4Kn).
    B4096,
}

impl SectorSize {
    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            SectorSize::B512 => 512,
            SectorSize::B4096 => 4096,
        }
    }

    /// # Errors
    /// The number of bytes itself, when it is neither 512 nor 4096.
    pub const fn from_bytes(bytes: u64) -> Result<Self, u64> {
        match bytes {
            512 => Ok(SectorSize::B512),
            4096 => Ok(SectorSize::B4096),
            other => Err(other),
        }
    }
}

/// A disk operation that failed: what was being done, to what, and where.
#[derive(Debug, Error)]
#[error("{action} {len} bytes at byte {offset} of {disk}")]
#[allow(missing_docs)] // the fields name themselves
pub struct DiskError {
    /// `reading`, `writing`, `clearing` or `flushing`.
    pub action: &'static str,
    /// The disk's name, as a person knows it.
    pub disk: String,
    /// Byte offset from the start of the disk.
    pub offset: u64,
    /// Bytes asked for; 0 for a flush.
    pub len: usize,
    #[source]
    pub source: std::io::Error,
}

impl DiskError {
    /// A disk that fails to read or write is the machine's problem, not the donor's.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// A whole disk. Offsets are bytes from its start and multiples of the sector size, lengths
/// likewise.
pub trait Disk {
    /// The disk's name, as a person knows it: `/dev/vda`.
    fn name(&self) -> &str;
    /// Size in bytes, a multiple of the sector size.
    fn size_bytes(&self) -> u64;
    /// Logical sector size.
    fn sector_size(&self) -> SectorSize;
    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// Reading failed, or the range is not inside the disk.
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError>;
    /// Writes all of `buf` at `offset`. Durable only after [`Disk::flush`].
    ///
    /// # Errors
    /// Writing failed, or the range is not inside the disk.
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), DiskError>;
    /// Makes `len_bytes` from `offset` on read as zeros. Durable only after [`Disk::flush`].
    ///
    /// # Errors
    /// Writing failed, or the range is not inside the disk.
    fn zero_at(&mut self, offset: u64, len_bytes: u64) -> Result<(), DiskError> {
        write_zeros(self, offset, len_bytes)
    }
    /// Returns when everything written so far is on the medium.
    ///
    /// # Errors
    /// The disk could not promise that.
    fn flush(&mut self) -> Result<(), DiskError>;
    /// Makes later reads come from the medium: what was read or flushed before is not remembered
    /// for them. A disk that remembers nothing has nothing to do.
    ///
    /// # Errors
    /// What is remembered could not be dropped.
    fn forget_cache(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
    /// Begins to put on the medium what was written there, and does not wait for it: what is
    /// flushed later waits for less. Nothing is durable by it, and what goes wrong the flush finds.
    fn begin_flush(&mut self, offset: u64, len_bytes: u64) {
        let _ = (offset, len_bytes);
    }
    /// The same disk for another thread, which reads it while it is written here. `None` where that
    /// cannot be done.
    ///
    /// # Errors
    /// It could not be opened a second time, or its name leads elsewhere by now.
    fn medium(&self) -> Result<Option<Box<dyn Medium + Send>>, DiskError> {
        Ok(None)
    }
}

/// A disk that is only read, past every cache of this machine: what was written before comes from
/// the device itself, to which it is given first where it was not.
pub trait Medium {
    /// So many bytes from `offset`, which is that of [`Disk::read_at`].
    ///
    /// # Errors
    /// Reading failed, or the range is not inside the disk.
    fn read(&mut self, offset: u64, len: usize) -> Result<&[u8], DiskError>;
}

/// [`Disk::zero_at`] by writing.
///
/// # Errors
/// As [`Disk::write_at`].
pub fn write_zeros<D: Disk + ?Sized>(
    disk: &mut D,
    offset: u64,
    len_bytes: u64,
) -> Result<(), DiskError> {
    let zeros = vec![0; usize::try_from(len_bytes.min(ZEROS_BYTES)).unwrap_or(0)];
    let (mut at, mut left) = (offset, len_bytes);
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        disk.write_at(at, zeros.get(..len).unwrap_or_default())?;
        at = at.saturating_add(len as u64);
        left = left.saturating_sub(len as u64);
    }
    Ok(())
}
