//! Measurements of `./bench` with machines in QEMU: how long each way to boot takes from power-on
//! to the beacon, with and without the wizard; the smallest memory that receives a system; and how
//! soon a slot starts its system. One line of `key=value` for each measurement on standard output.

mod starts;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::actors::policy::Policy;
use crate::actors::stranger::hear_beacon;
use crate::artifacts::Artifacts;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::accel::Accel;
use crate::machine::{Firmware, Machine, Medium, NetBoot, Prefers};
use crate::network::Dhcp;
use crate::network::boot_server::BootServer;
use crate::process::run;
use crate::runner::{fresh_dir, isolated};
use crate::scenarios::esp_with;

/// A way to boot.
struct Way {
    name: &'static str,
    firmware: Firmware,
    from: From,
}

/// The source that a machine boots from.
enum From {
    /// Something that it has.
    Own(fn(&mut Lab) -> Result<Medium>),
    /// The network, from `serve-boot`. Needs root.
    Served(NetBoot),
}

const fn way(
    name: &'static str,
    firmware: Firmware,
    medium: fn(&mut Lab) -> Result<Medium>,
) -> Way {
    Way {
        name,
        firmware,
        from: From::Own(medium),
    }
}

const fn served(name: &'static str, firmware: Firmware, how: NetBoot) -> Way {
    Way {
        name,
        firmware,
        from: From::Served(how),
    }
}

/// The first is what the others are compared with.
static WAYS: &[Way] = &[
    way("kernel-bios", Firmware::Bios, kernel),
    way("kernel-uefi", Firmware::Uefi, kernel),
    way("cd-bios", Firmware::Bios, cd),
    way("cd-uefi", Firmware::Uefi, cd),
    way("stick-bios", Firmware::Bios, stick),
    way("stick-uefi", Firmware::Uefi, stick),
    way("uki", Firmware::Uefi, uki),
    served("pxe-bios", Firmware::Bios, NetBoot::Pxe),
    served("pxe-uefi", Firmware::Uefi, NetBoot::Pxe),
    served("http-uefi", Firmware::Uefi, NetBoot::Http),
];

fn kernel(lab: &mut Lab) -> Result<Medium> {
    Ok(lab.kernel(""))
}

/// Menus do not wait.
fn cd(lab: &mut Lab) -> Result<Medium> {
    lab.cd("")
}

fn stick(lab: &mut Lab) -> Result<Medium> {
    match lab.cd("")? {
        Medium::Cd(image) => Ok(Medium::UsbStick(image)),
        other => Ok(other),
    }
}

fn uki(lab: &mut Lab) -> Result<Medium> {
    let program = lab.uki("")?;
    let stick = PathBuf::from("esp.img");
    esp_with(&stick, &program)?;
    Ok(Medium::UsbStick(stick))
}

/// Each way `rounds` times, in turn.
///
/// # Errors
/// A machine could not be started, or was never heard.
pub fn ways(rounds: u32, artifacts: &Artifacts, accel: Accel, work: &Path) -> Result<()> {
    for round in 1..=rounds {
        for way in WAYS {
            child(&format!("way-{}", way.name), artifacts, accel, work)?;
        }
        eprintln!("measure: round {round} of {rounds}");
    }
    Ok(())
}

/// With the wizard and without it, `rounds` times; whichever went first goes second in the next
/// round.
///
/// # Errors
/// A machine could not be started, or was never heard.
pub fn screens(rounds: u32, artifacts: &Artifacts, accel: Accel, work: &Path) -> Result<()> {
    let mut kinds = ["auto", "none"];
    for round in 1..=rounds {
        for kind in kinds {
            child(&format!("ui-{kind}"), artifacts, accel, work)?;
        }
        kinds.reverse();
        eprintln!("measure: round {round} of {rounds}");
    }
    Ok(())
}

/// The smallest memory of each kernel that receives a whole system.
///
/// # Errors
/// A machine could not be started, or not even much memory was enough.
pub fn memory(artifacts: &Artifacts, accel: Accel, work: &Path) -> Result<()> {
    for profile in ["vm", "metal"] {
        child(&format!("memory-{profile}"), artifacts, accel, work)?;
    }
    Ok(())
}

/// A slot and a plain ext4 with the same kernel and userland, `rounds` times each.
///
/// # Errors
/// A machine could not be made, or did not start its system.
pub fn starts(rounds: u32, artifacts: &Artifacts, accel: Accel, work: &Path) -> Result<()> {
    child(&format!("starts-{rounds}"), artifacts, accel, work)
}

/// One measurement in a child of its own: it needs a network of its own.
fn child(what: &str, artifacts: &Artifacts, accel: Accel, work: &Path) -> Result<()> {
    let dir = work.join("measure").join(what);
    fresh_dir(&dir)?;
    let mut command = isolated()?;
    command
        .args(["measuring", what, "--accel", accel.name()])
        .args(artifacts.arguments())
        .current_dir(&dir);
    print!("{}", run(&mut command)?);
    // A hundred of them would fill the host's disk.
    std::fs::remove_dir_all(&dir).doing("removing", dir.display())
}

