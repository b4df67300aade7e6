//! The demo of updates: version 1 is deployed, version 2 is tried and kept, version 3 is broken,
//! tried three times and left again. The node is spoken to by its own commands alone.

use crate::actors::node::{
    DEPLOY_WORDS, DISK_MIB, TRIES, await_confirmed, log_in, must_exit, started,
};
use crate::actors::releases::{Maker, PUBLIC, Version};
use crate::artifacts::Artifacts;
use crate::error::{HarnessError, Result};
use crate::eyes::transcript::tells;
use crate::lab::{Lab, STEP};
use crate::machine::accel::Accel;
use crate::machine::running::Running;
use crate::machine::{Firmware, Machine, Medium};
use crate::network::Dhcp;

use super::{Narrator, received, say_where};

/// Steps of [`run`].
const STEPS: u32 = 10;
/// Where the node finds the disks of versions 2 and 3.
const DEVICES: [&str; 2] = ["/dev/vdb", "/dev/vdc"];
/// How `spk-visor update` ends when a version has failed here.
const NOT_NOW: i32 = 16;

/// Runs it in the current directory and the current network namespace.
pub(super) fn run(firmware: Firmware, artifacts: Artifacts, accel: Accel) -> Result<()> {
    let mut narrator = Narrator::new(STEPS);
    narrator.step("a network of its own: bridge, DHCP server, nothing of it outside this demo");
    let mut lab = Lab::set_up(artifacts, accel, Dhcp::On)?;
    lab.live = true;

    narrator.step(
        "a key, and three releases signed by it; version 3 is broken: a check of its own health \
         fails",
    );
    let maker = Maker::new(&lab)?;
    let first = maker.release(&lab, &Version::healthy("v1", 1))?;
    narrator.note("1 of 3: version 1, which the donor sends");
    let mut releases = Vec::new();
    for version in [Version::healthy("v2", 2), Version::sick("v3", 3)] {
        releases.push(maker.disk(&lab, &version)?);
        let number = version.counter;
        narrator.note(&format!(
            "{number} of 3: version {number}, on a disk of its own, as on a USB stick"
        ));
    }

    narrator.step(&format!(
        "a blank {firmware} machine starts from the CD ({}), which carries the public key; \
         smv.layout=ab asks for two slots",
        accel.name()
    ));
    lab.bake(&["--trust", PUBLIC])?;
    let medium = lab.cd(DEPLOY_WORDS)?;
    let node = lab.disk("node", DISK_MIB)?;
    let mut machine = lab.machine(firmware, vec![node], medium)?;
    machine.has_watchdog = true;
    let mut target = lab.start(&machine)?;
    let deployed = received(&mut narrator, &mut lab, &mut target, &first)?;
    target.await_power_off(STEP)?;
    narrator.note("slot a holds version 1; the machine has switched itself off");

    narrator.step("without the CD, and with the disks of versions 2 and 3, it is switched on");
    machine.medium = Medium::None;
    machine.disks.extend(releases);
    let mut target = lab.start(&machine)?;
    log_in(&mut target, "a")?;
    let health = lab.health(&machine, STEP)?;
    println!("  daemon  | {}", health.lines().last().unwrap_or_default());
    show_status(&mut target)?;

    keeps(&mut narrator, &mut target)?;
    leaves(&mut narrator, &mut target)?;
    target.quit()?;
    say_done(&narrator, firmware, deployed.as_secs_f64(), &machine);
    Ok(())
}

/// Version 2.
fn keeps(narrator: &mut Narrator, target: &mut Running) -> Result<()> {
    let [second, _] = DEVICES;
    narrator.step(
        "version 2 is verified, written into slot b while version 1 runs, read back, and armed \
         for the next three boots",
    );
    take(target, second)?;

    narrator.step("reboot: version 2 runs on trial, and its own service judges it");
    target.console.send("reboot")?;
    log_in(target, "b")?;
    await_confirmed(target)?;
    narrator.note("confirmed: version 2 boots from now on");
    show_status(target)
}

/// Version 3.
fn leaves(narrator: &mut Narrator, target: &mut Running) -> Result<()> {
    let [_, third] = DEVICES;
    narrator.step("version 3, the broken one, is written into slot a, read back, and armed");
    take(target, third)?;

    narrator.step("reboot: version 3 is tried, and reboots each time it is found unhealthy");
    target.console.send("reboot")?;
    for start in 1..=TRIES {
        let slot = started(target)?;
        if slot != "a" {
            return Err(HarnessError::unexpected("the slot on trial", "a", slot));
        }
        narrator.note(&format!("start {start} of {TRIES} of version 3, slot a"));
    }

    log_in(target, "b")?;
    narrator.step("version 2 is back in slot b by itself; version 3 is not taken again");
    show_status(target)?;
    types(target, &format!("spk-visor update {third}"), NOT_NOW).map(drop)
}

/// Has a release tried from the next boot on.
fn take(target: &mut Running, device: &str) -> Result<()> {
    types(target, &format!("spk-visor update {device}"), 0)?;
    types(target, "spk-visor activate", 0).map(drop)
}

/// Types a command, which ends with this code; what commands that change a node print is shown
/// while they run.
pub(super) fn types(target: &mut Running, command: &str, code: i32) -> Result<String> {
    println!("  node    | # {command}");
    let printed = must_exit(target, command, code)?;
    if code != 0 {
        println!("  node    | exit code {code}");
    }
    Ok(printed)
}

/// Where the node stands. What its services write at the same time was shown live.
pub(super) fn show_status(target: &mut Running) -> Result<()> {
    let printed = types(target, "spk-visor status", 0)?;
    let lines = printed.lines().map(str::trim_end);
    for line in lines.filter(|line| !line.is_empty() && !tells(line)) {
        println!("  node    | {line}");
    }
    Ok(())
}

fn say_done(narrator: &Narrator, firmware: Firmware, deployed: f64, machine: &Machine) {
    println!(
        "\nDone: a {firmware} node went from version 1 to 2, and from a broken version 3 back to 2."
    );
    println!(
        "  deploy: {deployed:.1} s from the donor's start to a bootable disk; all: {:.1} s",
        narrator.seconds()
    );
    say_where(machine);
}
