//! The last step: from the shim into what it installed. Booting takes [`Deployed`] by value, which only a commit makes.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use install::commit::Installed;
use install::volumes::VolumesError;
use receiver::Deployed;
use receiver::screen::{Screen, chain};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2, sync};
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
    Volumes(#[from] VolumesError),
    /// A file on it.
    #[error("opening {path} on the esp")]
    Open {
        /// As the boot entry names it.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
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

/// Has the kernel copy the installed kernel, its ramdisk and options into memory. Nothing stays mounted.
fn load(deployed: Deployed) -> Result<(), KexecError> {
    let Deployed {
        installed,
        mut volumes,
    } = deployed;
    volumes.with_esp(installed.layout(), |esp| load_from(esp, &installed))?
}

fn load_from(esp: &OwnedFd, installed: &Installed) -> Result<(), KexecError> {
    let entry = installed.entry();
    let kernel = open(esp, &entry.linux)?;
    let initrd = entry
        .initrd
        .as_deref()
        .map(|path| open(esp, path))
        .transpose()?;
    let options = CString::new(entry.options.as_str()).map_err(KexecError::Options)?;
    sys::kexec::load(kernel.as_fd(), initrd.as_ref().map(AsFd::as_fd), &options).map_err(|source| {
        KexecError::Load {
            path: entry.linux.clone(),
            source,
        }
    })
}

fn open(esp: &OwnedFd, path: &str) -> Result<OwnedFd, KexecError> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(
        esp,
        path.trim_start_matches('/'),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )
    .map_err(|errno| KexecError::Open {
        path: path.to_owned(),
        source: errno.into(),
    })
}
