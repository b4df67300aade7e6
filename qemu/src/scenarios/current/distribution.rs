//! A distribution as the image of a slot: its init runs the services of the image, and its SSH
//! server has the same keys after an update.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wire::running;

use crate::actors::node::{await_confirmed, must_exit, started_within, status};
use crate::actors::releases::{Maker, PUBLIC, Version};
use crate::artifacts::Artifacts;
use crate::error::{HarnessError, Result};
use crate::lab::{Lab, STEP};
use crate::machine::running::Running;
use crate::machine::{Firmware, Medium};
use crate::scenarios::boots::{await_running, look};

use super::must;

const LOGIN: &str = "smechvisor-debian login:";
const DISK_MIB: u64 = 3 * 1024;
/// Kernel and the whole of its init, read through dm-verity by an emulated machine; before that the
/// end of the boot before.
const BOOT: Duration = Duration::from_secs(600);
/// The same machine writes, reads back and hashes 150 MB.
const UPDATE: Duration = Duration::from_secs(30 * 60);
/// What makes one node another than the next.
const IDENTITY: &str = "cat /etc/machine-id /etc/ssh/ssh_host_*";

/// Debian with one of its inits.
struct Distribution {
    /// As `systems/build` knows it.
    system: &'static str,
    packages: fn(&Artifacts) -> Option<&PathBuf>,
    /// Waits until everything has started.
    await_started: fn(&mut Running) -> Result<()>,
    /// Commands, and what they print when the services are content.
    services: &'static [(&'static str, &'static str)],
    /// Waits for the end of `confirm --wait`, and prints something that has this in it.
    confirm_ended: (&'static str, &'static str),
    /// Prints whether the service of the host keys had something to do, `yes` or `no`.
    keys_were_made: &'static str,
    reboot: &'static str,
}

const SYSTEMD: Distribution = Distribution {
    system: "debian",
    packages: |artifacts| artifacts.debian.as_ref(),
    await_started: await_running,
    services: &[
        ("systemctl is-active ssh", "active"),
        ("systemctl is-active smechvisor-recover", "active"),
    ],
    confirm_ended: (
        "while systemctl is-active -q smechvisor-confirm; do sleep 1; done; \
         systemctl --no-pager show -P Result smechvisor-confirm",
        "success",
    ),
    keys_were_made: "systemctl --no-pager show -P ConditionResult smechvisor-ssh-host-keys",
    reboot: "systemctl reboot",
};

const OPENRC: Distribution = Distribution {
    system: "debian-openrc",
    packages: |artifacts| artifacts.openrc.as_ref(),
    // Debian's inittab offers a login when the runlevel has been entered.
    await_started: |target| look(target, &[("rc-status -r", "default")]),
    services: &[
        ("rc-service ssh status", "running"),
        ("rc-service smechvisor-recover status", "started"),
        ("rc-service smechvisor-confirm status", "started"),
    ],
    confirm_ended: (
        "while kill -0 $(cat /run/smechvisor-confirm.pid) 2>/dev/null; do sleep 1; done; \
         echo en''ded",
        "ended",
    ),
    keys_were_made: "test /etc/ssh/ssh_host_rsa_key -nt /run/smv/boot && echo yes || echo no",
    reboot: "reboot",
};

impl Distribution {
    fn maker(&self, lab: &Lab) -> Result<Maker> {
        let Some(packages) = (self.packages)(&lab.artifacts) else {
            return Err(HarnessError::Missing {
                what: format!("the packages of {}", self.system),
                hint: format!("systems/build {}", self.system),
            });
        };
        Maker::of(lab, self.system, packages, Path::new("-"))
    }
}

/// A version whose trial an emulated machine has time for.
const fn version(name: &str, counter: u32) -> Version<'_> {
    Version {
        within: 1200,
        ..Version::healthy(name, counter)
    }
}

pub(in crate::scenarios) fn debian(lab: &mut Lab) -> Result<()> {
    stays_current(lab, &SYSTEMD)
}

