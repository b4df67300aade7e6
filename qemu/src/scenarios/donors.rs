//! Donors that die or lie, and peers that are no donors. The disks they leave behind must not boot,
//! and the next donor must succeed.

use std::path::Path;

use wire::secret::Secret;
use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::actors::policy::{Credential, Shown};
use crate::actors::stranger::{self, RawDonor};
use crate::error::{HarnessError, Result};
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::Firmware;
use crate::machine::running::Running;

use super::boots::must_leave_by;
use super::fillers::with_filler;
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

    // The disk is first in the boot order: that the CD starts again shows that the firmware passed
    // it by.
    target.reset()?;
    target.console.await_stage(Stage::Starting, BOOT)?;
    lab.deploy_demo(&mut target)?;
    must_leave_by(&mut target, "reboot")?;
    target.console.await_text(DEMO_LOGIN, LOGIN)?;
    lab.health(&machine, STEP).map(drop)
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

/// Everything that can go wrong before a deploy, on one machine: each ends in a refusal, and the
/// donor behind them succeeds.
pub(super) fn misbehaving(lab: &mut Lab) -> Result<()> {
    let (machine, mut target) = waiting(lab)?;
    let shown = await_shown(&mut target)?;
    speaks_another_policy(lab, &mut target, &shown)?;
    let (_, address) = stranger::hear_beacon(STEP)?;
    stranger::pester(address)?;
    stranger::pester(address)?;
    image(&machine).must_be_untouched()?;
    // Each wrong opening ends in a new code; the intruders' failures stand in front of the last
    // one.
    let (code, _) = stranger::hear_beacon(STEP)?;
    target.console.await_text(&format!("code={code}"), STEP)?;
    for misbehave in [corrupt_xz, no_terminator] {
        is_refused(lab, &mut target, misbehave)?;
        image(&machine).must_be_interrupted()?;
    }
    lab.deploy_demo(&mut target)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// A donor with a secret, to whom the original stream is never spoken.
fn speaks_another_policy(lab: &mut Lab, target: &mut Running, shown: &Shown) -> Result<()> {
    let secret = Credential::Secret(Secret::draw([0x5a; 5]).to_string());
    let order = Order::new(shown, &lab.artifacts.demo).with(secret);
    let mut donor = lab.donor(&order)?;
    let refused = "begins an authenticated session";
    target.console.await_text(refused, STEP)?;
    // It would ask again for two minutes, as a target may be busy.
    donor.interrupt()?;
    donor.must_fail(STEP)
}

type Packages = Vec<(String, Vec<u8>)>;

/// Damage in the middle of the second package.
fn corrupt_xz(donor: &mut RawDonor, packages: Packages) -> Result<()> {
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
}

/// A stream that just ends.
fn no_terminator(donor: &mut RawDonor, packages: Packages) -> Result<()> {
    packages
        .iter()
        .try_for_each(|(name, data)| donor.package(name, data))
}

/// A donor misbehaves, and the target must say so.
fn is_refused(
    lab: &Lab,
    target: &mut Running,
    misbehave: fn(&mut RawDonor, Packages) -> Result<()>,
) -> Result<()> {
    let mut donor = lab.raw_donor()?;
    // From here a refusal looks like a reset in the middle of sending, and is reported only
    // once.
    let all = misbehave(&mut donor, stranger::packages(&lab.artifacts.demo)?);
    if all.is_ok() && donor.finish() {
        return Err(HarnessError::unexpected(
            "the connection's end",
            "a reset",
            "an orderly close, which means success",
        ));
    }
    target.console.await_stage(Stage::Failed, DEPLOY).map(drop)
}
