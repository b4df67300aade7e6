//! The last step: from the shim into what it installed. Booting takes [`Deployed`] by value, which only a commit makes.

use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use install::entry::{self, BootEntry, EntryError};
use install::esp::{self, EspError};
use install::state::Slot;
use receiver::Deployed;
use receiver::blockdisk::BlockDisk;
use receiver::disks::IMAGE_SECTOR;
use receiver::screen::{Screen, chain};
use rustix::fs::sync;
use rustix::system::{RebootCommand, reboot};
use thiserror::Error;
use wire::stage::Stage;

use crate::cmdline::After;
use crate::watchdog::{self, Armed};
use crate::{firmware, kexec};

/// How long a failure stays readable before the machine starts over.
pub const READING_TIME: Duration = Duration::from_secs(60);

/// How long a person who has touched this machine may read what was installed before it leaves.
pub const PARTING_TIME: Duration = Duration::from_secs(10);

/// What a person says of our leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Not by yourself.
    Stay,
    /// Now.
    Go,
}

static WORD: Mutex<Option<Word>> = Mutex::new(None);
static SAID: Condvar = Condvar::new();

/// Says it, to a machine that is about to leave.
pub fn say(word: Word) {
    *WORD.lock().unwrap_or_else(PoisonError::into_inner) = Some(word);
    SAID.notify_all();
}

/// Returns when `within` has passed or a person wants to leave; after [`Word::Stay`] only the latter counts. What was said before
/// meant something else.
pub fn linger(within: Duration) {
    let mut word = WORD.lock().unwrap_or_else(PoisonError::into_inner);
    *word = None;
    let waited = SAID.wait_timeout_while(word, within, |word| word.is_none());
    let (word, _) = waited.unwrap_or_else(PoisonError::into_inner);
    // When nothing was said in time, or it was said to go, this ends at once.
    let waited = SAID.wait_while(word, |word| *word == Some(Word::Stay));
    drop(waited.unwrap_or_else(PoisonError::into_inner));
}

/// Leaves for the installed system, or switches off. `watchdog` is how many seconds the hardware waits for that system after
/// kexec; without it no watchdog is started.
pub fn boot(deployed: Deployed, after: After, watchdog: Option<u16>, screen: &dyn Screen) -> ! {
    let installed = &deployed.installed;
    let title = installed.entry().title.as_str();
    let option = installed
        .esp()
        .and_then(|esp| firmware::prefer(&esp, title, screen));
    let option = option
        .map(|name| format!(" option={name}"))
        .unwrap_or_default();
    let taken_over = installed.watchdogs().to_vec();
    let is_wanted = |driver: &str| taken_over.contains(&driver);
    match after {
        After::Reboot => {}
        After::PowerOff => {
            screen.stage(Stage::Leaving, &format!("how=poweroff{option}"));
            power_off();
        }
        After::Kexec => match kexec::load(deployed) {
            Ok(()) => {
                let armed = watchdog.and_then(|seconds| arm(seconds, is_wanted, screen));
                let armed = armed.unwrap_or_default();
                screen.stage(Stage::Leaving, &format!("how=kexec{option}{armed}"));
                sync();
                // It returns only when nothing is loaded, which `load` has just done.
                let _ = reboot(RebootCommand::Kexec);
                screen.warning("kexec did not start; rebooting instead");
            }
            Err(error) => screen.warning(&format!("kexec: {}; rebooting instead", chain(&error))),
        },
    }
    let armed = watchdog.and_then(|_| arm(watchdog::REBOOT_SECONDS, is_wanted, screen));
    let armed = armed.unwrap_or_default();
    screen.stage(Stage::Leaving, &format!("how=reboot{option}{armed}"));
    reboot_now();
}

/// Leaves for a system that was installed earlier: by the firmware where it can be told, else past it.
pub fn back(path: &Path, esp: &Slot, screen: &dyn Screen) -> ! {
    let opened = BlockDisk::open_to_read(path, IMAGE_SECTOR).map_err(|error| chain(&error));
    let entry = opened.and_then(|mut disk| {
        let entry = entry_of(&mut disk, esp).map_err(|error| chain(&error))?;
        Ok((disk, entry))
    });
    let title = entry
        .as_ref()
        .map_or("smechvisor", |(_, entry)| entry.title.as_str());
    let option = firmware::prefer(esp, title, screen);
    if option.is_none() {
        let loaded = entry.and_then(|(mut disk, entry)| {
            kexec::load_installed(&mut disk, esp, &entry).map_err(|error| chain(&error))
        });
        match loaded {
            Ok(()) => {
                screen.stage(Stage::Leaving, "how=kexec");
                sync();
                let _ = reboot(RebootCommand::Kexec); // as in `boot`
                screen.warning("kexec did not start; rebooting instead");
            }
            Err(reason) => screen.warning(&format!("kexec: {reason}; rebooting instead")),
        }
    }
    let option = option
        .map(|name| format!(" option={name}"))
        .unwrap_or_default();
    screen.stage(Stage::Leaving, &format!("how=reboot{option}"));
    reboot_now();
}

/// What the disk boots by itself.
fn entry_of(disk: &mut BlockDisk, esp: &Slot) -> Result<BootEntry, BackError> {
    let mut text = Vec::new();
    esp::with_installed(disk, esp, |esp| esp.read(entry::PATH, &mut text))?;
    Ok(BootEntry::parse(&String::from_utf8_lossy(&text))?)
}

/// The boot entry of a disk cannot be read.
#[derive(Debug, Error)]
enum BackError {
    /// The disk, or the file is not there.
    #[error(transparent)]
    Esp(#[from] EspError),
    /// Somebody has changed it.
    #[error("reading the boot entry")]
    Entry(#[from] EntryError),
}

/// Starts the watchdog when there is one, and says so.
fn arm(seconds: u16, is_wanted: impl Fn(&str) -> bool, screen: &dyn Screen) -> Option<String> {
    match watchdog::arm(seconds, is_wanted) {
        Ok(armed) => {
            armed.map(|Armed { driver, seconds }| format!(" watchdog={driver} seconds={seconds}"))
        }
        Err(error) => {
            screen.warning(&format!("{}; leaving without a watchdog", chain(&error)));
            None
        }
    }
}

/// There is no system to start when nothing was installed.
#[must_use]
pub const fn after_failure(after: After) -> After {
    match after {
        After::PowerOff => After::PowerOff,
        After::Reboot | After::Kexec => After::Reboot,
    }
}

/// After something that no donor can help with: the screen stays readable for [`READING_TIME`].
pub fn give_up(after: After, screen: &dyn Screen) -> ! {
    let after = after_failure(after);
    let how = if after == After::PowerOff {
        "poweroff"
    } else {
        "reboot"
    };
    screen.warning(&format!("{how} in {} seconds", READING_TIME.as_secs()));
    linger(READING_TIME);
    screen.stage(Stage::Leaving, &format!("how={how}"));
    if after == After::PowerOff {
        power_off();
    }
    reboot_now();
}

/// Restarts through the firmware.
pub fn reboot_now() -> ! {
    sync();
    let _ = reboot(RebootCommand::Restart); // does not return when it works
    forever();
}

/// Switches off.
pub fn power_off() -> ! {
    sync();
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