pub(in crate::scenarios) fn openrc(lab: &mut Lab) -> Result<()> {
    stays_current(lab, &OPENRC)
}

fn stays_current(lab: &mut Lab, kind: &Distribution) -> Result<()> {
    let maker = kind.maker(lab)?;
    let first = maker.release(lab, &version("v1", 1))?;
    let second = maker.disk(lab, &version("v2", 2))?;
    lab.bake(&["--trust", PUBLIC])?;
    let medium = lab.kernel("smv.layout=ab smv.slot=256M smv.after=poweroff");
    let node = lab.disk("node", DISK_MIB)?;
    let mut machine = lab.machine(Firmware::Uefi, vec![node], medium)?;
    machine.memory_mib = 1024;
    let mut target = lab.start(&machine)?;
    lab.deploy(&mut target, &first)?;
    target.await_power_off(STEP)?;

    machine.medium = Medium::None;
    machine.patches_itself = true;
    machine.disks.push(second);
    let mut target = lab.start(&machine)?;
    log_in(&mut target, kind, "a")?;
    installed(&mut target, kind)?;
    let (identity, _) = target.console.shell(IDENTITY, STEP)?;
    update(&mut target, kind)?;
    log_in(&mut target, kind, "b")?;
    kept(&mut target, kind)?;
    let (found, _) = target.console.shell(IDENTITY, STEP)?;
    if found != identity {
        let what = "machine-id and SSH host keys after an update";
        return Err(HarnessError::unexpected(what, identity, found));
    }
    target.console.send(kind.reboot)?;
    log_in(&mut target, kind, "b")?;
    must(&mut target, &[(status("standing"), "confirmed")])?;
    target.quit()
}

/// Waits for the system of this slot, to the last service.
fn log_in(target: &mut Running, kind: &Distribution, slot: &str) -> Result<()> {
    let found = started_within(target, BOOT)?;
    if found != slot {
        return Err(HarnessError::unexpected("the slot", slot, found));
    }
    target.console.await_text(LOGIN, BOOT)?;
    target.console.send("root")?;
    target.console.await_text("# ", STEP)?;
    (kind.await_started)(target)
}

/// The first version runs: its services are content, and the keys are there.
fn installed(target: &mut Running, kind: &Distribution) -> Result<()> {
    let checks = [
        ("findmnt -no FSTYPE /", "squashfs"),
        ("findmnt -no FSTYPE /etc", "overlay"),
        ("findmnt -no FSTYPE /var", "ext4"),
        ("findmnt -no FSTYPE /var/lib/dpkg", "squashfs"),
        ("wc -c </etc/machine-id", "33"),
        ("ls /etc/ssh/ssh_host_*_key | wc -l", "3"),
        (kind.keys_were_made, "yes"),
        kind.confirm_ended,
    ];
    look(target, &checks)?;
    look(target, kind.services)?;
    let checks = [(status("standing"), "confirmed"), (status("version"), "v1")];
    must(target, &checks)
}

/// Has the second version tried.
fn update(target: &mut Running, kind: &Distribution) -> Result<()> {
    let (printed, code) = target.console.shell("spk-visor update /dev/vdb", UPDATE)?;
    if code != 0 {
        let found = format!("exit code {code}: {printed}");
        return Err(HarnessError::unexpected("update", "exit code 0", found));
    }
    // Debian's kernel for virtual machines drives no watchdog.
    must_exit(target, "spk-visor activate", 16)?;
    must_exit(target, "spk-visor activate --without-watchdog", 0)?;
    target.console.send(kind.reboot)
}

/// The second version is on trial, and its own service keeps it; no keys are made.
fn kept(target: &mut Running, kind: &Distribution) -> Result<()> {
    let boot = format!("cat {}", running::PATH);
    must(target, &[(boot, "trial 1\nleft 2\n")])?;
    await_confirmed(target)?;
    look(target, &[(kind.keys_were_made, "no"), kind.confirm_ended])?;
    look(target, kind.services)?;
    must(target, &[(status("version"), "v2")])
}
