//! The demo: a blank machine becomes an installed one, before your eyes.

use std::path::PathBuf;
use std::time::Instant;

use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::artifacts::Artifacts;
use crate::error::{HarnessError, Result};
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::accel::Accel;
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
}

/// Runs it in the current directory and the current network namespace.
///
/// # Errors
/// As scenarios: the machine or the donor failed, or something did not come in time.
pub fn run(show: Show, artifacts: Artifacts, accel: Accel) -> Result<()> {
    let mut narrator = Narrator::new();
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
    let shown = await_shown(&mut target)?;

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
    let deploying = Instant::now();
    let mut donor = lab.donor(&Order::new(&shown, &packages))?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)?;
    let deployed = deploying.elapsed();

    narrator.step("the disk is complete; the machine leaves the shim by itself");
    target.console.await_stage(Stage::Leaving, STEP)?;
    let login = if show.debian {
        "smechvisor-debian login:"
    } else {
        "smechvisor-demo login:"
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
    let disk = machine
        .disks
        .first()
        .map(|disk| disk.image.clone())
        .unwrap_or_default();
    drop(target);
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
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
    println!("  disk image: {}", here.join(disk).display());
    println!(
        "  whole console: {}",
        here.join(machine.file("console.log")).display()
    );
    Ok(())
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
}

/// Steps of [`run`].
const STEPS: u32 = 5;

impl Narrator {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            number: 0,
        }
    }

    fn step(&mut self, what: &str) {
        self.number += 1;
        println!(
            "\n[{}/{STEPS}] {:6.1} s  {what}",
            self.number,
            self.seconds()
        );
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}
