//! Starting the installed kernel without the firmware (`boot.md` 5): which kernel of which disk.

use std::time::Duration;

use disk::contents::PartitionRef;
use disk::disk::Disk;
use disk::entry::BootEntry;
use disk::esp::EspReader;
use machine::kexec::Files;
use receiver::Deployed;
use thiserror::Error;
use wire::outcome::Outcome;

use crate::memory::Memory;

/// The installed kernel cannot be started from here; the firmware can still do it.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum KexecError {
    /// A slot is started by its own script, which counts its boots.
    #[error("the disk has two slots, of which GRUB chooses one")]
    Slots,
    /// The installed system has no ESP.
    #[error("the installed disk has no ESP")]
    NoEsp,
    /// It cannot be read in a reasonable time.
    #[error("the disk did not answer within {} s", limit.as_secs())]
    Late {
        /// How long it was waited for.
        limit: Duration,
    },
    /// This machine, or its kernel.
    #[error(transparent)]
    Machine(#[from] machine::kexec::KexecError),
}

impl KexecError {
    /// Nothing is lost: we go through the firmware instead.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// Has the kernel copy the kernel that was just installed, its ramdisk and options into memory.
///
/// # Errors
/// It makes no sense here, or it failed.
pub fn load(deployed: Deployed) -> Result<(), KexecError> {
    let Deployed {
        installed,
        mut disk,
        ..
    } = deployed;
    let esp = installed.esp().ok_or(KexecError::NoEsp)?;
    let entry = installed.entry().ok_or(KexecError::Slots)?;
    load_installed(&mut disk, &esp, entry)
}

/// The same for a system that was installed earlier: the disk's own commit is the proof, found by
/// looking.
///
/// # Errors
/// As [`load`].
pub fn load_installed(
    disk: &mut dyn Disk,
    esp: &PartitionRef,
    entry: &BootEntry,
) -> Result<(), KexecError> {
    let mut esp = EspReader::open(disk, esp).map_err(machine::kexec::KexecError::from)?;
    let files = Files {
        kernel: &entry.linux,
        initrd: entry.initrd.as_deref(),
        options: &entry.options,
    };
    // The kernel makes a copy.
    let most_bytes = Memory::read().available_bytes / 2;
    Ok(machine::kexec::load(&mut esp, files, most_bytes)?)
}
