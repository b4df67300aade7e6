//! The ways in which a trial fails: each is started as often as a trial is, then the old version is
//! back, and the new one is not started again by itself.
//!
//! Every machine begins with a disk that was made on the host: the first version is confirmed in
//! slot A, the second one lies whole in slot B and is armed, and one thing is wrong.

mod fixture;
mod kinds;

use std::time::Duration;

use wire::record::{Left, Slot};
use wire::stage::Stage;

use crate::actors::node::{TRIES, log_in, must_exit, started, status};
use crate::error::{HarnessError, Result};
use crate::lab::{Lab, STEP};
use crate::machine::running::Running;
use crate::machine::{DiskSpec, Firmware, Medium};
use crate::media::node_disk::NodeDisk;

use super::LOGIN;
use super::current::must;
use fixture::Fixture;
use kinds::{Course, Kind};

/// How often GRUB's model starts what a machine has left on its disk: more than a trial has.
const STARTS: usize = 5;
/// slot-init starts the watchdog for 180 s, and what judges the trial has fed it once or twice.
const WATCHDOG: Duration = Duration::from_secs(240);
/// The kernel's first line.
const KERNEL: &str = "Linux version";
/// GRUB's, once all attempts are spent.
const SPENT: &str = "tried and not confirmed";

pub(super) fn bios(lab: &mut Lab) -> Result<()> {
    all(lab, Firmware::Bios, &kinds::QUICK_BIOS)
}

pub(super) fn uefi(lab: &mut Lab) -> Result<()> {
    all(lab, Firmware::Uefi, &kinds::QUICK_UEFI)
}

pub(super) fn grub_bios(lab: &mut Lab) -> Result<()> {
    all(lab, Firmware::Bios, &kinds::GRUB)
}

pub(super) fn grub_uefi(lab: &mut Lab) -> Result<()> {
    all(lab, Firmware::Uefi, &kinds::GRUB)
}

pub(super) fn system_bios(lab: &mut Lab) -> Result<()> {
    all(lab, Firmware::Bios, &kinds::SYSTEM)
}

pub(super) fn system_uefi(lab: &mut Lab) -> Result<()> {
    all(lab, Firmware::Uefi, &kinds::SYSTEM)
}

pub(super) fn hang_bios(lab: &mut Lab) -> Result<()> {
    all(lab, Firmware::Bios, &[kinds::HANG])
}

pub(super) fn hang_uefi(lab: &mut Lab) -> Result<()> {
    all(lab, Firmware::Uefi, &[kinds::HANG])
}

fn all(lab: &mut Lab, firmware: Firmware, kinds: &[Kind]) -> Result<()> {
    let mut fixture = Fixture::new(lab)?;
    for kind in kinds {
        let node = fixture.node(lab, kind)?;
        fails(lab, firmware, kind, &node).map_err(|source| HarnessError::Within {
            part: kind.name,
            source: Box::new(source),
        })?;
        std::fs::remove_file(node.path()).ok();
        println!("{}: {firmware}, {}", kind.name, kind.course);
    }
    Ok(())
}

/// One machine, from its first start to what it leaves on its disk.
fn fails(lab: &mut Lab, firmware: Firmware, kind: &Kind, node: &NodeDisk) -> Result<()> {
    if kind.fills_state {
        fill_state(lab, firmware, node)?;
    }
    (kind.damage)(node)?;
    let mut disk = DiskSpec::new(node.path(), "SMV-node");
    if kind.loses_writes {
        disk.unwritable = fixture::record_sectors(node)?;
    }
    let mut machine = lab.machine(firmware, vec![disk], Medium::None)?;
    kind.name.clone_into(&mut machine.name);
    machine.has_watchdog = true;
    let mut target = lab.start(&machine)?;
    let kernels = match kind.course {
        Course::Untried => 1,
        Course::BootFiles => TRIES,
        _ => TRIES + 1,
    };
    if kind.course != Course::Untried {
        for left in (0..TRIES).rev() {
            attempt(&mut target, kind.course, left)?;
        }
    }
    if !matches!(kind.course, Course::Untried | Course::BootFiles) {
        target.console.await_text(SPENT, WATCHDOG + LOGIN)?;
    }
    // The last attempt of boot files that are damaged ends in the good slot.
    log_in(&mut target, "a")?;
    old_version(&mut target, kind)?;
    must_exit(&mut target, "sync", 0)?;
    let found = target.console.text().matches(KERNEL).count();
    target.quit()?;
    if found != kernels {
        return Err(HarnessError::unexpected(
            "starts of a kernel",
            kernels.to_string(),
            found.to_string(),
        ));
    }
    must_stay(kind, node)
}

