//! The order of the boot (`slot.md 5.2`), from the kernel's first call of PID 1 to `/sbin/init`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use machine::drivers::{self, DriversError, Loader};
use machine::mounts;
use machine::partitions::{self, Partition};
use machine::watchdog::trial;
use thiserror::Error;
use wire::chain::chain;
use wire::field::FieldError;
use wire::record::Slot;
use wire::running::{self, Running};
use wire::slot::{DESCRIPTION, Description};
use wire::stage::Stage;
use wire::state::VAR_IMAGE;

use crate::console;
use crate::first::{self, FirstError};
use crate::leave::{self, Known};
use crate::look::{self, Devices, Found, LookError};
use crate::record::{self, Standing};
use crate::root::{Root, RootError};
use crate::state::{self, StateError};
use crate::switch::{self, SwitchError};
use crate::writable::{self, WritableError};

/// What is started at last.
const INIT: &str = "/sbin/init";
/// On the command line, behind it the slot that the boot loader has started.
const SLOT_KEY: &str = "smv.slot=";
/// On the command line: memory in place of the state partition.
const EMPTY_STATE: &str = "smv.state=empty";

/// The system cannot be started.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum BootError {
    /// The initramfs has none.
    #[error("reading /{DESCRIPTION} of the initramfs")]
    NoDescription(#[source] io::Error),
    /// It is damaged.
    #[error(transparent)]
    Description(#[from] FieldError),
    /// The command line.
    #[error("{SLOT_KEY}{found} is neither a nor b")]
    Slot { found: String },
    /// No slot.
    #[error(transparent)]
    Look(#[from] LookError),
    /// Its root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A directory that the image lacks.
    #[error(transparent)]
    Switch(#[from] SwitchError),
    /// The state partition.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its directories.
    #[error(transparent)]
    Writable(#[from] WritableError),
    /// What the first boot has to do.
    #[error(transparent)]
    First(#[from] FirstError),
    /// The text for the system.
    #[error("writing {}", running::PATH)]
    Running(#[source] io::Error),
    /// It is missing, or cannot be run.
    #[error("starting {INIT}")]
    Init(#[source] io::Error),
}

impl BootError {
    /// Could the other slot do better? Both share the state partition.
    const fn is_of_slot(&self) -> bool {
        !matches!(
            self,
            BootError::State(_) | BootError::Writable(_) | BootError::First(_)
        )
    }
}

/// Boots the machine: from the kernel's first call of PID 1 to the exec of init.
pub fn run() -> ! {
    let mounted = mounts::mount_all();
    console::open();
    drivers::offer_help();
    std::panic::set_hook(Box::new(|info| {
        console::stage(Stage::Failed, &format!("a bug in slot-init: {info}"));
        leave::again(leave::TRIAL_PAUSE);
    }));
    for error in mounted.err().unwrap_or_default() {
        console::warning(&chain(&error).to_string()); // what depends on it says what it misses
    }
    let mut known = Known::default();
    let Err(error) = boot(&mut known);
    leave::go(&chain(&error).to_string(), &known, error.is_of_slot());
}

/// Returns only when it fails; `known` is what is known by then.
fn boot(known: &mut Known) -> Result<std::convert::Infallible, BootError> {
    let text = fs::read(Path::new("/").join(DESCRIPTION)).map_err(BootError::NoDescription)?;
    let slot = Description::parse(&text)?;
    // An empty line asks for nothing.
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let Description {
        product,
        version,
        counter,
        ..
    } = slot;
    let facts = format!("product={product} version={version} counter={counter}");
    console::stage(Stage::Starting, &facts);
    let report = |error: &DriversError| console::warning(&chain(error).to_string());
    let loader = Loader::open(&line, &report).unwrap_or_else(|error| {
        report(&error);
        None
    });
    let mut devices = Devices::start(loader)?;
    let looked = look::find(&slot, wanted(&line)?, &mut devices);
    let meant = looked.as_ref().map_or_else(LookError::found, Some).cloned();
    let partitions = partitions::read(Path::new(partitions::CLASS));
    if let Some(meant) = &meant {
        learn(known, meant, &partitions);
    }
    let watchdog = match known.standing {
        Some(Standing::Trial(_)) => start_watchdog(),
        _ => None,
    };
    let found = looked?;
    let facts = format!(
        "slot={} disk={}",
        found.slot,
        found.partition.disk_node().display()
    );
    console::stage(Stage::Planned, &facts);

    let root = Root::mount(&slot, &found.partition)?;
    switch::enter()?;
    let trial = matches!(known.standing, Some(Standing::Trial(_)));
    make_writable(&slot, &partitions, &found, &line, trial)?;
    tell(&slot, &found, known, watchdog.as_deref())?;
    probe_init()?;
    root.guard()?;
    console::stage(Stage::Leaving, &format!("how=init slot={}", found.slot));
    console::give_back();
    let error = Command::new(INIT).args(std::env::args_os().skip(1)).exec();
    Err(BootError::Init(error))
}

/// The slot that the boot loader has started; `None` when it says nothing.
fn wanted(line: &str) -> Result<Option<Slot>, BootError> {
    let words = line.split_ascii_whitespace();
    let Some(found) = words
        .filter_map(|word| word.strip_prefix(SLOT_KEY))
        .next_back()
    else {
        return Ok(None);
    };
    Slot::from_name(found)
        .map(Some)
        .ok_or_else(|| BootError::Slot {
            found: found.to_owned(),
        })
}

/// Reads what the disk says about its slots. Without a record the slot boots all the same; a new
/// one is left to `recover`, which knows by the ledger what was confirmed.
fn learn(known: &mut Known, meant: &Found, partitions: &[Partition]) {
    let Found { slot, partition } = meant;
    let is_other = |one: &&Partition| {
        one.disk == partition.disk && one.name == wire::slot::partition_name(slot.other())
    };
    let other = partitions.iter().find(is_other);
    known.other_is_complete = other.is_some_and(|other| record::label(other).is_some());
    let read = record::esp(partitions, &partition.disk).and_then(|esp| {
        known.esp = Some(esp.clone());
        record::read(esp)
    });
    match read {
        Ok(record) => {
            known.standing = Some(Standing::of(*slot, &record));
            known.record = Some(record);
        }
        Err(error) => {
            console::warning(&chain(&error).to_string());
        }
    }
}

/// A trial that hangs is reset by hardware, where there is some.
fn start_watchdog() -> Option<String> {
    match trial::start(trial::SECONDS) {
        Ok(Some(running)) => {
            let device = running.device().display().to_string();
            console::stage(
                Stage::Starting,
                &format!("watchdog={device} seconds={}", running.seconds()),
            );
            // It goes on counting, which the kernel calls critical when the file is closed. Open
            // across exec, every service would inherit it, and nobody else could open the device.
            console::unseen(|| drop(running));
            Some(device)
        }
        Ok(None) => {
            console::warning("this machine has no watchdog: a trial that hangs is not reset");
            None
        }
        Err(error) => {
            console::warning(&chain(&error).to_string());
            None
        }
    }
}

/// The state partition, and what it holds put over the root.
fn make_writable(
    slot: &Description<'_>,
    partitions: &[Partition],
    found: &Found,
    line: &str,
    is_trial: bool,
) -> Result<(), BootError> {
    if line
        .split_ascii_whitespace()
        .any(|word| word == EMPTY_STATE)
    {
        console::warning("smv.state=empty: nothing that is written now outlives this boot");
        state::attach_empty()?;
    } else {
        let node = state::find(partitions, &found.partition.disk)?;
        state::check(&node)?;
        state::attach(&node)?;
    }
    writable::prepare()?;
    let text = fs::read_to_string(Path::new("/").join(VAR_IMAGE)).unwrap_or_default();
    let left_out: Vec<PathBuf> = writable::left_out(&text);
    let state = Path::new(state::DIRECTORY);
    match first::boot(&slot.hash, Path::new("/"), state, &left_out) {
        Err(error) if is_trial => return Err(error.into()),
        // A system that runs with less can still be repaired.
        Err(error) => console::warning(&chain(&error).to_string()),
        Ok(()) => {}
    }
    writable::attach(&left_out)?;
    state::hide();
    Ok(())
}

/// Leaves `/run/smv/boot` to the system.
fn tell(
    slot: &Description<'_>,
    found: &Found,
    known: &Known,
    watchdog: Option<&str>,
) -> Result<(), BootError> {
    let label = record::label(&found.partition);
    let disk = found.partition.disk_node().display().to_string();
    let running = Running {
        slot: found.slot,
        product: slot.product,
        version: slot.version,
        counter: slot.counter,
        digest: label.map(|label| label.digest),
        hash: slot.hash,
        trial: match known.standing {
            Some(Standing::Trial(left)) => Some(left),
            Some(Standing::Good | Standing::Chosen) | None => None,
        },
        fell: known
            .record
            .is_some_and(|record| record.fell && record.good == found.slot),
        disk: &disk,
        watchdog,
    };
    let path = Path::new(running::PATH);
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, running.to_string())?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o444))
    };
    write().map_err(BootError::Running)
}

/// Reads it once while an error can still be said.
fn probe_init() -> Result<(), BootError> {
    let mut file = fs::File::open(INIT).map_err(BootError::Init)?;
    io::copy(&mut file, &mut io::sink()).map_err(BootError::Init)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::wanted;
    use wire::record::Slot;

    #[test]
    fn the_last_word_about_the_slot_counts() {
        assert_eq!(wanted("quiet").unwrap(), None);
        assert_eq!(
            wanted("smv.slot=a quiet smv.slot=b\n").unwrap(),
            Some(Slot::B)
        );
        let error = wanted("smv.slot=c").unwrap_err().to_string();
        assert_eq!(error, "smv.slot=c is neither a nor b");
    }
}
