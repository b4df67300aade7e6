//! A node that keeps itself current, from the deploy on: a version that is healthy stays, one that
//! is not is left again by itself, and nothing but its own command line is used on the way.

use wire::running;

use crate::actors::node::{
    DEPLOY_WORDS, DISK_MIB, TRIES, await_confirmed, log_in, must_exit, started, status, update,
};
use crate::actors::releases::{Maker, PUBLIC, Version};
use crate::error::{HarnessError, Result};
use crate::lab::{BOOT, Lab, MEMORY_MIB, STEP};
use crate::machine::running::Running;
use crate::machine::{Bus, DiskSpec, Firmware, Machine, Medium};

use super::boots::look;
use super::{daemons, package_disk};

mod distribution;

pub(super) use distribution::{debian, openrc};

/// As little as a machine may have that receives a system.
const SMALL_MIB: u32 = 64;

/// What a node is made of.
struct Hardware {
    firmware: Firmware,
    bus: Bus,
    sector_bytes: u32,
    memory_mib: u32,
}

const ORDINARY: Hardware = Hardware {
    firmware: Firmware::Bios,
    bus: Bus::Virtio,
    sector_bytes: 512,
    memory_mib: MEMORY_MIB,
};

pub(super) fn bios(lab: &mut Lab) -> Result<()> {
    stays_current(lab, &ORDINARY)
}

pub(super) fn uefi(lab: &mut Lab) -> Result<()> {
    let hardware = Hardware {
        firmware: Firmware::Uefi,
        bus: Bus::Nvme,
        sector_bytes: 4096,
        ..ORDINARY
    };
    stays_current(lab, &hardware)
}

/// What runs needs memory for the update beside its own.
pub(super) fn small_memory(lab: &mut Lab) -> Result<()> {
    let maker = Maker::new(lab)?;
    let second = maker.disk(lab, &Version::healthy("v2", 2))?;
    let hardware = Hardware {
        memory_mib: SMALL_MIB,
        ..ORDINARY
    };
    let (machine, mut target) = node(lab, &maker, &hardware, vec![second])?;
    deployed(lab, &machine, &mut target)?;
    healthy(&mut target, "/dev/vdb")?;
    target.quit()
}

fn stays_current(lab: &mut Lab, hardware: &Hardware) -> Result<()> {
    let maker = Maker::new(lab)?;
    let mut releases = vec![
        maker.disk(lab, &Version::healthy("v2", 2))?,
        maker.disk(lab, &Version::sick("v3", 3))?,
    ];
    let is_first = hardware.bus == Bus::Virtio;
    if is_first {
        releases.extend(daemons::bundles(lab)?);
        releases.push(package_disk::disk(lab)?);
    }
    let (machine, mut target) = node(lab, &maker, hardware, releases)?;
    deployed(lab, &machine, &mut target)?;
    if is_first {
        let disks = ["/dev/vdd", "/dev/vde", "/dev/vdf"];
        package_disk::is_laid(&mut target)?;
        daemons::swapped(&mut target, &daemons::BUSYBOX, disks)?;
        healthy(&mut target, "/dev/vdb")?;
        package_disk::is_kept(&mut target)?;
        without_record(&mut target)?;
        unhealthy(&mut target, "/dev/vdc")?;
    } else {
        healthy(&mut target, "/dev/vda")?;
        unhealthy(&mut target, "/dev/vdb")?;
    }
    target.quit()
}

