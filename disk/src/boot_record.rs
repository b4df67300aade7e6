//! The two copies of the boot record on an ESP: made at the deploy, from then on read and changed
//! in place (`slot.md` 4.1).
//!
//! A disk comes in, with the place of its ESP on it, or the ESP's partition alone. The chains of
//! the FAT are followed once ([`RecordPlaces::locate`]); after that nothing but the sectors of the
//! two files is read and written, and no directory or table of the FAT ever changes. When
//! [`RecordPlaces::write`] has returned, both copies were read back from the medium.

use thiserror::Error;
use wire::outcome::Outcome;
use wire::record::{BootRecord, COPY_LEN, Copies, Place};

use crate::disk::{Disk, DiskError};
use crate::esp::{Esp, EspError, EspReader};

/// What lies between the two copies, in bytes: no physical sector or flash page may hold parts of
/// both.
pub const APART_BYTES: u64 = 64 * 1024;
/// A file of zeros keeps them apart.
const SPACER: &str = "smechvisor/e1/spacer";
const DIRECTORIES: [&str; 2] = ["smechvisor/e1", "smechvisor/e2"];

/// The boot record could not be found, read or changed.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum BootRecordError {
    /// A copy is not there, or not in one piece.
    #[error("looking for the boot record")]
    Esp(#[from] EspError),
    /// A copy is no such file.
    #[error(
        "{} on the ESP of {disk} has {found} bytes; a boot record has {COPY_LEN}",
        place.path()
    )]
    Length {
        place: Place,
        disk: String,
        found: u32,
    },
    /// One sector could hold parts of both.
    #[error(
        "the copies of the boot record on {disk} begin {found} bytes apart, \
         expected {APART_BYTES} between them"
    )]
    TooClose { disk: String, found: u64 },
    /// Neither copy can be read.
    #[error("reading both copies of the boot record")]
    Read(#[source] DiskError),
    /// A copy could not be made durable. The other one was not touched after that.
    #[error("writing {}", place.path())]
    Write {
        place: Place,
        #[source]
        source: DiskError,
    },
    /// The medium does not hold what was written.
    #[error("{disk} does not hold what was written to {}", place.path())]
    ReadBack { place: Place, disk: String },
}

impl BootRecordError {
    /// The machine's problem.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// Makes both files on a fresh ESP, with what keeps them apart.
///
/// # Errors
/// The disk failed or is full.
pub fn make(esp: &Esp<'_, '_>, record: &BootRecord) -> Result<(), EspError> {
    for directory in DIRECTORIES {
        esp.make_directories(directory)?;
    }
    let spacer = vec![0; usize::try_from(APART_BYTES).unwrap_or_default()];
    let copy = record.emit();
    // Files are given clusters in the order in which they are written.
    for (path, mut content) in [
        (Place::E1.path(), copy.as_slice()),
        (SPACER, spacer.as_slice()),
        (Place::E2.path(), copy.as_slice()),
    ] {
        // A slice does not fail to be read.
        let _ = esp.write(path, &mut content)?;
    }
    Ok(())
}

/// Where the copies lie on the disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlaces {
    e1: u64,
    e2: u64,
}

impl RecordPlaces {
    /// Follows both chains on the ESP that has the `len_bytes` from `start` on. When `disk` is the
    /// ESP's partition, that is all of it.
    ///
    /// # Errors
    /// A copy is missing, has another length, lies in several pieces or too close to the other
    /// one; or the disk failed.
    pub fn locate(
        disk: &mut dyn Disk,
        start: u64,
        len_bytes: u64,
    ) -> Result<Self, BootRecordError> {
        let name = disk.name().to_owned();
        let mut reader = EspReader::open_area(disk, start, len_bytes)?;
        let mut locate = |place: Place| {
            let extent = reader.locate(place.path())?;
            if usize::try_from(extent.len_bytes) == Ok(COPY_LEN) {
                return Ok(extent.offset);
            }
            Err(BootRecordError::Length {
                place,
                disk: name.clone(),
                found: extent.len_bytes,
            })
        };
        let (e1, e2) = (locate(Place::E1)?, locate(Place::E2)?);
        let found = e1.abs_diff(e2);
        if found < APART_BYTES.saturating_add(COPY_LEN as u64) {
            return Err(BootRecordError::TooClose { disk: name, found });
        }
        Ok(Self { e1, e2 })
    }

    /// Reads both copies from the medium. One that cannot be read comes back as zeros, which are no
    /// record: then the other one counts, as it does for GRUB.
    ///
    /// # Errors
    /// Neither can be read.
    pub fn read(self, disk: &mut dyn Disk) -> Result<Copies, BootRecordError> {
        let e1 = self.read_copy(disk, Place::E1);
        let e2 = self.read_copy(disk, Place::E2);
        match (e1, e2) {
            (Err(error), Err(_)) => Err(BootRecordError::Read(error)),
            (e1, e2) => Ok(Copies {
                e1: e1.unwrap_or([0; COPY_LEN]),
                e2: e2.unwrap_or([0; COPY_LEN]),
            }),
        }
    }

    /// Changes both copies. Each is on the medium and read back before the next step, and the one
    /// that counts is the last: the second copy is written first, unless the first one is not
    /// valid. So a cut that damages the sector that is being written leaves the old record or the
    /// new one, never neither.
    ///
    /// # Errors
    /// The disk failed or does not hold what was written. Unless the error names the first copy,
    /// the old record is still the one that counts.
    pub fn write(self, disk: &mut dyn Disk, record: &BootRecord) -> Result<(), BootRecordError> {
        let counts = self.read(disk)?.record().map(|(_, place)| place);
        let order = match counts {
            Ok(Place::E1) | Err(_) => [Place::E2, Place::E1],
            Ok(Place::E2) => [Place::E1, Place::E2],
        };
        for place in order {
            self.write_copy(disk, place, &record.emit())?;
        }
        Ok(())
    }

    const fn offset(self, place: Place) -> u64 {
        match place {
            Place::E1 => self.e1,
            Place::E2 => self.e2,
        }
    }

    fn read_copy(self, disk: &mut dyn Disk, place: Place) -> Result<[u8; COPY_LEN], DiskError> {
        let mut sectors = whole_sectors(disk);
        disk.forget_cache()?;
        disk.read_at(self.offset(place), &mut sectors)?;
        Ok(*sectors.first_chunk().unwrap_or(&[0; COPY_LEN]))
    }

    fn write_copy(
        self,
        disk: &mut dyn Disk,
        place: Place,
        copy: &[u8; COPY_LEN],
    ) -> Result<(), BootRecordError> {
        let failed = |source| BootRecordError::Write { place, source };
        let mut sectors = whole_sectors(disk);
        // Behind a copy is the rest of its cluster, which belongs to nobody: a sector that can no
        // longer be read is written like any other.
        if let Some(to) = sectors.first_chunk_mut() {
            *to = *copy;
        }
        disk.write_at(self.offset(place), &sectors)
            .map_err(failed)?;
        disk.flush().map_err(failed)?;
        if self.read_copy(disk, place).map_err(failed)? == *copy {
            return Ok(());
        }
        Err(BootRecordError::ReadBack {
            place,
            disk: disk.name().to_owned(),
        })
    }
}

/// Zeros for the sectors that hold one copy.
fn whole_sectors(disk: &dyn Disk) -> Vec<u8> {
    let sector = usize::try_from(disk.sector_size().bytes()).unwrap_or(COPY_LEN);
    vec![0; COPY_LEN.next_multiple_of(sector)]
}

#[cfg(test)]
mod tests;
