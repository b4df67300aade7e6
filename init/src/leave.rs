//! The last step: from the shim into what it installed. Booting takes [`Deployed`] by value, which only a commit makes.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use install::esp::{self, Esp, EspError};
use receiver::Deployed;
use receiver::screen::{Screen, chain};
use rustix::fs::{MemfdFlags, sync};
use rustix::system::{RebootCommand, reboot};
use thiserror::Error;
use wire::outcome::Outcome;
use wire::stage::Stage;

use crate::cmdline::After;

/// How long a failure stays readable before the machine starts over.
pub const READING_TIME: Duration = Duration::from_secs(60);

/// The installed kernel cannot be started from here; the firmware can still do it.
#[derive(Debug, Error)]
pub enum KexecError {
    /// The ESP.
    #[error(transparent)]
    Esp(#[from] EspError),
    /// No room for a copy.
    #[error("making a file in memory")]
    Memory(#[source] io::Error),
    /// A NUL in the options.
    #[error("passing the options of the boot entry")]
    Options(#[source] std::ffi::NulError),
    /// The kernel refuses.
    #[error("loading {path} for kexec")]
    Load {
        /// The kernel image.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl KexecError {
    /// Nothing is lost: we go through the firmware instead.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// Leaves for the installed system, or switches off.
pub fn boot(deployed: Deployed, after: After, screen: &dyn Screen) -> ! {
    match after {
        After::Reboot => {}
        After::PowerOff => {
            screen.stage(Stage::Leaving, "how=poweroff");
            power_off();
        }
        After::Kexec => match load(deployed) {
            Ok(()) => {
                screen.stage(Stage::Leaving, "how=kexec");
                sync();
                // It returns only when nothing is loaded, which `load` has just done.
                let _ = reboot(RebootCommand::Kexec);
                screen.warning("kexec did not start; rebooting instead");
            }
            Err(error) => screen.warning(&format!("kexec: {}; rebooting instead", chain(&error))),
        },
    }
    screen.stage(Stage::Leaving, "how=reboot");
    reboot_now();
}

/// After something that no donor can help with: the screen stays readable for [`READING_TIME`].
pub fn give_up(after: After, screen: &dyn Screen) -> ! {
    let how = if after == After::PowerOff {
        "poweroff"
    } else {
        "reboot"
    };
    screen.warning(&format!("{how} in {} seconds", READING_TIME.as_secs()));
    thread::sleep(READING_TIME); // for a person's eyes: there is no event to wait for
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

fn power_off() -> ! {
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

/// Has the kernel copy the installed kernel, its ramdisk and options into memory.
fn load(deployed: Deployed) -> Result<(), KexecError> {
    let Deployed {
        installed,
        mut disk,
        ..
    } = deployed;
    let entry = installed.entry();
    let options = CString::new(entry.options.as_str()).map_err(KexecError::Options)?;
    let (kernel, initrd) = esp::with(&mut disk, installed.layout(), |esp| {
        let initrd = entry.initrd.as_deref().map(|path| fetch(esp, path));
        Ok::<_, KexecError>((fetch(esp, &entry.linux)?, initrd.transpose()?))
    })?;
    sys::kexec::load(kernel.as_fd(), initrd.as_ref().map(AsFd::as_fd), &options).map_err(|source| {
        KexecError::Load {
            path: entry.linux.clone(),
            source,
        }
    })
}

/// A file of the ESP as the descriptor that kexec_file_load(2) wants.
fn fetch(esp: &Esp<'_, '_>, path: &str) -> Result<File, KexecError> {
    let memory = rustix::fs::memfd_create(c"kexec", MemfdFlags::CLOEXEC)
        .map_err(|errno| KexecError::Memory(errno.into()))?;
    let mut memory = File::from(memory);
    esp.read(path, &mut memory)?;
    Ok(memory)
}
