//! A node that keeps itself current, from the deploy on: a version that is healthy stays, one that
//! is not is left again by itself, and nothing but its own command line is used on the way.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wire::running;
use wire::stage::Stage;

use crate::error::{Doing, HarnessError, Result};
use crate::lab::{Lab, STEP};
use crate::machine::running::Running;
use crate::machine::{Bus, DiskSpec, Firmware, Machine, Medium};
use crate::process::run;

use super::boots::look;
use super::{DEMO_LOGIN, LOGIN};

const DISK_MIB: u64 = 2 * 1024;
const IMAGE: &str = "smechvisor-system.img";
const KEY: &str = "release.key";
const PUBLIC: &str = "release.pub";
/// The starts that a trial gets.
const TRIES: usize = 3;
/// An emulated machine hashes 20 MB, with everything that this scenario waits for around it.
const PATIENCE: Duration = Duration::from_secs(180);

/// Makes the releases: one system in several versions, signed by one key.
struct Maker {
    packages: Vec<PathBuf>,
    slot_init: PathBuf,
}

impl Maker {
    /// The packages that all versions have in common.
    fn new(lab: &Lab) -> Result<Self> {
        let mut minisign = Command::new("minisign");
        minisign.args(["-G", "-W", "-f", "-p", PUBLIC, "-s", KEY]);
        run(&mut minisign)?;
        let parts = &lab.artifacts;
        let mut build = systems("build");
        build.args(["demo", "--format", "zst", "--kernel"]);
        let demo = run(build.arg(&parts.kernel))?;
        let mut packages = archives(Path::new(demo.trim()))?;
        let mut updater = systems("updater/make");
        updater.args(["demo", "updater"]).arg(&parts.donor);
        updater.arg(parts.mke2fs.with_file_name("e2fsck"));
        run(updater.arg(PUBLIC))?;
        packages.push(archive("updater")?);
        Ok(Self {
            packages,
            slot_init: parts.init.with_file_name("slot-init"),
        })
    }

    /// The directory of one release. A version that is not healthy has a check that fails.
    fn release(&self, lab: &Lab, number: u32, is_healthy: bool) -> Result<PathBuf> {
        let (name, counter) = (format!("v{number}"), number.to_string());
        let dir = Path::new(&name);
        std::fs::create_dir_all(dir).doing("making", dir.display())?;
        let own = own_package(&name, is_healthy)?;
        let parts = &lab.artifacts;
        let modules = parts.kernel.parent().unwrap_or(Path::new("."));
        let mut maker = Command::new(&parts.mkinitramfs);
        maker.arg("slot").args(&self.packages).arg(own);
        maker.arg("--init").arg(&self.slot_init);
        maker.args(["--version", &name, "--counter", &counter]);
        maker.arg("--kernel").arg(&parts.kernel);
        maker.arg("--modules").arg(modules);
        run(maker.arg("-o").arg(dir.join(IMAGE)))?;
        lab.visor(&[
            "manifest",
            "create",
            &name,
            "--version",
            &name,
            "--counter",
            &counter,
        ])?;
        let mut minisign = Command::new("minisign");
        minisign.args(["-S", "-s", KEY, "-m"]);
        run(minisign.arg(dir.join("MANIFEST")))?;
        dir.canonicalize().doing("resolving", dir.display())
    }

    /// One release on a disk of its own, as a bundle that begins with the disk.
    fn disk(&self, lab: &Lab, number: u32, is_healthy: bool) -> Result<DiskSpec> {
        let dir = self.release(lab, number, is_healthy)?;
        let (bundle, image) = (format!("v{number}.smv"), format!("v{number}.img"));
        lab.visor(&["bundle", "create", &bundle, &dir.display().to_string()])?;
        std::fs::rename(&bundle, &image).doing("renaming", &bundle)?;
        Ok(DiskSpec::new(image, &format!("SMV-v{number}")))
    }
}

fn systems(name: &str) -> Command {
    Command::new(crate::artifacts::top().join("systems").join(name))
}

/// Packs a tree.
fn archive(tree: &str) -> Result<PathBuf> {
    let path = PathBuf::from(format!("smechvisor-{tree}.tar.zst"));
    run(systems("archive").arg(tree).arg(&path))?;
    Ok(path)
}

/// The archives in a directory, by name.
fn archives(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).doing("listing", dir.display())?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.extension().is_some_and(|word| word == "zst"));
    found.sort();
    Ok(found)
}

