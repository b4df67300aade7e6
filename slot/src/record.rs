//! How this slot came to be started (`slot.md 5.3`): the boot record on the ESP of its disk, and
//! what the slot is by it.

use std::path::PathBuf;

use disk::boot_record::{BootRecordError, RecordPlaces};
use disk::disk::{Disk, DiskError, SectorSize};
use disk::layout::Role;
use disk::slots::SlotArea;
use machine::blockdisk::BlockDisk;
use machine::partitions::Partition;
use thiserror::Error;
use wire::label::{Label, State};
use wire::record::{BootRecord, Left, RecordError, Slot};

/// The record cannot be read or written.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum AccessError {
    /// No such partition.
    #[error("the disk {disk} has no partition {}, its ESP", Role::Esp.number())]
    NoEsp { disk: String },
    /// It cannot be opened.
    #[error("opening the ESP")]
    Open(#[source] DiskError),
    /// What is there is no record, or the disk failed.
    #[error(transparent)]
    Record(#[from] BootRecordError),
    /// Both copies are damaged.
    #[error("reading the boot record of {}", node.display())]
    Invalid {
        node: PathBuf,
        #[source]
        source: RecordError,
    },
}

/// What the slot that runs is, by the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The one that boots unless another is tried.
    Good,
    /// On trial, with so many starts left behind this one.
    Trial(Left),
    /// Neither: a person chose it at the boot loader's menu, or no record is valid.
    Chosen,
}

impl Standing {
    /// Of `slot` by `record`.
    #[must_use]
    pub fn of(slot: Slot, record: &BootRecord) -> Self {
        match record.trial {
            _ if record.good == slot => Standing::Good,
            Some(left) => Standing::Trial(left),
            None => Standing::Chosen,
        }
    }
}

/// The ESP of `disk` among `partitions`.
///
/// # Errors
/// It has none.
pub fn esp(partitions: &[Partition], disk: &str) -> Result<PathBuf, AccessError> {
    let is_it = |one: &&Partition| one.disk == disk && one.number == Role::Esp.number();
    let found = partitions.iter().find(is_it);
    found
        .map(|one| one.node.clone())
        .ok_or_else(|| AccessError::NoEsp {
            disk: disk.to_owned(),
        })
}

/// Reads the record of the ESP at `node`.
///
/// # Errors
/// There is none, or none that is valid.
pub fn read(node: PathBuf) -> Result<BootRecord, AccessError> {
    let mut esp = BlockDisk::open_to_read(&node, SectorSize::B512).map_err(AccessError::Open)?;
    let len_bytes = esp.size_bytes();
    let copies = RecordPlaces::locate(&mut esp, 0, len_bytes)?.read(&mut esp)?;
    let (record, _) = copies
        .record()
        .map_err(|source| AccessError::Invalid { node, source })?;
    Ok(record)
}

/// Writes both copies to the ESP at `node`.
///
/// # Errors
/// The disk failed or does not hold what was written.
pub fn write(node: &std::path::Path, record: &BootRecord) -> Result<(), AccessError> {
    let opened = BlockDisk::open_partition(node, true);
    let mut esp = opened.map_err(AccessError::Open)?;
    let len_bytes = esp.size_bytes();
    RecordPlaces::locate(&mut esp, 0, len_bytes)?.write(&mut esp, record)?;
    Ok(())
}

/// The label at the end of a slot, when there is a complete one.
#[must_use]
pub fn label(partition: &Partition) -> Option<Label> {
    let mut disk = BlockDisk::open_to_read(&partition.node, SectorSize::B512).ok()?;
    let label = SlotArea::whole(&disk).label(&mut disk).ok()?.ok()?;
    (label.state == State::Complete).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::Standing;
    use wire::record::{BootRecord, Left, Slot};

    #[test]
    fn a_slot_is_good_on_trial_or_chosen_by_a_person() {
        let quiet = BootRecord::new(Slot::A);
        assert_eq!(Standing::of(Slot::A, &quiet), Standing::Good);
        assert_eq!(Standing::of(Slot::B, &quiet), Standing::Chosen);
        let armed = quiet.armed();
        assert_eq!(Standing::of(Slot::A, &armed), Standing::Good);
        assert_eq!(Standing::of(Slot::B, &armed), Standing::Trial(Left::ALL));
    }
}
