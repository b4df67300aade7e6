//! Donors that die, lie or are none. What they leave behind must not boot, and the next donor must succeed.

use std::path::Path;

use wire::stage::Stage;

use crate::donor::Order;
use crate::error::{HarnessError, Result};
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::Firmware;
use crate::policy::Shown;
use crate::running::Running;
use crate::stranger::{self, RawDonor};

use super::fillers::{with_filler, with_zeros};
use super::{DEMO_LOGIN, LOGIN, image, waiting};

pub(super) fn killed(lab: &mut Lab) -> Result<()> {
    let packages = with_filler(&lab.artifacts.demo, Path::new("packages"))?;
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.cd("smv.after=reboot")?;
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    let mut target = lab.start(&machine)?;

    let shown = await_shown(&mut target)?;
    let mut donor = lab.donor(&Order::new(&shown, &packages))?;
    target.console.await_stage(Stage::Receiving, DEPLOY)?;
    donor.kill();
    target.console.await_stage(Stage::Failed, STEP)?;
    await_shown(&mut target)?;
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
    let shown = await_shown(&mut target)?;
    let mut donor = lab.donor(&Order::new(&shown, &packages))?;
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
    let shown = await_shown(&mut target)?;
    let mut donor = lab.donor(&Order::new(&shown, &packages))?;
    let reason = target.console.await_stage(Stage::Failed, DEPLOY)?;
    if !reason.contains("zz-filler") {
        return Err(HarnessError::unexpected(
            "the reason",
            "the package's name",
            reason,
        ));
    }
    donor.must_fail_saying("zz-filler", STEP)?;
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
    await_shown(&mut target)?;
    let (_, address) = stranger::hear_beacon(STEP)?;
    stranger::pester(address)?;
    stranger::pester(address)?;
    image(&machine).must_be_untouched()?;
    // Each wrong opening ends in a new code; the one that is announced now counts.
    let (code, _) = stranger::hear_beacon(STEP)?;
    let shown = Shown { code, secret: None };
    let mut donor = lab.donor(&Order::new(&shown, &lab.artifacts.demo))?;
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
    await_shown(&mut target)?;
    let mut donor = lab.raw_donor()?;
    // A reset in the middle of sending is what a refusal looks like from here, and is told only once.
    let all = misbehave(&mut donor, stranger::packages(&lab.artifacts.demo)?);
    if all.is_ok() && donor.finish() {
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
