//! Watchdogs: a reset for a machine that does not get through a deploy (`boot.md` 9) or out of it
//! (`boot.md` 6).
//!
//! During a deploy any will do, and it is fed and stopped by this kernel ([`Fed`]).
//!
//! On the way out only hardware counts. It is started at the last moment and left running, and only
//! for an installed system that has its driver: that stops it or takes it over. After a reboot the
//! reset has stopped it before, on most machines; QEMU's iTCO goes on counting. Watchdogs that are
//! programs of this kernel end with it and do not count here.
//!
//! A system that is tried after an update has one of its own ([`trial`]).

pub mod trial;

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use thiserror::Error;
use wire::names::WATCHDOG_TIMERS;
use wire::outcome::Outcome;

const CLASS: &str = "/sys/class/watchdog";
/// Without this the kernel stops the watchdog on its way into reboot and kexec
/// (`watchdog_reboot_notifier()` in `drivers/watchdog/watchdog_core.c`).
const STOPS: &str = "/sys/module/watchdog/parameters/stop_on_reboot";
/// A reboot that is not through with the kernel's part of it by then hangs.
pub const REBOOT_SECONDS: u16 = 120;
/// From the jump into the installed kernel to its driver: initial ramdisk, slow disks, a large
/// machine.
pub const KEXEC_SECONDS: u16 = 180;
/// A timer that cannot wait as long as this would reset machines that are well.
const LEAST_SECONDS: u16 = 60;

/// The name of the software watchdog (`drivers/watchdog/softdog.c`).
const SOFTWARE: &str = "Software Watchdog";
/// How long one waits for its food during a deploy: a machine that is busy is not dead.
const FED_SECONDS: u16 = 60;
/// One that waits less is left alone.
const FED_LEAST_SECONDS: u16 = 10;
/// The letter before closing that stops it (`Documentation/watchdog/watchdog-api.rst`).
const STOP: &[u8] = b"V";

/// Keeps it open: closing may stop it.
static RUNNING: OnceLock<File> = OnceLock::new();

/// There is one and it cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum WatchdogError {
    /// Opening starts it.
    #[error("starting the watchdog {}", path.display())]
    Start {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It has another time than the one asked for.
    #[error("setting the watchdog {} to {seconds} s", path.display())]
    Time {
        path: PathBuf,
        /// Asked for.
        seconds: u16,
        #[source]
        source: io::Error,
    },
    /// It goes on counting.
    #[error("stopping the watchdog {}", path.display())]
    Stop {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is too hasty.
    #[error("the watchdog {} waits at most {most} s", path.display())]
    Hasty {
        path: PathBuf,
        /// Its longest time.
        most: u16,
    },
    /// This kernel has no driver for one, and none in software.
    #[error("this machine has no watchdog that can be started and stopped")]
    None,
    /// A kernel that needs an option for it.
    #[error(
        "this kernel stops the watchdog when it leaves; watchdog.stop_on_reboot=0 on its command \
         line keeps it running"
    )]
    Stops,
}

impl WatchdogError {
    /// The machine leaves without.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// One that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    /// Its driver.
    pub driver: &'static str,
    /// The rest of the timeout.
    pub seconds: u64,
}

/// Those that are fed during a deploy. Dropping them stops them.
#[derive(Debug)]
pub struct Fed(Vec<Started>);

#[derive(Debug)]
struct Started {
    file: File,
    identity: String,
    seconds: u64,
}

/// One that may be started and stopped again.
#[derive(Debug, PartialEq, Eq)]
struct Feedable {
    device: PathBuf,
    identity: String,
    /// The timeout to ask for: a driver refuses more than it supports (`EINVAL`).
    seconds: u16,
}

impl Fed {
    /// Starts all there are: hardware because it outlives the kernel, software because hardware may
    /// count and never reset, as QEMU's iTCO does unless its machine is configured otherwise.
    ///
    /// # Errors
    /// No watchdog, or why the last one that was tried cannot be used.
    pub fn start() -> Result<Self, WatchdogError> {
        let (mut started, mut last) = (Vec::new(), WatchdogError::None);
        for Feedable {
            device,
            identity,
            seconds,
        } in feedable(Path::new(CLASS), FED_SECONDS)
        {
            match open(device, seconds) {
                Ok((file, seconds)) => started.push(Started {
                    file,
                    identity,
                    seconds,
                }),
                Err(error) => last = error,
            }
        }
        if started.is_empty() {
            return Err(last);
        }
        Ok(Self(started))
    }