/// In the child: takes the measurement, and prints it.
///
/// # Errors
/// No measurement has that name, or it failed.
pub fn take(what: &str, artifacts: Artifacts, accel: Accel) -> Result<()> {
    if let Some(profile) = what.strip_prefix("memory-") {
        return smallest_memory(profile, artifacts, accel);
    }
    if let Some(rounds) = what.strip_prefix("starts-") {
        let number = rounds.parse();
        let number = number
            .map_err(|_| HarnessError::unexpected("the rounds", "a number", rounds.to_owned()))?;
        return starts::take(number, artifacts, accel);
    }
    if let Some(kind) = what.strip_prefix("ui-") {
        let mut lab = plain_lab(artifacts, accel, Dhcp::On)?;
        let medium = lab.kernel(&format!("smv.ui={kind}"));
        let took = until_beacon(&mut lab, Firmware::Bios, medium)?;
        println!("ui={kind} seconds={:.2}", took.as_secs_f64());
        return Ok(());
    }
    let name = what.strip_prefix("way-").unwrap_or(what);
    let way = WAYS
        .iter()
        .find(|way| way.name == name)
        .ok_or_else(|| HarnessError::unexpected("the measurement", "a way to boot", what))?;
    let dhcp = match way.from {
        From::Own(_) => Dhcp::On,
        From::Served(_) => Dhcp::Later,
    };
    let mut lab = plain_lab(artifacts, accel, dhcp)?;
    let (medium, server) = match way.from {
        From::Own(medium) => (medium(&mut lab)?, None),
        From::Served(how) => {
            let tree = lab.boot_tree("", &["--timeout", "0"])?;
            let mut server = lab.boot_server(&tree, &[])?;
            server.await_serving()?;
            (Medium::Network(how), Some(server))
        }
    };
    let took = until_beacon(&mut lab, way.firmware, medium)?;
    server.map_or(Ok(()), BootServer::end)?;
    println!("way={name} seconds={:.2}", took.as_secs_f64());
    Ok(())
}

/// Whose machines send the plain beacon, which a socket of the host reads without knowing anything.
fn plain_lab(artifacts: Artifacts, accel: Accel, dhcp: Dhcp) -> Result<Lab> {
    let mut lab = Lab::set_up(artifacts, accel, dhcp)?;
    lab.policy = Policy::Legacy;
    Ok(lab)
}

/// From power-on to the first beacon.
fn until_beacon(lab: &mut Lab, firmware: Firmware, medium: Medium) -> Result<Duration> {
    let disk = lab.disk("disk", DISK_MIB)?;
    // SeaBIOS tries only the first of several hard disks, and a stick is one.
    let machine = Machine {
        prefers: Prefers::Medium,
        ..lab.machine(firmware, vec![disk], medium)?
    };
    let began = Instant::now();
    let target = lab.start(&machine)?;
    hear_beacon(BOOT)?;
    let took = began.elapsed();
    drop(target);
    Ok(took)
}

/// Memory is tried in these steps.
const STEP_MIB: u32 = 8;
/// Certainly not enough, and certainly enough.
const LIMITS_MIB: (u32, u32) = (24, 512);
/// A machine with too little memory may say nothing at all, for ever.
const PATIENCE: Duration = Duration::from_secs(120);

fn smallest_memory(profile: &str, artifacts: Artifacts, accel: Accel) -> Result<()> {
    let (system, packages) = match &artifacts.debian {
        Some(packages) => ("debian", packages.clone()),
        None => ("demo", artifacts.demo.clone()),
    };
    let mut lab = Lab::set_up(artifacts, accel, Dhcp::On)?;
    let words = "smv.after=poweroff";
    let medium = match profile {
        "metal" => lab.metal(words)?,
        _ => lab.kernel(words),
    };
    let mut machine = lab.machine(Firmware::Bios, Vec::new(), medium)?;
    let (mut too_small, mut enough) = LIMITS_MIB;
    let mut tried = Vec::new();
    let mut mib = enough;
    loop {
        machine.memory_mib = mib;
        let outcome = receives(&mut lab, &machine, &packages);
        tried.push(format!(
            "{mib}:{}",
            if outcome.is_ok() { "yes" } else { "no" }
        ));
        match outcome {
            Ok(()) => enough = mib,
            Err(error) if mib == LIMITS_MIB.1 => return Err(error),
            Err(error) => {
                eprintln!("measure: {profile}, {mib} MiB: {error}");
                too_small = mib;
            }
        }
        if enough - too_small <= STEP_MIB {
            break;
        }
        mib = too_small + (enough - too_small) / 2 / STEP_MIB * STEP_MIB;
    }
    println!(
        "memory={profile} mib={enough} system={system} tried={}",
        tried.join(",")
    );
    Ok(())
}

/// Whether this machine receives `packages` onto a fresh disk.
fn receives(lab: &mut Lab, machine: &Machine, packages: &Path) -> Result<()> {
    let image = PathBuf::from("disk.img");
    if image.exists() {
        std::fs::remove_file(&image).doing("removing", image.display())?;
    }
    let machine = Machine {
        disks: vec![lab.disk("disk", DISK_MIB)?],
        ..machine.clone()
    };
    let mut target = lab.start(&machine)?;
    target.console.await_stage(Stage::Starting, PATIENCE)?;
    let shown = await_shown(&mut target)?;
    let mut donor = lab.donor(&Order::new(&shown, packages))?;
    target.console.await_stage(Stage::Accepted, STEP)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)
}
