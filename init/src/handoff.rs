//! The last step: from the shim into what it installed. Booting takes [`Deployed`] by value, which
//! only a commit makes.

use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use disk::boot_order::Wanted;
use disk::boot_order::load_option::Program;
use disk::boot_record::RecordPlaces;
use disk::contents::PartitionRef;
use disk::disk::{Disk, DiskError};
use disk::entry::{self, BootEntry, EntryError};
use disk::esp::{EspError, EspReader};
use machine::blockdisk::BlockDisk;
use machine::disks::IMAGE_SECTOR;
use machine::watchdog::{self, Armed};
use receiver::Deployed;
use rustix::fs::sync;
use rustix::system::{RebootCommand, reboot};
use thiserror::Error;
use wire::chain::chain;
use wire::message::After;
use wire::stage::Stage;

use crate::console::Console;
use crate::departure::Departure;
use crate::kexec::KexecError;
use crate::{firmware, kexec, supervision};

/// How long a failure stays readable before the machine starts over.
pub const READING_TIME: Duration = Duration::from_secs(60);

/// How long a disk may take to write what is dirty before the machine leaves.
const SYNC_TIME: Duration = Duration::from_secs(10);

/// How long the disk of a system that was installed earlier may take to hand over its boot entry,
/// and then its kernel.
const ENTRY_TIME: Duration = Duration::from_secs(20);
const FILES_TIME: Duration = Duration::from_secs(100);
/// A boot entry has a few lines.
const ENTRY_BYTES: u64 = 64 * 1024;

/// How long a person who has touched this machine may read what was installed before it leaves.
pub const PARTING_TIME: Duration = Duration::from_secs(10);

/// Leaves for the installed system, or switches off. `watchdog` is how many seconds the hardware
/// waits for that system after kexec; without it no watchdog is started.
pub fn boot(deployed: Deployed, after: After, watchdog: Option<u16>, console: &Console) -> ! {
    let installed = &deployed.installed;
    let wanted = |esp| Wanted {
        title: installed.title(),
        program: installed.program(),
        esp,
    };
    let option = installed
        .esp()
        .and_then(|esp| firmware::prefer(&wanted(esp), console));
    let option = option
        .map(|name| format!(" option={name}"))
        .unwrap_or_default();
    firmware::warn_of_order(installed.disk_name(), console);
    let taken_over = installed.watchdogs().to_vec();
    let is_wanted = |driver: &str| taken_over.contains(&driver);
    match after {
        After::Reboot => {}
        After::Poweroff => {
            console.stage(Stage::Leaving, &format!("how={after}{option}"));
            power_off();
        }
        After::Kexec => match in_time(move || kexec::load(deployed)) {
            Ok(()) => {
                let armed = watchdog.and_then(|seconds| arm(seconds, is_wanted, console));
                let armed = armed.unwrap_or_default();
                console.stage(Stage::Leaving, &format!("how={after}{option}{armed}"));
                sync_for_a_while();
                // It returns only when nothing is loaded, which `load` has just done.
                let _ = reboot(RebootCommand::Kexec);
                console.warning("kexec did not start; rebooting instead");
            }
            Err(error) => console.warning(&format!("kexec: {}; rebooting instead", chain(&error))),
        },
    }
    let armed = watchdog.and_then(|_| arm(watchdog::REBOOT_SECONDS, is_wanted, console));
    let armed = armed.unwrap_or_default();
    console.stage(Stage::Leaving, &format!("how=reboot{option}{armed}"));
    reboot_now();
}