    /// Once more: each waits its whole time again.
    pub fn feed(&self) {
        for Started { file, .. } in &self.0 {
            // Any byte but the one that allows stopping. One that takes none resets the machine,
            // which is what it is for.
            let _ = io::Write::write_all(&mut &*file, b"f");
        }
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        for Started { file, .. } in &self.0 {
            // It could be stopped when it was chosen.
            let _ = io::Write::write_all(&mut &*file, STOP);
        }
    }
}

impl fmt::Display for Fed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Started {
            identity, seconds, ..
        } in &self.0
        {
            write!(f, "watchdog={identity:?} seconds={seconds} ")?;
        }
        write!(f, "fed while this deploy moves")
    }
}

/// Those that may be started, to wait `seconds` or as long as they can, the best first. One that
/// cannot be stopped would reset the installed system.
fn feedable(class: &Path, seconds: u16) -> Vec<Feedable> {
    let mut found: Vec<_> = names(class)
        .filter_map(|name| {
            let read = |attribute: &str| fs::read_to_string(class.join(&name).join(attribute)).ok();
            let identity = read("identity")?.trim().to_owned();
            let number = |attribute| read(attribute)?.trim().parse::<u64>().ok();
            let most = number("max_timeout").filter(|most| *most > 0); // 0: no limit known
            let most = most.map_or(u16::MAX, |most| u16::try_from(most).unwrap_or(u16::MAX));
            let is_stoppable = number("nowayout") != Some(1);
            (is_stoppable && most >= FED_LEAST_SECONDS).then(|| Feedable {
                device: Path::new("/dev").join(&name),
                identity,
                seconds: seconds.min(most),
            })
        })
        .collect();
    found.sort_by_key(|one| one.identity == SOFTWARE); // stable: else by their names
    found
}

/// One that does not run yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Timer {
    device: PathBuf,
    driver: &'static str,
    /// Where it says so.
    most_seconds: Option<u16>,
}

/// Starts the first that `is_wanted` by the name of its driver, for so many seconds. `None` when
/// the machine has none.
///
/// # Errors
/// It could not be started, or not for that long. It does not run then, as far as the hardware can
/// be stopped.
pub fn arm(seconds: u16, is_wanted: impl Fn(&str) -> bool) -> Result<Option<Armed>, WatchdogError> {
    let timers = timers(Path::new(CLASS));
    let Some(timer) = timers.into_iter().find(|timer| is_wanted(timer.driver)) else {
        return Ok(None);
    };
    if fs::read_to_string(STOPS).is_ok_and(|value| value.trim() != "0") {
        return Err(WatchdogError::Stops);
    }
    start(timer, seconds).map(Some)
}

fn start(timer: Timer, seconds: u16) -> Result<Armed, WatchdogError> {
    let Timer {
        device: path,
        driver,
        most_seconds,
    } = timer;
    let most = most_seconds.unwrap_or(seconds);
    if most < seconds.min(LEAST_SECONDS) {
        return Err(WatchdogError::Hasty { path, most });
    }
    let (file, seconds) = open(path, seconds.min(most))?;
    let _ = RUNNING.set(file); // a second one is closed, which may stop it; the first runs
    Ok(Armed { driver, seconds })
}

/// Opening starts it. Returns how long it waits now.
fn open(path: PathBuf, seconds: u16) -> Result<(File, u64), WatchdogError> {
    let file = match OpenOptions::new().write(true).open(&path) {
        Ok(file) => file,
        Err(source) => return Err(WatchdogError::Start { path, source }),
    };
    match sys::watchdog::set_timeout(&file, seconds) {
        Ok(seconds) => Ok((file, seconds)),
        Err(errno) => {
            let _ = io::Write::write_all(&mut &file, STOP); // where it can be stopped
            Err(WatchdogError::Time {
                path,
                seconds,
                source: errno.into(),
            })
        }
    }
}

/// In order.
fn names(class: &Path) -> impl Iterator<Item = OsString> {
    let names = fs::read_dir(class).into_iter().flatten().flatten();
    let mut names: Vec<_> = names.map(|entry| entry.file_name()).collect();
    names.sort();
    names.into_iter()
}

