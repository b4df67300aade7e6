//! Donors that die, lie or are none. What they leave behind must not boot, and the next donor must succeed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use wire::stage::Stage;

use crate::donor::{self, Noise, RawDonor};
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP, await_code};
use crate::machine::{Firmware, Machine};
use crate::process::run;
use crate::running::Running;

use super::{DEMO_LOGIN, LOGIN, image};

/// More than all buffers between donor and disk hold, so that a donor killed early has not sent everything.
const FILLER_MIB: usize = 48;

pub(super) fn killed(lab: &mut Lab) -> Result<()> {
    let packages = with_filler(&lab.artifacts.demo, Path::new("packages"))?;
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.cd("smv.after=reboot")?;
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    let mut target = lab.start(&machine)?;

    let code = await_code(&mut target)?;
    let mut donor = lab.donor(&code, &packages)?;
    target.console.await_stage(Stage::Receiving, DEPLOY)?;
    donor.kill();
    target.console.await_stage(Stage::Failed, STEP)?;
    await_code(&mut target)?;
    image(&machine).must_be_interrupted()?;

    // The disk is first in the boot order: that the CD starts again shows that the firmware passed it by.
    target.reset()?;
    target.console.await_stage(Stage::Starting, BOOT)?;
    lab.deploy_demo(&mut target)?;
    target.console.await_text(DEMO_LOGIN, LOGIN).map(drop)
}

pub(super) fn cable_pulled(lab: &mut Lab) -> Result<()> {
    let packages = with_filler(&lab.artifacts.demo, Path::new("packages"))?;
    let (machine, mut target) = waiting(lab)?;
    let code = await_code(&mut target)?;
    let mut donor = lab.donor(&code, &packages)?;
    target.console.await_stage(Stage::Receiving, DEPLOY)?;
    target.set_link(0, false)?;
    // Nothing arrives and nobody says goodbye: only the stall time tells.
    target.console.await_stage(Stage::Failed, STEP)?;
    image(&machine).must_be_interrupted()?;
    donor.kill();
    target.set_link(0, true)?;
    lab.deploy_demo(&mut target)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// A package of zeros: 160 kB on the wire, a gigabyte unpacked.
pub(super) fn too_large(lab: &mut Lab) -> Result<()> {
    let packages = with_zeros(&lab.artifacts.demo, Path::new("packages"))?;
    let disk = lab.disk("disk", 1024)?;
    let medium = lab.kernel("smv.after=poweroff");
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    let mut target = lab.start(&machine)?;
    let code = await_code(&mut target)?;
    let mut donor = lab.donor(&code, &packages)?;
    let reason = target.console.await_stage(Stage::Failed, DEPLOY)?;
    if !reason.contains("zz-filler") {
        return Err(HarnessError::unexpected(
            "the reason",
            "the package's name",
            reason,
        ));
    }
    donor.must_fail(STEP)?;
    image(&machine).must_be_interrupted()?;
    lab.deploy_demo(&mut target)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

pub(super) fn corrupt_xz(lab: &mut Lab) -> Result<()> {
    refused_then_retried(lab, |donor, packages| {
        for (number, (name, mut data)) in packages.into_iter().enumerate() {
            if number == 1 {
                let middle = data.len() / 2;
                data.iter_mut()
                    .skip(middle)
                    .take(64)
                    .for_each(|byte| *byte ^= 0xff);
            }
            donor.package(&name, &data)?;
        }
        donor.send(&0u32.to_be_bytes())
    })
}

pub(super) fn no_terminator(lab: &mut Lab) -> Result<()> {
    refused_then_retried(lab, |donor, packages| {
        packages
            .iter()
            .try_for_each(|(name, data)| donor.package(name, data))
    })
}

pub(super) fn pestered(lab: &mut Lab) -> Result<()> {
    let (machine, mut target) = waiting(lab)?;
    await_code(&mut target)?;
    let (_, address) = donor::hear_beacon(STEP)?;
    donor::pester(address)?;
    donor::pester(address)?;
    image(&machine).must_be_untouched()?;
    // Each wrong opening ends in a new code; the one that is announced now counts.
    let (code, _) = donor::hear_beacon(STEP)?;
    let mut donor = lab.donor(&code, &lab.artifacts.demo.clone())?;
    await_installed(&mut target)?;
    donor.must_succeed(STEP)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

type Packages = Vec<(String, Vec<u8>)>;

/// A first donor misbehaves; the target must say so, leave the disk unbootable, and take the second donor.
fn refused_then_retried(
    lab: &mut Lab,
    misbehave: impl FnOnce(&mut RawDonor, Packages) -> Result<()>,
) -> Result<()> {
    let (machine, mut target) = waiting(lab)?;
    await_code(&mut target)?;
    let mut donor = lab.raw_donor()?;
    // A reset in the middle of sending is what a refusal looks like from here; the target's own words decide.
    let _ = misbehave(&mut donor, donor::packages(&lab.artifacts.demo)?);
    if donor.finish() {
        return Err(HarnessError::unexpected(
            "the connection's end",
            "a reset",
            "an orderly close, which means success",
        ));
    }
    target.console.await_stage(Stage::Failed, DEPLOY)?;
    image(&machine).must_be_interrupted()?;
    lab.deploy_demo(&mut target)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

fn waiting(lab: &mut Lab) -> Result<(Machine, Running)> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.kernel("smv.after=poweroff");
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    let target = lab.start(&machine)?;
    Ok((machine, target))
}

/// Failures of the intruders may still be on their way to the console.
fn await_installed(target: &mut Running) -> Result<()> {
    loop {
        if let (Stage::Installed, _) = target
            .console
            .await_stage_of(&[Stage::Installed, Stage::Failed], DEPLOY)?
        {
            return Ok(());
        }
    }
}

/// The packages of `from` and one more, last by name, that does not compress.
fn with_filler(from: &Path, to: &Path) -> Result<PathBuf> {
    let mut noise = Noise(2);
    let bytes: Vec<u8> = (0..FILLER_MIB << 17)
        .flat_map(|_| noise.word().to_le_bytes())
        .collect();
    with_one_more(from, to, |mut file| file.write_all(&bytes))
}

/// The same, of nothing but zeros.
fn with_zeros(from: &Path, to: &Path) -> Result<PathBuf> {
    with_one_more(from, to, |file| file.set_len(1 << 30))
}

fn with_one_more(
    from: &Path,
    to: &Path,
    fill: impl FnOnce(File) -> std::io::Result<()>,
) -> Result<PathBuf> {
    std::fs::create_dir_all(to).doing("making", to.display())?;
    for (name, data) in donor::packages(from)? {
        let path = to.join(name);
        std::fs::write(&path, data).doing("writing", path.display())?;
    }
    let filler = to.join("zz-filler");
    File::create(&filler)
        .and_then(fill)
        .doing("writing", filler.display())?;
    let package = to.join("zz-filler.tar.xz");
    run(Command::new("tar")
        .args(["-C"])
        .arg(to)
        .args(["-I", "xz -0 -T2", "--remove-files", "-cf"])
        .arg(&package)
        .arg("zz-filler"))?;
    to.canonicalize().doing("resolving", to.display())
}
