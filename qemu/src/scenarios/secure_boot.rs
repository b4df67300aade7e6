//! A machine that starts only what Microsoft has signed, as machines are sold (`secure-boot.md`).

use std::path::{Path, PathBuf};

use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::actors::stranger;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::Firmware;

use super::boots::look_at_debian;
use super::{distribution, image};

/// What OVMF says of a program that nobody has signed.
const DENIED: &str = "Access Denied";
/// The variable that says whether the firmware checks signatures (UEFI 2.10 3.3), behind its
/// attributes.
const IS_SECURE: &str = "od -An -tu1 -j4 -N1 \
    /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

pub(super) fn debian(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let unsigned = lab.cd("smv.after=reboot")?;
    let mut machine = lab.machine(Firmware::SecureUefi, vec![disk], unsigned)?;
    machine.memory_mib = 1024;
    machine.patches_itself = true;
    let mut target = lab.start(&machine)?;
    target.console.await_text(DENIED, BOOT)?;
    target.quit()?;

    distribution::bake(lab, &["--module", "virtio_net", "--module", "virtio_blk"])?;
    machine.medium = lab.signed_cd("smv.after=reboot")?;
    let packages = signed(lab, Path::new("signed"))?;
    let mut target = lab.start(&machine)?;
    let shown = await_shown(&mut target)?;
    // The disk would not start: it is not made, and the machine waits again.
    let mut donor = lab.donor(&Order::new(&shown, &lab.artifacts.demo))?;
    target.console.await_stage(Stage::Failed, DEPLOY)?;
    donor.must_fail_saying("Secure Boot", STEP)?;
    image(&machine).must_be_interrupted()?;
    lab.deploy(&mut target, &packages)?;
    let facts = target.console.await_stage(Stage::Leaving, STEP)?;
    if !facts.contains("option=") {
        return Err(HarnessError::unexpected(
            "the way the target leaves",
            "option=…",
            facts,
        ));
    }
    look_at_debian(&mut target, &[(IS_SECURE, "1")])
}

/// Debian's packages, with its signed GRUB.
fn signed(lab: &Lab, to: &Path) -> Result<PathBuf> {
    let Some(debian) = &lab.artifacts.debian else {
        return Err(HarnessError::Missing {
            what: "the Debian packages".into(),
            hint: "systems/build debian".into(),
        });
    };
    std::fs::create_dir_all(to).doing("making", to.display())?;
    for name in stranger::package_names(debian)? {
        let (from, to) = (debian.join(&name), to.join(&name));
        std::fs::copy(&from, &to).doing("copying", from.display())?;
    }
    let here = to.display().to_string();
    lab.visor(&[
        "package",
        "grub",
        "--secure-boot",
        "--format",
        "zst",
        "-o",
        &here,
    ])?;
    to.canonicalize().doing("resolving", to.display())
}