/// A machine on which the first version was deployed, started from its disk with these behind it.
fn node(
    lab: &mut Lab,
    maker: &Maker,
    hardware: &Hardware,
    releases: Vec<DiskSpec>,
) -> Result<(Machine, Running)> {
    let first = maker.release(lab, &Version::healthy("v1", 1))?;
    lab.bake(&["--trust", PUBLIC])?;
    let medium = lab.kernel(DEPLOY_WORDS);
    let disk = lab.disk("node", DISK_MIB)?.on(hardware.bus);
    let disk = disk.sectors(hardware.sector_bytes);
    let mut machine = Machine {
        has_watchdog: true,
        memory_mib: hardware.memory_mib,
        ..lab.machine(hardware.firmware, vec![disk], medium)?
    };
    let mut target = lab.start(&machine)?;
    lab.deploy(&mut target, &first)?;
    target.await_power_off(STEP)?;
    machine.medium = Medium::None;
    machine.disks.extend(releases);
    let target = lab.start(&machine)?;
    Ok((machine, target))
}

/// The first version runs, and says so.
fn deployed(lab: &Lab, machine: &Machine, target: &mut Running) -> Result<()> {
    log_in(target, "a")?;
    lab.health(machine, STEP)?;
    let checks = [
        (status("standing"), "confirmed"),
        (status("version"), "v1"),
        ("cat /proc/swaps".to_owned(), "partition"),
        ("wc -c </etc/machine-id".to_owned(), "33"),
    ];
    must(target, &checks)
}

pub(super) fn must(target: &mut Running, checks: &[(String, &str)]) -> Result<()> {
    checks
        .iter()
        .try_for_each(|(command, expected)| look(target, &[(command.as_str(), expected)]))
}

/// The second one is tried, kept, and boots from then on.
fn healthy(target: &mut Running, second: &str) -> Result<()> {
    update(target, second)?;
    log_in(target, "b")?;
    let boot = format!("cat {}", running::PATH);
    must(target, &[(boot, "trial 1\nleft 2\n")])?;
    await_confirmed(target)?;
    must(target, &[(status("version"), "v2")])?;
    // What runs is not fetched again.
    must_exit(target, &format!("spk-visor update {second}"), 15)?;
    target.console.send("reboot")?;
    log_in(target, "b")?;
    let checks = [(status("standing"), "confirmed"), (status("version"), "v2")];
    must(target, &checks)
}

/// Both copies of the record are lost: the boot loader starts the first version, and the second one
/// is good again by the ledger.
fn without_record(target: &mut Running) -> Result<()> {
    let lose = "mkdir /tmp/esp && mount -t vfat /dev/vda1 /tmp/esp && cd /tmp/esp/smechvisor && \
                for copy in e1 e2; do dd if=/dev/zero of=$copy/env bs=1024 count=1 conv=notrunc; \
                done && cd / && umount /tmp/esp";
    must_exit(target, lose, 0)?;
    target.console.send("reboot")?;
    log_in(target, "a")?;
    let checks = [(status("standing"), "by-hand"), (status("version"), "v1")];
    must(target, &checks)?;
    target.console.send("reboot")?;
    log_in(target, "b")?;
    let checks = [(status("standing"), "confirmed"), (status("version"), "v2")];
    must(target, &checks)
}

/// The third one is tried as often as a trial is, and then the second one is back. Its first start
/// is without the firmware, and counts like the others.
fn unhealthy(target: &mut Running, third: &str) -> Result<()> {
    target.console.send(&format!(
        "spk-visor entire-system-upgrade {third} --after kexec"
    ))?;
    target
        .console
        .await_text("by kexec; starts left: 2", BOOT)?;
    for _ in 0..TRIES {
        let slot = started(target)?;
        if slot != "a" {
            return Err(HarnessError::unexpected("the slot on trial", "a", slot));
        }
    }
    log_in(target, "b")?;
    let failed = "spk-visor status --json | grep -o '\"failed\":.*'".to_owned();
    let checks = [
        (status("standing"), "confirmed"),
        (status("version"), "v2"),
        (status("rollbacks"), "1"),
        (failed, "\"counter\":3"),
    ];
    must(target, &checks)?;
    must_exit(target, &format!("spk-visor update {third}"), 16)?;
    must_exit(target, &format!("spk-visor update {third} --again"), 0).map(drop)
}
