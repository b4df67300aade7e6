//! The scenarios: each a story of one machine, told in stages. A scenario runs in a process, a directory and a network
//! of its own.

mod boots;
mod disks;
mod donors;
mod file;
mod fillers;
mod hardware;
mod power;

use std::time::Duration;

use crate::error::{HarnessError, Result};
use crate::image::Image;
use crate::lab::{BOOT, Lab, STEP};
use crate::machine::{Machine, Medium};
use crate::network::Dhcp;
use crate::policy::Policy;
use crate::running::Running;

/// One scenario.
#[derive(Debug)]
pub struct Scenario {
    /// On the command line and in the results.
    pub name: &'static str,
    /// What is true when it passes.
    pub about: &'static str,
    /// Whether a DHCP server answers.
    pub dhcp: Dhcp,
    /// How its machines and donors know each other, unless it says otherwise.
    pub policy: Policy,
    /// Which system it deploys besides the demo.
    pub needs: Needs,
    /// Does it, and checks.
    pub run: fn(&mut Lab) -> Result<()>,
}

/// What must have been made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Only the demo's packages.
    Demo,
    /// The demo's packages, and root: loop devices belong to the whole machine, a user name space gets none.
    Root,
    /// Debian's.
    Debian,
    /// The system with a gigabyte of files; such scenarios run only when asked for.
    Big,
}

/// All of them; the long ones first, so that two at a time end together.
pub static ALL: [Scenario; 23] = [
    scenario(
        "small-memory",
        "64 MiB of memory receive a root of more than 1 GB",
        Needs::Big,
        hardware::small_memory,
    ),
    scenario(
        "debian",
        "Debian 12 under UEFI: login, systemd, fstab, swap",
        Needs::Debian,
        boots::debian,
    ),
    scenario(
        "donor-killed",
        "a donor dies, firmware passes the disk by, a second one succeeds",
        Needs::Demo,
        donors::killed,
    ),
    scenario(
        "uefi-reboot",
        "UEFI, by reboot, to the login prompt and the daemon",
        Needs::Demo,
        boots::uefi_reboot,
    ),
    scenario(
        "power-cut",
        "any cut leaves nothing to boot or everything",
        Needs::Demo,
        power::cut,
    ),
    scenario(
        "bios-reboot",
        "BIOS, by reboot",
        Needs::Demo,
        boots::bios_reboot,
    ),
    scenario(
        "uefi-kexec",
        "UEFI, by kexec",
        Needs::Demo,
        boots::uefi_kexec,
    ),
    scenario(
        "cable-pulled",
        "the cable is pulled while packages arrive, and put back",
        Needs::Demo,
        donors::cable_pulled,
    ),
    scenario(
        "system-too-large",
        "a package that unpacks to more than the disk holds is refused",
        Needs::Demo,
        donors::too_large,
    ),
    scenario(
        "receive-file",
        "receive-deploy fills an image file, which boots under BIOS and UEFI",
        Needs::Root,
        file::receive,
    ),
    scenario(
        "bios-kexec",
        "BIOS, by kexec, and by itself after a reset",
        Needs::Demo,
        boots::bios_kexec,
    ),
    scenario(
        "sectors-4096",
        "a disk of 4096-byte sectors boots under UEFI",
        Needs::Demo,
        hardware::sectors_4096,
    ),
    scenario("nvme", "an NVMe disk", Needs::Demo, hardware::nvme),
    scenario("ahci", "an AHCI disk", Needs::Demo, hardware::ahci),
    Scenario {
        dhcp: Dhcp::Off,
        ..scenario(
            "link-local",
            "no DHCP server: two machines and a cable",
            Needs::Demo,
            hardware::link_local,
        )
    },
    scenario(
        "two-nics",
        "of two network cards only the second has a cable",
        Needs::Demo,
        hardware::two_nics,
    ),
    scenario(
        "corrupt-xz",
        "damage in the second package is refused; a retry succeeds",
        Needs::Demo,
        donors::corrupt_xz,
    ),
    scenario(
        "no-terminator",
        "a stream that just ends is refused; a retry succeeds",
        Needs::Demo,
        donors::no_terminator,
    ),
    scenario(
        "pestered",
        "garbage and port scans while waiting do no harm",
        Needs::Demo,
        donors::pestered,
    ),
    scenario(
        "disk-too-small",
        "a disk that is too small is refused untouched",
        Needs::Demo,
        disks::too_small,
    ),
    scenario(
        "no-disk",
        "without a disk nobody is invited",
        Needs::Demo,
        disks::none,
    ),
    scenario(
        "two-disks",
        "of two disks none is guessed; a named one is taken",
        Needs::Demo,
        disks::two,
    ),
    scenario(
        "used-disk",
        "a disk with data is refused untouched, until its wipe is confirmed",
        Needs::Demo,
        disks::used,
    ),
];

const fn scenario(
    name: &'static str,
    about: &'static str,
    needs: Needs,
    run: fn(&mut Lab) -> Result<()>,
) -> Scenario {
    Scenario {
        name,
        about,
        dhcp: Dhcp::On,
        policy: Policy::Legacy,
        needs,
        run,
    }
}

/// The scenario with this name.
///
/// # Errors
/// There is none.
pub fn find(name: &str) -> Result<&'static Scenario> {
    ALL.iter()
        .find(|scenario| scenario.name == name)
        .ok_or_else(|| HarnessError::unexpected("the scenario", "one of --list", name))
}

/// The demo system's login prompt.
const DEMO_LOGIN: &str = "smechvisor-demo login:";
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
