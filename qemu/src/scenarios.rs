//! The scenarios: each a story of one machine, told in stages. A scenario runs in a process, a
//! directory and a network of its own.

mod all;
mod attempts;
mod boots;
mod comeback;
mod current;
mod daemons;
mod disks;
mod distribution;
mod donors;
mod file;
mod fillers;
mod gate;
mod hardware;
mod live;
mod media;
mod metal;
mod netboot;
mod networks;
mod orders;
mod package_disk;
mod pairing;
mod plain;
mod power;
mod records;
mod resume;
mod secure_boot;
mod signed;
mod slots;
mod update_cut;
mod wifi;
mod wizard;

use std::time::Duration;

use crate::actors::policy::Policy;
use crate::error::{HarnessError, Result};
use crate::lab::{BOOT, DEMO_LOGIN, DISK_MIB, Lab, STEP};
use crate::machine::running::Running;
use crate::machine::{Firmware, Machine, Medium};
use crate::media::image::Image;
use crate::network::Dhcp;

pub use all::all;
pub(crate) use disks::somebodys;
pub(crate) use fillers::with_filler;
pub(crate) use media::esp_with;

/// One scenario.
#[derive(Debug)]
pub struct Scenario {
    /// On the command line and in the results.
    pub name: &'static str,
    /// The statement that it proves.
    pub about: &'static str,
    /// Whether a DHCP server answers.
    pub dhcp: Dhcp,
    /// How its machines and donors know each other, unless it says otherwise.
    pub policy: Policy,
    /// The system that it deploys besides the demo.
    pub needs: Needs,
    /// Whether it runs only when asked for.
    pub is_slow: bool,
    /// Does it, and checks.
    pub run: fn(&mut Lab) -> Result<()>,
}

/// The artifacts that must have been made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Only the demo's packages.
    Demo,
    /// The demo's packages, and root: loop devices belong to the whole machine, a user name space
    /// gets none.
    Root,
    /// The demo's packages, and the kernel for real machines.
    Metal,
    /// Debian's.
    Debian,
    /// The system with a gigabyte of files.
    Big,
    /// Debian's own kernel.
    Distribution,
    /// The same, and Debian's packages.
    SecureBoot,
    /// The demo's packages, and the demo as the image of a slot.
    Slot,
    /// The same, and Debian's packages.
    SlotDebian,
    /// The same with OpenRC.
    SlotOpenRc,
}

/// The scenario with this name.
///
/// # Errors
/// No scenario matches.
pub fn find(name: &str) -> Result<&'static Scenario> {
    all()
        .find(|scenario| scenario.name == name)
        .ok_or_else(|| HarnessError::unexpected("the scenario", "one of --list", name))
}

/// Firmware, boot loader, kernel, userland.
const LOGIN: Duration = BOOT;

/// The image behind the machine's first disk.
fn image(machine: &Machine) -> Image {
    let disk = machine.disks.first();
    Image::new(
        disk.map(|disk| disk.image.clone()).unwrap_or_default(),
        disk.map_or(512, |disk| disk.sector_bytes),
    )
}

/// Starts the machine with nothing but its disk and waits for the login prompt.
fn must_boot_from_disk(lab: &Lab, machine: &Machine) -> Result<Running> {
    let alone = Machine {
        medium: Medium::None,
        ..machine.clone()
    };
    let mut running = lab.start(&alone)?;
    running.console.await_text(DEMO_LOGIN, LOGIN)?;
    Ok(running)
}

/// A deploy of the demo that ends in a power-off, then the disk is looked at.
fn deploy_and_power_off(lab: &mut Lab, machine: &Machine) -> Result<()> {
    let mut target = lab.start(machine)?;
    lab.deploy_demo(&mut target)?;
    target.await_power_off(STEP)?;
    image(machine).must_be_complete()
}

/// A machine that switches itself off after the deploy, started.
fn waiting(lab: &mut Lab) -> Result<(Machine, Running)> {
    another_waiting(lab, "target")
}

/// The same with a name of its own.
fn another_waiting(lab: &mut Lab, name: &str) -> Result<(Machine, Running)> {
    let machine = another_machine(lab, name, DISK_MIB, "smv.after=poweroff")?;
    let target = lab.start(&machine)?;
    Ok((machine, target))
}

/// A machine with a name, a disk and a network card of its own, which boots the shim with these
/// words.
fn another_machine(lab: &mut Lab, name: &str, disk_mib: u64, more: &str) -> Result<Machine> {
    let disk = lab.disk(name, disk_mib)?;
    let medium = lab.kernel(more);
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    Ok(Machine {
        name: name.to_owned(),
        ..machine
    })
}
