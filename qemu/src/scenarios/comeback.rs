//! The machine comes back from the disk that was installed, whatever its firmware prefers; and nothing is installed twice
//! unless somebody says so.

use std::collections::BTreeMap;

use wire::stage::Stage;

use crate::error::{HarnessError, Result};
use crate::lab::{BOOT, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::{Firmware, Machine, Prefers};
use crate::running::Running;
use crate::variables::Variables;

use super::{DEMO_LOGIN, LOGIN};

/// A blank disk and a CD with the shim, under UEFI.
fn machine(lab: &mut Lab, prefers: Prefers, more: &str) -> Result<Machine> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.cd(more)?;
    let machine = lab.machine(Firmware::Uefi, vec![disk], medium)?;
    Ok(Machine { prefers, ..machine })
}

/// OVMF without advice from QEMU keeps its order in its variables, as firmware on metal does.
pub(super) fn boot_order(lab: &mut Lab) -> Result<()> {
    let machine = machine(lab, Prefers::Variables, "smv.after=reboot")?;
    let mut target = lab.start(&machine)?;
    let shown = await_shown(&mut target)?;
    let before = target.variables()?;
    let packages = lab.artifacts.demo.clone();
    lab.deploy_shown(&mut target, &shown, &packages)?;
    let option = left_with_option(&mut target)?;
    must_start(&mut target, &option)?;
    must_have_in_front(&before, &target.variables()?, &option)?;
    // BootNext counts once; from here on the order does.
    target.reset()?;
    must_start(&mut target, &option)
}

/// The boot option that the target says it has made.
fn left_with_option(target: &mut Running) -> Result<String> {
    let facts = target.console.await_stage(Stage::Leaving, STEP)?;
    let option = facts
        .split_whitespace()
        .find_map(|fact| fact.strip_prefix("option="));
    let option = option.map(str::to_owned);
    option
        .ok_or_else(|| HarnessError::unexpected("the way the target leaves", "option=Boot…", facts))
}

/// The firmware says that it starts `option`, and the system comes up.
fn must_start(target: &mut Running, option: &str) -> Result<()> {
    target
        .console
        .await_text(&format!("starting {option} "), BOOT)?;
    target.console.await_text(DEMO_LOGIN, LOGIN).map(drop)
}

/// `option` is new and first; everything else is where it was.
fn must_have_in_front(before: &Variables, after: &Variables, option: &str) -> Result<()> {
    let mut order = after.order();
    let first = (!order.is_empty()).then(|| order.remove(0));
    let mut options: BTreeMap<_, _> = after.options().collect();
    let is_new = options.remove(option).is_some();
    let others: BTreeMap<_, _> = before.options().collect();
    if first.as_deref() == Some(option)
        && is_new
        && order == before.order()
        && !others.is_empty()
        && options == others
    {
        return Ok(());
    }
    let expected = format!(
        "{option} in front of {:?}, nothing else changed",
        before.order()
    );
    Err(HarnessError::unexpected(
        "the boot variables",
        expected,
        format!("{after:?}"),
    ))
}