/// Leaves for a system that was installed earlier: through the firmware where a boot option can be
/// set, else by kexec. That disk may be damaged, or dead: the machine leaves even if that disk does
/// not answer.
pub fn back(path: &Path, esp: &PartitionRef, console: &Console) -> ! {
    let (path, partition) = (path.to_owned(), *esp);
    let read = move || {
        let mut disk = BlockDisk::open_to_read(&path, IMAGE_SECTOR)?;
        let entry = entry_of(&mut disk, &partition)?;
        let program = program_of(&mut disk, &partition)?;
        Ok((disk, entry, program))
    };
    let late = BackError::Late { limit: ENTRY_TIME };
    let entry = within(ENTRY_TIME, "entry", read).unwrap_or(Err(late));
    let (title, program) = match &entry {
        Ok((_, entry, program)) => (entry.title.as_str(), *program),
        Err(_) => ("smechvisor", Program::Grub),
    };
    let wanted = Wanted {
        title,
        program,
        esp: *esp,
    };
    let option = firmware::prefer(&wanted, console);
    if option.is_none() {
        let partition = *esp;
        let loaded =
            entry
                .map_err(|error| chain(&error).to_string())
                .and_then(|(mut disk, entry, _)| {
                    in_time(move || kexec::load_installed(&mut disk, &partition, &entry))
                        .map_err(|error| chain(&error).to_string())
                });
        match loaded {
            Ok(()) => {
                console.stage(Stage::Leaving, "how=kexec");
                sync_for_a_while();
                let _ = reboot(RebootCommand::Kexec); // as in `boot`
                console.warning("kexec did not start; rebooting instead");
            }
            Err(reason) => console.warning(&format!("kexec: {reason}; rebooting instead")),
        }
    }
    let option = option
        .map(|name| format!(" option={name}"))
        .unwrap_or_default();
    console.stage(Stage::Leaving, &format!("how=reboot{option}"));
    reboot_now();
}

/// Loads a kernel, unless its disk takes too long to hand it over.
fn in_time(
    load: impl FnOnce() -> Result<(), KexecError> + Send + 'static,
) -> Result<(), KexecError> {
    let late = KexecError::Late { limit: FILES_TIME };
    within(FILES_TIME, "kexec", load).unwrap_or(Err(late))
}

/// The boot entry of the disk.
fn entry_of(disk: &mut dyn Disk, esp: &PartitionRef) -> Result<BootEntry, BackError> {
    // From here no boot would be counted: a trial would be started for ever.
    if has_slots(disk, esp) {
        return Err(BackError::Slots);
    }
    let mut text = Vec::new();
    EspReader::open(disk, esp)?.read(entry::PATH, &mut text, ENTRY_BYTES)?;
    Ok(BootEntry::parse(&String::from_utf8_lossy(&text))?)
}

/// What the firmware has to start on the disk.
fn program_of(disk: &mut dyn Disk, esp: &PartitionRef) -> Result<Program, EspError> {
    let first_stage = Program::FirstStage.path().replace('\\', "/");
    match EspReader::open(disk, esp)?.locate(first_stage.trim_start_matches('/')) {
        Ok(_) => Ok(Program::FirstStage),
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(Program::Grub),
        Err(error) => Err(error),
    }
}

/// A boot record is there, whatever it says.
fn has_slots(disk: &mut dyn Disk, esp: &PartitionRef) -> bool {
    let bytes = |sectors: u64| sectors.saturating_mul(disk.sector_size().bytes());
    let (start, len) = (bytes(esp.first_lba), bytes(esp.sectors));
    RecordPlaces::locate(disk, start, len).is_ok()
}

/// The boot entry of a disk cannot be read.
#[derive(Debug, Error)]
enum BackError {
    /// The disk itself.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It says nothing.
    #[error("the disk did not answer within {} s", limit.as_secs())]
    Late {
        /// How long it was waited for.
        limit: Duration,
    },
    /// The disk, or the file is not there.
    #[error(transparent)]
    Esp(#[from] EspError),
    /// GRUB of that disk counts the starts of a trial.
    #[error(
        "the disk has two slots, and only its own boot loader chooses one: let the machine start \
         from this disk first, in the BIOS setup"
    )]
    Slots,
    /// The file was changed after the installation.
    #[error("reading the boot entry")]
    Entry(#[from] EntryError),
}

/// Starts the watchdog when there is one, and says so.
fn arm(seconds: u16, is_wanted: impl Fn(&str) -> bool, console: &Console) -> Option<String> {
    match watchdog::arm(seconds, is_wanted) {
        Ok(armed) => {
            armed.map(|Armed { driver, seconds }| format!(" watchdog={driver} seconds={seconds}"))
        }
        Err(error) => {
            console.warning(&format!("{}; leaving without a watchdog", chain(&error)));
            None
        }
    }
}