/// What one version has of its own: trials that are judged soon, and the check.
fn own_package(name: &str, is_healthy: bool) -> Result<PathBuf> {
    let tree = format!("own-{name}");
    let etc = Path::new(&tree).join("etc/smechvisor");
    let checks = etc.join("health.d");
    std::fs::create_dir_all(&checks).doing("making", checks.display())?;
    // One that is not healthy is not waited for.
    let within = if is_healthy { 240 } else { 5 };
    let settings =
        format!("health=http://127.0.0.1:8080/health\nconfirm-within={within}\nstable=2\n");
    let path = etc.join("update");
    std::fs::write(&path, settings).doing("writing", path.display())?;
    let check = checks.join("check");
    let verdict = if is_healthy { "exit 0" } else { "exit 1" };
    std::fs::write(&check, format!("#!/bin/sh\n{verdict}\n")).doing("writing", check.display())?;
    run(Command::new("chmod").arg("755").arg(&check))?;
    archive(&tree)
}

/// Waits until slot-init leaves for the system of a slot, and returns the slot.
fn started(target: &mut Running) -> Result<String> {
    let facts = target.console.await_stage(Stage::Leaving, LOGIN)?;
    let mut words = facts.split_whitespace();
    let slot = words.find_map(|word| word.strip_prefix("slot="));
    slot.map(str::to_owned)
        .ok_or_else(|| HarnessError::unexpected("the line of stage leaving", "slot=…", facts))
}

/// Waits for the system of this slot, and logs in.
fn log_in(target: &mut Running, slot: &str) -> Result<()> {
    let found = started(target)?;
    if found != slot {
        return Err(HarnessError::unexpected("the slot", slot, found));
    }
    target.console.await_text(DEMO_LOGIN, LOGIN)?;
    target.console.send("root")?;
    target.console.await_text("# ", STEP).map(drop)
}

/// Types a command, which ends with this code.
fn must_exit(target: &mut Running, command: &str, code: i32) -> Result<()> {
    let (printed, found) = target.console.shell(command, PATIENCE)?;
    if found == code {
        return Ok(());
    }
    let found = format!("exit code {found}: {printed}");
    Err(HarnessError::unexpected(
        command,
        format!("exit code {code}"),
        found,
    ))
}

/// Has the release on this device tried from the next boot on, which begins at once.
fn update(target: &mut Running, device: &str) -> Result<()> {
    must_exit(target, &format!("spk-visor update {device}"), 0)?;
    must_exit(target, "spk-visor activate", 0)?;
    target.console.send("reboot")
}

/// One field of `status`.
fn status(field: &str) -> String {
    format!("spk-visor status --json | grep -o '\"{field}\":[^,]*'")
}

/// The service judges the trial: it is asked for until there is a verdict.
fn await_confirmed(target: &mut Running) -> Result<()> {
    let confirmed = "spk-visor status --json | grep -q '\"standing\":\"confirmed\"'";
    must_exit(target, &format!("until {confirmed}; do sleep 1; done"), 0)
}

pub(super) fn bios(lab: &mut Lab) -> Result<()> {
    stays_current(lab, Firmware::Bios, Bus::Virtio, 512)
}

pub(super) fn uefi(lab: &mut Lab) -> Result<()> {
    stays_current(lab, Firmware::Uefi, Bus::Nvme, 4096)
}

fn stays_current(lab: &mut Lab, firmware: Firmware, bus: Bus, sector_bytes: u32) -> Result<()> {
    let maker = Maker::new(lab)?;
    let first = maker.release(lab, 1, true)?;
    let releases = [maker.disk(lab, 2, true)?, maker.disk(lab, 3, false)?];
    lab.bake(&["--trust", PUBLIC])?;
    let medium = lab.kernel("smv.layout=ab smv.slot=64M smv.after=poweroff");
    let node = lab.disk("node", DISK_MIB)?.on(bus).sectors(sector_bytes);
    let mut machine = lab.machine(firmware, vec![node], medium)?;
    machine.has_watchdog = true;
    let mut target = lab.start(&machine)?;
    lab.deploy(&mut target, &first)?;
    target.await_power_off(STEP)?;

    machine.medium = Medium::None;
    machine.disks.extend(releases);
    let mut target = lab.start(&machine)?;
    let devices = match bus {
        Bus::Virtio => ["/dev/vdb", "/dev/vdc"],
        _ => ["/dev/vda", "/dev/vdb"],
    };
    deployed(lab, &machine, &mut target)?;
    healthy(&mut target, devices)?;
    unhealthy(&mut target, devices)?;
    target.quit()
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

fn must(target: &mut Running, checks: &[(String, &str)]) -> Result<()> {
    checks
        .iter()
        .try_for_each(|(command, expected)| look(target, &[(command.as_str(), expected)]))
}

/// The second one is tried, kept, and boots from then on.
fn healthy(target: &mut Running, [second, _]: [&str; 2]) -> Result<()> {
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

/// The third one is tried as often as a trial is, and then the second one is back.
fn unhealthy(target: &mut Running, [_, third]: [&str; 2]) -> Result<()> {
    update(target, third)?;
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
    must_exit(target, &format!("spk-visor update {third} --again"), 0)
}
