//! The last step: from the shim into what it installed. Booting takes [`Deployed`] by value, which only a commit makes.

use std::thread;
use std::time::Duration;

use receiver::Deployed;
use receiver::screen::{Screen, chain};
use rustix::fs::sync;
use rustix::system::{RebootCommand, reboot};
use wire::stage::Stage;

use crate::cmdline::After;
use crate::watchdog::{self, Armed};
use crate::{firmware, kexec};

/// How long a failure stays readable before the machine starts over.
pub const READING_TIME: Duration = Duration::from_secs(60);

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
    match after {
        After::Reboot => {}
        After::PowerOff => {
            screen.stage(Stage::Leaving, &format!("how=poweroff{option}"));
            power_off();
        }
        After::Kexec => match kexec::load(deployed) {
            Ok(()) => {
                let armed = watchdog.and_then(|seconds| {
                    arm(seconds, |driver| taken_over.contains(&driver), screen)
                });
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
    let armed = watchdog.and_then(|_| arm(watchdog::REBOOT_SECONDS, |_| true, screen));
    let armed = armed.unwrap_or_default();
    screen.stage(Stage::Leaving, &format!("how=reboot{option}{armed}"));
    reboot_now();
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