/// In the order of their names.
fn timers(class: &Path) -> Vec<Timer> {
    let timers = names(class).filter_map(|name| {
        let read = |attribute: &str| fs::read_to_string(class.join(&name).join(attribute)).ok();
        let identity = read("identity")?;
        let (_, driver) = WATCHDOG_TIMERS
            .iter()
            .find(|(known, _)| *known == identity.trim())?;
        let most = read("max_timeout").and_then(|text| text.trim().parse::<u64>().ok());
        Some(Timer {
            device: Path::new("/dev").join(&name),
            driver,
            // 0: any time, kept by the kernel, which is not there any more when it counts; the
            // driver does not report its own limit.
            most_seconds: most
                .filter(|most| *most > 0)
                .map(|most| u16::try_from(most).unwrap_or(u16::MAX)),
        })
    });
    timers.collect()
}

#[cfg(test)]
mod tests {
    use super::{Feedable, Timer, WatchdogError, feedable, start, timers};
    use std::fs;
    use std::path::{Path, PathBuf};

    #[test]
    fn only_timers_of_chipsets_count() {
        let class = std::env::temp_dir().join(format!("smv-watchdogs-{}", std::process::id()));
        for (name, identity, most) in [
            ("watchdog0", "Software Watchdog\n", "65535\n"),
            ("watchdog1", "iTCO_wdt\n", "613\n"),
            ("watchdog2", "i6300ESB timer\n", "0\n"),
        ] {
            fs::create_dir_all(class.join(name)).unwrap();
            fs::write(class.join(name).join("identity"), identity).unwrap();
            fs::write(class.join(name).join("max_timeout"), most).unwrap();
        }
        fs::create_dir_all(class.join("watchdog3")).unwrap();
        let timer = |device: &str, driver, most_seconds| Timer {
            device: PathBuf::from(device),
            driver,
            most_seconds,
        };
        let expected = [
            timer("/dev/watchdog1", "iTCO_wdt", Some(613)),
            timer("/dev/watchdog2", "i6300esb", None),
        ];
        assert_eq!(timers(&class), expected);
        fs::remove_dir_all(class).unwrap();
        assert!(timers(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn a_deploy_takes_hardware_before_software_what_can_be_stopped_and_as_long_as_it_can_wait() {
        let class = std::env::temp_dir().join(format!("smv-feedable-{}", std::process::id()));
        for (name, identity, most, nowayout) in [
            ("watchdog0", "Software Watchdog", "65535", "0"),
            ("watchdog1", "iTCO_wdt", "613", "1"),
            ("watchdog2", "of a BMC", "0", "0"),
            ("watchdog3", "hasty", "9", "0"),
            ("watchdog4", "short", "59", "0"),
            ("watchdog5", "shortest", "10", "0"),
            ("watchdog6", "minutes", "61", "0"),
            ("watchdog7", "days", "4294967", "0"),
        ] {
            let directory = class.join(name);
            fs::create_dir_all(&directory).unwrap();
            let attributes = [
                ("identity", identity),
                ("max_timeout", most),
                ("nowayout", nowayout),
            ];
            for (attribute, text) in attributes {
                fs::write(directory.join(attribute), format!("{text}\n")).unwrap();
            }
        }
        let found = feedable(&class, 60);
        fs::remove_dir_all(&class).unwrap();
        let expected = [
            ("/dev/watchdog2", "of a BMC", 60),
            ("/dev/watchdog4", "short", 59),
            ("/dev/watchdog5", "shortest", 10),
            ("/dev/watchdog6", "minutes", 60),
            ("/dev/watchdog7", "days", 60),
            ("/dev/watchdog0", "Software Watchdog", 60),
        ];
        let expected = expected.map(|(device, identity, seconds)| Feedable {
            device: PathBuf::from(device),
            identity: identity.to_owned(),
            seconds,
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn a_hasty_one_or_none_at_all_is_left_alone() {
        let timer = |most| Timer {
            device: PathBuf::from("/dev/null"),
            driver: "iTCO_wdt",
            most_seconds: Some(most),
        };
        assert!(matches!(
            start(timer(38), 180),
            Err(WatchdogError::Hasty { most: 38, .. })
        ));
        // Long enough, or as long as it was asked for; what is there is no watchdog.
        for (most, seconds) in [(76, 180), (38, 20)] {
            let error = start(timer(most), seconds).unwrap_err();
            assert!(
                matches!(
                    error,
                    WatchdogError::Time { seconds: tried, .. } if tried == most.min(seconds)
                ),
                "{error}"
            );
        }
    }
}
