//! A distribution's kernel: neither network nor disk is there unless PID 1 loads their drivers
//! (`modules.md` 2).

use std::path::Path;

use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::actors::stranger;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::{Bus, Firmware, NicModel};

use super::image;

/// Vendor and device of the card whose driver is left out.
const UNKNOWN: &str = "8086:100e";

pub(super) fn modules(lab: &mut Lab) -> Result<()> {
    bake(lab, &["--module", "e1000e", "--module", "nvme"])?;
    let disk = lab.disk("disk", DISK_MIB)?.on(Bus::Nvme);
    let medium = lab.kernel("smv.after=poweroff");
    let mut machine = lab.machine(Firmware::Uefi, vec![disk], medium)?;
    machine.patches_itself = true;
    machine.nics = vec![
        lab.network().nic(NicModel::E1000, true)?,
        lab.network().nic(NicModel::E1000e, true)?,
    ];
    let mut target = lab.start(&machine)?;
    let shown = await_shown(&mut target)?;
    // Nobody has asked: without any card that works, the screen is all there is.
    let is_named = |text: &str| text.contains(UNKNOWN).then_some(());
    target
        .console
        .await_since(0, "the card without a driver", STEP, is_named)?;
    // A system that comes to nothing for another reason: its donor hears of the card too.
    let useless = one_package(&lab.artifacts.demo, Path::new("useless"))?;
    let mut donor = lab.donor(&Order::new(&shown, &useless))?;
    target.console.await_stage(Stage::Failed, DEPLOY)?;
    donor.must_fail_saying(UNKNOWN, STEP)?;
    lab.deploy_demo(&mut target)?;
    // The kernel has asked for the file system of the firmware's variables by name, or there would
    // be no boot option.
    let facts = target.console.await_stage(Stage::Leaving, STEP)?;
    if !facts.contains("option=") {
        return Err(HarnessError::unexpected(
            "the way the target leaves",
            "option=…",
            facts,
        ));
    }
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// Makes an initramfs for Debian's kernel with these modules; machines are booted with both from
/// now on.
pub(super) fn bake(lab: &mut Lab, modules: &[&str]) -> Result<()> {
    let Some(kernel) = lab.artifacts.distribution.clone() else {
        return Err(HarnessError::Missing {
            what: "Debian's kernel".into(),
            hint: "mkinitramfs/debian-kernel".into(),
        });
    };
    lab.artifacts.kernel = kernel.join("vmlinuz");
    let (vmlinuz, directory) = (path(&kernel.join("vmlinuz")), path(&kernel.join("modules")));
    let carried = ["--kernel", &vmlinuz, "--modules", &directory];
    lab.bake(&[&carried, modules].concat())
}

/// A directory with the last package of `from` and no other: without a kernel it is no system.
fn one_package(from: &Path, to: &Path) -> Result<std::path::PathBuf> {
    std::fs::create_dir_all(to).doing("making", to.display())?;
    if let Some((name, data)) = stranger::packages(from)?.into_iter().next_back() {
        std::fs::write(to.join(name), data).doing("writing a package into", to.display())?;
    }
    to.canonicalize().doing("resolving", to.display())
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
