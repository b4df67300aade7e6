//! The demo: a blank machine becomes an installed one, before your eyes; or, with [`Show::update`]
//! and [`Show::upgrade`], one that keeps itself current.

mod update;
mod upgrade;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::artifacts::Artifacts;
use crate::error::{HarnessError, Result};
use crate::lab::{BOOT, DEMO_LOGIN, DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::accel::Accel;
use crate::machine::running::Running;
use crate::machine::{Firmware, Machine};
use crate::network::Dhcp;

/// The parts of the demo to show.
#[derive(Clone, Copy, Debug)]
pub struct Show {
    /// BIOS or UEFI.
    pub firmware: Firmware,
    /// Debian 12 instead of the small demo system.
    pub debian: bool,
    /// By kexec instead of through the firmware.
    pub kexec: bool,
    /// A node with two slots and its updates, instead of a single deploy of either system.
    pub update: bool,
    /// Such a node, and all of it with one command.
    pub upgrade: bool,
}

/// Runs it in the current directory and the current network namespace.
///
/// # Errors
/// As scenarios: the machine or the donor failed, or something did not come in time.
pub fn run(show: Show, artifacts: Artifacts, accel: Accel) -> Result<()> {
    match (show.update, show.upgrade) {
        (true, _) => update::run(show.firmware, artifacts, accel),
        (_, true) => upgrade::run(show.firmware, artifacts, accel),
        _ => deploy(show, artifacts, accel),
    }
}

/// Steps of [`deploy`].
const STEPS: u32 = 5;

fn deploy(show: Show, artifacts: Artifacts, accel: Accel) -> Result<()> {
    let mut narrator = Narrator::new(STEPS);
    let system = if show.debian {
        "Debian 12"
    } else {
        "the demo system"
    };
    let packages = packages(show, &artifacts)?;

    narrator.step("a network of its own: bridge, DHCP server, nothing of it outside this demo");
    let mut lab = Lab::set_up(artifacts, accel, Dhcp::On)?;
    lab.live = true;
    let machine = blank_machine(show, &mut lab)?;

    narrator.step(&format!(
        "a blank {} machine starts ({}); its disk is empty, so firmware goes on to the CD",
        show.firmware,
        accel.name()
    ));
    let mut target = lab.start(&machine)?;
    let deployed = received(&mut narrator, &mut lab, &mut target, &packages)?;

    narrator.step("the disk is complete; the machine leaves the shim by itself");
    target.console.await_stage(Stage::Leaving, STEP)?;
    let login = if show.debian {
        "smechvisor-debian login:"
    } else {
        DEMO_LOGIN
    };
    target.console.await_text(login, BOOT)?;

    if show.debian {
        narrator.step("the installed system shows its login prompt");
    } else {
        narrator.step(
            "the installed system shows its login prompt; its daemon is asked over the network",
        );
        let health = lab.health(&machine, STEP)?;
        println!("  daemon  | {}", health.lines().last().unwrap_or_default());
    }
    drop(target);
    println!(
        "\nDone: a blank {} machine became {system} by {}.",
        show.firmware,
        if show.kexec { "kexec" } else { "reboot" }
    );
    println!(
        "  deploy: {:.1} s from the donor's start to a bootable disk; all: {:.1} s",
        deployed.as_secs_f64(),
        narrator.seconds()
    );
    say_where(&machine);
    Ok(())
}

/// The machine shows its code, and a donor sends it the packages; how long that took from the
/// donor's start on.
fn received(
    narrator: &mut Narrator,
    lab: &mut Lab,
    target: &mut Running,
    packages: &Path,
) -> Result<Duration> {
    let shown = await_shown(target)?;
    narrator.step(&match &shown.secret {
        Some(secret) => format!(
            "it shows the code {} and the secret {secret}; a person takes both to the donor",
            shown.code
        ),
        None => format!(
            "it shows the code {}; the donor is started with it",
            shown.code
        ),
    });
    let began = Instant::now();
    let mut donor = lab.donor(&Order::new(&shown, packages))?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)?;
    Ok(began.elapsed())
}

/// What stays behind for those who want to look.
fn say_where(machine: &Machine) {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let disk = machine.disks.first().map(|disk| disk.image.clone());
    println!(
        "  disk image: {}",
        here.join(disk.unwrap_or_default()).display()
    );
    // One for each time that it was switched on.
    for log in ["console.log", "console-2.log"].map(|name| machine.file(name)) {
        if log.exists() {
            println!("  whole console: {}", here.join(log).display());
        }
    }
}

fn packages(show: Show, artifacts: &Artifacts) -> Result<PathBuf> {
    match (&artifacts.debian, show.debian) {
        (Some(debian), true) => Ok(debian.clone()),
        (None, true) => Err(HarnessError::Missing {
            what: "the Debian packages".into(),
            hint: "systems/build debian".into(),
        }),
        (_, false) => Ok(artifacts.demo.clone()),
    }
}

fn blank_machine(show: Show, lab: &mut Lab) -> Result<Machine> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.cd(if show.kexec {
        "smv.after=kexec"
    } else {
        "smv.after=reboot"
    })?;
    let machine = lab.machine(show.firmware, vec![disk], medium)?;
    Ok(Machine {
        memory_mib: if show.debian {
            1024
        } else {
            machine.memory_mib
        },
        patches_itself: show.debian,
        ..machine
    })
}

/// Numbers the steps and tells the time.
struct Narrator {
    began: Instant,
    number: u32,
    steps: u32,
}

impl Narrator {
    fn new(steps: u32) -> Self {
        Self {
            began: Instant::now(),
            number: 0,
            steps,
        }
    }

    fn step(&mut self, what: &str) {
        self.number += 1;
        println!(
            "\n[{}/{}] {:6.1} s  {what}",
            self.number,
            self.steps,
            self.seconds()
        );
    }

    /// How far the step is.
    fn note(&self, what: &str) {
        println!("  {:6.1} s | {what}", self.seconds());
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}