/// One start of the trial, from GRUB's menu to its end.
fn attempt(target: &mut Running, course: Course, left: usize) -> Result<()> {
    let menu = format!("boots left after this one: {left}");
    // The one before may have to be ended by the watchdog.
    target.console.await_text(&menu, WATCHDOG + LOGIN)?;
    match course {
        Course::Untried => Ok(()),
        Course::BootFiles => {
            target.console.await_text("missing or damaged", LOGIN)?;
            if left == 0 {
                return Ok(());
            }
            must_start(target, Slot::A)?;
            target.reset()
        }
        Course::Panics => {
            let text = "Rebooting in 1 seconds";
            target.console.await_text(text, LOGIN).map(drop)
        }
        Course::Refused => {
            target.console.await_stage_of(&[Stage::Failed], LOGIN)?;
            let left = target.console.await_stage_of(&[Stage::Leaving], STEP);
            left.map(drop)
        }
        Course::LatePanic => {
            must_start(target, Slot::B)?;
            attempt_ends(target, "Rebooting in 1 seconds")
        }
        Course::Unhealthy => {
            must_start(target, Slot::B)?;
            attempt_ends(target, "is not healthy")
        }
        Course::Hangs => must_start(target, Slot::B),
    }
}

fn attempt_ends(target: &mut Running, text: &str) -> Result<()> {
    target.console.await_text(text, LOGIN).map(drop)
}

fn must_start(target: &mut Running, slot: Slot) -> Result<()> {
    let found = started(target)?;
    match found == slot.name() {
        true => Ok(()),
        false => Err(HarnessError::unexpected("the slot", slot.name(), found)),
    }
}

/// The first version runs, and knows what has failed.
fn old_version(target: &mut Running, kind: &Kind) -> Result<()> {
    // No attempt was recorded, so that the trial is still to come.
    let standing = match kind.loses_writes {
        true => "armed",
        false => "confirmed",
    };
    let mut checks = vec![
        (status("standing"), standing),
        (status("version"), fixture::FIRST),
    ];
    if kind.fills_state {
        // What could not be written down is, as soon as there is room again.
        must_exit(target, "rm /home/filler && sync", 0)?;
        must_exit(target, "spk-visor recover", 0)?;
    }
    if kind.course != Course::Untried {
        let failed = "spk-visor status --json | grep -o '\"failed\":.*'".to_owned();
        checks.push((status("rollbacks"), "1"));
        checks.push((failed, "\"counter\":2"));
    }
    must(target, &checks)
}

/// Whatever the machine starts from now on, it is the first version.
fn must_stay(kind: &Kind, node: &NodeDisk) -> Result<()> {
    let mut copies = node.copies()?;
    for _ in 0..STARTS {
        let pick = match kind.loses_writes {
            true => copies.boot_read_only(),
            false => copies.boot(),
        };
        if pick.slot != Slot::A || pick.is_trial {
            let found = format!("{pick:?}");
            return Err(HarnessError::unexpected("the next start", "slot a", found));
        }
    }
    let record = copies.record().map(|(record, _)| record);
    let is_armed = |left: Left| left > Left::NONE;
    match record {
        Ok(record) if kind.loses_writes || !record.trial.is_some_and(is_armed) => Ok(()),
        other => Err(HarnessError::unexpected(
            "the boot record",
            "no trial",
            format!("{other:?}"),
        )),
    }
}

/// Starts the first version once, not yet armed, and leaves no room on its state partition.
fn fill_state(lab: &mut Lab, firmware: Firmware, node: &NodeDisk) -> Result<()> {
    let armed = node.copies()?;
    node.write_record(&wire::record::BootRecord::new(Slot::A))?;
    let disk = DiskSpec::new(node.path(), "SMV-node");
    let mut machine = lab.machine(firmware, vec![disk], Medium::None)?;
    "filling".clone_into(&mut machine.name);
    let mut target = lab.start(&machine)?;
    log_in(&mut target, "a")?;
    // dd stops where there is no room; the second one takes what is left of a whole MiB.
    let fill = "dd if=/dev/zero of=/home/filler bs=1M; sync; \
                dd if=/dev/zero bs=1k >>/home/filler; sync; true";
    must_exit(&mut target, fill, 0)?;
    target.quit()?;
    let record = armed.record().map(|(record, _)| record);
    let record = record
        .map_err(|error| HarnessError::unexpected("the boot record", "armed", error.to_string()))?;
    node.write_record(&record)
}