/// There is no system to start when nothing was installed.
#[must_use]
pub const fn after_failure(after: After) -> After {
    match after {
        After::Poweroff => After::Poweroff,
        After::Reboot | After::Kexec => After::Reboot,
    }
}

/// After something that no donor can help with: the screen stays readable for [`READING_TIME`].
pub fn give_up(after: After, departure: &Departure, console: &Console) -> ! {
    let after = after_failure(after);
    console.warning(&format!("{after} in {} seconds", READING_TIME.as_secs()));
    departure.linger(READING_TIME);
    console.stage(Stage::Leaving, &format!("how={after}"));
    if after == After::Poweroff {
        power_off();
    }
    reboot_now();
}

/// Has the kernel write what is dirty. A disk that stops answering holds up only a thread: what was
/// promised to be on it was flushed before.
pub fn sync_for_a_while() {
    within(SYNC_TIME, "sync", sync);
}

/// Does `work` in a thread of this name and returns its answer, or none when it has not come in
/// time. The thread is then abandoned.
fn within<T: Send + 'static>(
    limit: Duration,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (answer, answered) = mpsc::channel();
    let thread = thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || {
        let _ = answer.send(work()); // the caller has given up
    });
    started.ok()?;
    answered.recv_timeout(limit).ok()
}

/// Restarts through the firmware.
pub fn reboot_now() -> ! {
    sync_for_a_while();
    supervision::end();
    let _ = reboot(RebootCommand::Restart); // does not return when it works
    forever();
}

/// Switches off.
pub fn power_off() -> ! {
    sync_for_a_while();
    supervision::end();
    let _ = reboot(RebootCommand::PowerOff);
    // A machine without that ability; halting keeps its screen.
    let _ = reboot(RebootCommand::Halt);
    forever();
}

/// PID 1 must not end: the kernel would panic.
fn forever() -> ! {
    loop {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::{BackError, entry_of, within};
    use disk::boot_record;
    use disk::contents::PartitionRef;
    use disk::disk::SectorSize;
    use disk::esp::{self, EspError};
    use disk::fakes::memory_disk::MemoryDisk;
    use disk::layout::{Role, plan};
    use disk::sizes::{LayoutKind, Sizes};
    use std::thread;
    use std::time::{Duration, Instant};
    use uuid::Uuid;
    use wire::record::{BootRecord, Slot};

    #[test]
    fn a_disk_whose_boots_are_counted_is_left_to_its_own_boot_loader() {
        for sector in [SectorSize::B512, SectorSize::B4096] {
            let sizes = Sizes {
                layout: LayoutKind::Ab { slot_bytes: None },
                ..Sizes::USUAL
            };
            let layout = plan(8 << 30, sector, sizes, &mut || Uuid::from_u128(7)).unwrap();
            let mut disk = MemoryDisk::new(8 << 30, sector);
            esp::format(&mut disk, &layout).unwrap();
            let area = layout.partition(Role::Esp).unwrap();
            let esp = PartitionRef {
                number: area.number,
                first_lba: area.first_lba,
                sectors: area.sectors,
                guid: area.guid,
            };
            let error = entry_of(&mut disk, &esp).unwrap_err();
            assert!(matches!(error, BackError::Esp(_)), "{error}");
            let make = |esp: &esp::Esp<'_, '_>| -> Result<(), EspError> {
                boot_record::make(esp, &BootRecord::new(Slot::A))
            };
            esp::with(&mut disk, &layout, make).unwrap();
            let error = entry_of(&mut disk, &esp).unwrap_err();
            assert!(matches!(error, BackError::Slots), "{error}");
        }
    }

    #[test]
    fn work_that_hangs_holds_nobody_up() {
        let began = Instant::now();
        let hung = within(Duration::from_millis(50), "hangs", || {
            loop {
                thread::park();
            }
        });
        assert!(hung.is_none_or(|()| false) && began.elapsed() < Duration::from_secs(20));
        assert_eq!(within(Duration::from_secs(60), "works", || 7), Some(7));
    }
}
