//! A running Debian packages itself and sends itself to a blank machine: the same system, and not
//! the same machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wire::stage::Stage;

use crate::actors::stranger;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{BOOT, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::running::Running;
use crate::machine::{Firmware, Machine};
use crate::process::run;

use super::image;

/// Reading, packing and sending half a gigabyte, unpacking it: on two emulated machines that share
/// two processors.
const COPY: Duration = Duration::from_secs(15 * 60);
/// Systemd's own boot, to the last unit; and reading every file of every package.
const SLOW_STEP: Duration = Duration::from_secs(300);
const LOGIN: &str = "smechvisor-debian login:";

pub(super) fn live(lab: &mut Lab) -> Result<()> {
    let packages = with_visor(lab, Path::new("packages"))?;
    let original = machine(lab, "original")?;
    let mut first = lab.start(&original)?;
    lab.deploy(&mut first, &packages)?;
    log_in(&mut first)?;
    let before = Portrait::of(&mut first)?;

    let copy = machine(lab, "copy")?;
    let mut second = lab.start(&copy)?;
    let shown = await_shown(&mut second)?;
    // In memory: what is live must not find its own secret on the disk.
    let secret = shown.secret.clone().unwrap_or_default();
    must_do(
        &mut first,
        &format!("(umask 77; echo {secret} >/run/secret)"),
        STEP,
    )?;
    let command = format!(
        "spk-visor deploy-system-img-copy {} --live --secret-file /run/secret 2>&1 | tail -n 30; test ${{PIPESTATUS[0]}} = 0",
        shown.code
    );
    let said = must_do(&mut first, &command, COPY)?;
    println!(
        "live: the original said {}",
        crate::eyes::transcript::tail(&said, 30)
    );
    second.console.await_stage(Stage::Installed, STEP)?;
    first.quit()?;
    log_in(&mut second)?;
    let after = Portrait::of(&mut second)?;
    drop(second);
    image(&copy).must_have_tables()?;
    after.must_be_another_machine_than(&before)?;
    after.must_be_the_same_system_as(&before)
}

/// Debian and this very donor.
fn with_visor(lab: &Lab, to: &Path) -> Result<PathBuf> {
    let Some(debian) = &lab.artifacts.debian else {
        return Err(HarnessError::Missing {
            what: "the Debian packages".into(),
            hint: "systems/build debian".into(),
        });
    };
    let tree = PathBuf::from("visor");
    let bin = tree.join("usr/local/bin");
    std::fs::create_dir_all(&bin).doing("making", bin.display())?;
    std::fs::create_dir_all(to).doing("making", to.display())?;
    let program = bin.join("spk-visor");
    std::fs::copy(&lab.artifacts.donor, &program).doing("copying", program.display())?;
    for name in stranger::package_names(debian)? {
        let (from, to) = (debian.join(&name), to.join(&name));
        std::fs::copy(&from, &to).doing("copying", from.display())?;
    }
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "--format=pax", "-C"]);
    tar.arg(&tree).args(["-I", "xz -0", "-cf"]);
    run(tar.arg(to.join("visor.tar.xz")).arg("usr"))?;
    to.canonicalize().doing("resolving", to.display())
}

fn machine(lab: &mut Lab, name: &str) -> Result<Machine> {
    let disk = lab.disk(name, DISK_MIB)?;
    let medium = lab.cd("smv.after=reboot")?;
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    Ok(Machine {
        name: name.to_owned(),
        memory_mib: 1024,
        patches_itself: true,
        ..machine
    })
}

fn log_in(machine: &mut Running) -> Result<()> {
    machine.console.await_text(LOGIN, BOOT)?;
    machine.console.send("root")?;
    machine.console.await_text("# ", STEP)?;
    must_do(machine, "systemctl is-system-running --wait", SLOW_STEP).map(drop)
}

/// Runs a command that must succeed.
fn must_do(machine: &mut Running, command: &str, patience: Duration) -> Result<String> {
    let (printed, status) = machine.console.shell(command, patience)?;
    if status == 0 {
        return Ok(printed);
    }
    let found = format!("{status}: {printed}");
    Err(HarnessError::unexpected(command, "exit status 0", found))
}

/// The identities of machines, and those of systems.
struct Portrait {
    machine_id: String,
    host_keys: String,
    packages: String,
    /// The files that `dpkg --verify` finds changed.
    changed: BTreeSet<String>,
}

impl Portrait {
    fn of(machine: &mut Running) -> Result<Self> {
        let mut ask = |command: &str| must_do(machine, command, SLOW_STEP);
        Ok(Self {
            machine_id: ask("cat /etc/machine-id")?,
            host_keys: ask("cut -d' ' -f2 /etc/ssh/ssh_host_*_key.pub | sort")?,
            packages: ask("dpkg-query -W | sha256sum")?,
            changed: ask("dpkg --verify || true")?
                .lines()
                .map(str::to_owned)
                .collect(),
        })
    }

    fn must_be_another_machine_than(&self, other: &Self) -> Result<()> {
        let is_own = |ours: &str, theirs: &str, least: usize| ours.len() >= least && ours != theirs;
        if is_own(&self.machine_id, &other.machine_id, 32)
            && is_own(&self.host_keys, &other.host_keys, 200)
        {
            return Ok(());
        }
        Err(HarnessError::unexpected(
            "the copy",
            "a machine-id and host keys of its own",
            format!("{} and {}", self.machine_id, self.host_keys),
        ))
    }

    fn must_be_the_same_system_as(&self, other: &Self) -> Result<()> {
        if self.packages != other.packages {
            let (found, expected) = (&self.packages, &other.packages);
            return Err(HarnessError::unexpected(
                "the copy's packages",
                expected,
                found,
            ));
        }
        let more: Vec<_> = self.changed.difference(&other.changed).collect();
        if more.is_empty() {
            return Ok(());
        }
        Err(HarnessError::unexpected(
            "dpkg --verify on the copy",
            format!("no more than on the original: {:?}", other.changed),
            format!("{more:?}"),
        ))
    }
}
