//! A node with two slots, at its serial console: which slot starts, and the commands by which it is
//! kept current (`update.md` 2).

use std::time::Duration;

use wire::stage::Stage;

use crate::error::{HarnessError, Result};
use crate::lab::{BOOT, DEMO_LOGIN, STEP};
use crate::machine::running::Running;

/// The size of its disk.
pub const DISK_MIB: u64 = 2 * 1024;
/// The words of the command line with which a machine becomes one.
pub const DEPLOY_WORDS: &str = "smv.layout=ab smv.slot=64M smv.after=poweroff";
/// The starts that a trial gets.
pub const TRIES: usize = 3;
/// An emulated machine hashes 20 MB, and its services judge a trial.
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until slot-init leaves for the system of a slot, and returns the slot.
///
/// # Errors
/// It does not in time.
pub fn started(target: &mut Running) -> Result<String> {
    started_within(target, BOOT)
}

/// The same in so much time.
///
/// # Errors
/// It does not in time.
pub fn started_within(target: &mut Running, patience: Duration) -> Result<String> {
    let facts = target.console.await_stage(Stage::Leaving, patience)?;
    let mut words = facts.split_whitespace();
    let slot = words.find_map(|word| word.strip_prefix("slot="));
    slot.map(str::to_owned)
        .ok_or_else(|| HarnessError::unexpected("the line of stage leaving", "slot=…", facts))
}

/// Waits for the system of this slot, and logs in.
///
/// # Errors
/// Another slot starts, or nothing does in time.
pub fn log_in(target: &mut Running, slot: &str) -> Result<()> {
    let found = started(target)?;
    if found != slot {
        return Err(HarnessError::unexpected("the slot", slot, found));
    }
    target.console.await_text(DEMO_LOGIN, BOOT)?;
    target.console.send("root")?;
    target.console.await_text("# ", STEP).map(drop)
}

/// Types a command, which ends with this code, and returns what it prints.
///
/// # Errors
/// It ends with another code, or not in time.
pub fn must_exit(target: &mut Running, command: &str, code: i32) -> Result<String> {
    let (printed, found) = target.console.shell(command, PATIENCE)?;
    if found == code {
        return Ok(printed);
    }
    let found = format!("exit code {found}: {printed}");
    Err(HarnessError::unexpected(
        command,
        format!("exit code {code}"),
        found,
    ))
}

/// Has the release on this device tried from the next boot on, which begins at once.
///
/// # Errors
/// The release is not taken.
pub fn update(target: &mut Running, device: &str) -> Result<()> {
    must_exit(target, &format!("spk-visor update {device}"), 0)?;
    must_exit(target, "spk-visor activate", 0)?;
    target.console.send("reboot")
}

/// The command that prints one field of `status`.
#[must_use]
pub fn status(field: &str) -> String {
    format!("spk-visor status --json | grep -o '\"{field}\":[^,]*'")
}

/// The service judges the trial: it is asked for until there is a verdict.
///
/// # Errors
/// No verdict in time.
pub fn await_confirmed(target: &mut Running) -> Result<()> {
    let confirmed = "spk-visor status --json | grep -q '\"standing\":\"confirmed\"'";
    must_exit(target, &format!("until {confirmed}; do sleep 1; done"), 0).map(drop)
}
