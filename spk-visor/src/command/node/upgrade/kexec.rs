//! The trial started without firmware and GRUB: its kernel is loaded out of the slot's head, and
//! this start is counted as GRUB counts it, in this order, so that nothing is spent on a kernel that
//! this machine cannot start, and nothing is started that was not counted (`upgrade.md` 1).

use disk::disk::Disk;
use disk::esp::{EspError, EspReader};
use disk::head;
use disk::slot_script::{self, ScriptError};
use machine::kexec::{Files, KexecError};
use thiserror::Error;
use update::arm::{self, ArmError, Armed, Counted};
use update::node::Node;
use wire::record::Slot;
use wire::slot::head as names;

/// Has the kernel copy a kernel into memory: [`machine::kexec::load`] on a machine.
pub type Load = fn(&mut EspReader<'_>, Files<'_>) -> Result<(), KexecError>;

/// The machine reboots through its firmware instead.
#[derive(Debug, Error)]
pub enum NotLoaded {
    /// The head of the slot.
    #[error(transparent)]
    Head(#[from] EspError),
    /// The slot starts in a way that only GRUB knows.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// This machine, or its kernel.
    #[error(transparent)]
    Kexec(#[from] KexecError),
    /// The start could not be counted.
    #[error("counting the start")]
    Count(#[from] ArmError),
}

/// The kernel of this machine.
pub fn load(volume: &mut EspReader<'_>, files: Files<'_>) -> Result<(), KexecError> {
    machine::kexec::load(volume, files, head::LEN_MAX)
}

/// Loads what was armed, and counts its start.
pub(super) fn prepare(node: &mut Node<'_>, armed: Armed, load: Load) -> Result<Counted, NotLoaded> {
    let slot = armed.slot();
    loaded(node.slot(slot), slot, load)?;
    let counted = arm::count(node, armed);
    if counted.is_err() {
        // What init does about a loaded kernel when it reboots is its own affair.
        let _ = sys::kexec::unload();
    }
    Ok(counted?)
}

fn loaded(disk: &mut dyn Disk, slot: Slot, load: Load) -> Result<(), NotLoaded> {
    let len_bytes = disk.size_bytes();
    let mut volume = EspReader::open_area(disk, 0, len_bytes)?;
    let mut script = Vec::new();
    volume.read(names::SCRIPT, &mut script, slot_script::LEN_MAX)?;
    let options = slot_script::options(&String::from_utf8_lossy(&script), slot)?;
    let files = Files {
        kernel: names::KERNEL,
        initrd: Some(names::INITRD),
        options: &options,
    };
    Ok(load(&mut volume, files)?)
}
