//! From a blank machine to the installed system, in one run of QEMU: the firmware falls through to
//! the CD, and after the deploy it finds the disk by itself.

use std::time::Duration;

use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::error::{HarnessError, Result};
use crate::lab::{DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::running::Running;
use crate::machine::{Firmware, Machine};

use super::{DEMO_LOGIN, LOGIN};

pub(super) fn uefi_kexec(lab: &mut Lab) -> Result<()> {
    let (machine, mut target) = blank(lab, Firmware::Uefi, "smv.after=kexec")?;
    lab.deploy_demo(&mut target)?;
    must_leave_by(&mut target, "kexec")?;
    target.console.await_text(DEMO_LOGIN, LOGIN)?;
    lab.health(&machine, STEP).map(drop)
}

/// By kexec because the donor orders it, whatever the command line says; then by itself.
pub(super) fn bios_kexec(lab: &mut Lab) -> Result<()> {
    let (machine, mut target) = blank(lab, Firmware::Bios, "smv.after=poweroff")?;
    let shown = await_shown(&mut target)?;
    let order = Order::new(&shown, &lab.artifacts.demo).and(&["--after", "kexec"]);
    let mut donor = lab.donor(&order)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)?;
    must_leave_by(&mut target, "kexec")?;
    target.console.await_text(DEMO_LOGIN, LOGIN)?;
    lab.health(&machine, STEP)?;
    target.reset()?;
    target.console.await_text(DEMO_LOGIN, LOGIN).map(drop)
}

/// A machine with a blank disk and a CD.
fn blank(lab: &mut Lab, firmware: Firmware, more: &str) -> Result<(Machine, Running)> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.cd(more)?;
    let machine = lab.machine(firmware, vec![disk], medium)?;
    let target = lab.start(&machine)?;
    Ok((machine, target))
}

/// The target says how it leaves; what it says.
pub(super) fn must_leave_by(target: &mut Running, how: &str) -> Result<String> {
    let facts = target.console.await_stage(Stage::Leaving, STEP)?;
    if facts.contains(&format!("how={how}")) {
        return Ok(facts);
    }
    Err(HarnessError::unexpected(
        "the way the target leaves",
        format!("how={how}"),
        facts,
    ))
}

/// Checks that need a shell: everything in fstab is mounted, swap is on, the identity is the
/// machine's own.
pub(super) fn login_and_look(target: &mut Running) -> Result<()> {
    target.console.send("root")?;
    target.console.await_text("# ", STEP)?;
    let checks = [
        ("mount | grep ' / '", "ext4"),
        ("mount | grep ' /boot/efi '", "vfat"),
        ("cat /proc/swaps", "partition"),
        ("wc -c </etc/machine-id", "33"),
        ("test ! -d /sys/firmware/efi || echo uefi", "uefi"),
    ];
    look(target, &checks)
}

/// Logs in to Debian once it has started, and looks at what every installation has, and at `more`.
pub(super) fn look_at_debian(target: &mut Running, more: &[(&str, &str)]) -> Result<()> {
    target
        .console
        .await_text("smechvisor-debian login:", LOGIN)?;
    target.console.send("root")?;
    target.console.await_text("# ", STEP)?;
    await_running(target)?;
    let checks = [
        ("findmnt -no FSTYPE /", "ext4"),
        ("findmnt -no FSTYPE /boot/efi", "vfat"),
        ("findmnt --verify && echo fst''ab fine", "fstab fine"),
        ("swapon --show=TYPE,SIZE --noheadings", "partition"),
        ("wc -c </etc/machine-id", "33"),
        ("ls /etc/ssh/ssh_host_*_key | wc -l", "3"),
        ("systemctl is-active ssh", "active"),
    ];
    look(target, &[&checks, more].concat())
}

/// `--wait` returns when the boot has come to its end; `degraded` names the units that failed.
pub(super) fn await_running(target: &mut Running) -> Result<()> {
    let (state, _) = target.console.shell(
        "systemctl is-system-running --wait",
        Duration::from_secs(300),
    )?;
    if state.ends_with("running") {
        return Ok(());
    }
    let (units, _) = target
        .console
        .shell("systemctl --failed --no-pager --plain --no-legend", STEP)?;
    Err(HarnessError::unexpected(
        "systemctl is-system-running",
        "running",
        format!("{state}: {units}"),
    ))
}

pub(super) fn look(target: &mut Running, checks: &[(&str, &str)]) -> Result<()> {
    for (command, expected) in checks {
        let (printed, _) = target.console.shell(command, STEP)?;
        if !printed.contains(expected) {
            return Err(HarnessError::unexpected(*command, *expected, printed));
        }
    }
    Ok(())
}
