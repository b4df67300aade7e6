//! A donor's orders besides packages: what follows the deploy, and deploys of several machines
//! at once.

use std::path::{Path, PathBuf};

use serde_json::Value;
use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::actors::exit::Exit;
use crate::actors::policy::{Credential, Shown};
use crate::error::{HarnessError, Result};
use crate::lab::{DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::running::Running;

use super::fillers::{SMALL_MIB, with_zeros};
use super::{another_machine, image};

/// Two machines at once, one of them with a disk too small for what is sent. It fails alone, and
/// takes a smaller system from the next donor. What follows a deploy is the donor's word, not the
/// command line's.
pub(super) fn several(lab: &mut Lab) -> Result<()> {
    let packages = with_zeros(&lab.artifacts.demo, Path::new("packages"))?;
    let mut machines = Vec::new();
    for (name, disk_mib) in [("small", SMALL_MIB), ("large", DISK_MIB)] {
        machines.push(another_machine(lab, name, disk_mib, "smv.after=reboot")?);
    }
    let mut targets = Vec::new();
    for machine in &machines {
        targets.push(lab.start(machine)?);
    }
    let mut screens = Vec::new();
    for target in &mut targets {
        screens.push(await_shown(target)?);
    }
    let mut donor = lab.donor(&to_all(&screens, packages))?;
    donor.must_exit(Exit::Partly, DEPLOY)?;
    let said = donor.said();
    for (machine, (target, shown)) in machines.iter().zip(targets.iter_mut().zip(&screens)) {
        if machine.name == "small" {
            must_have_ended(&said, &shown.code, "failed")?;
            must_have_named_the_package(&said, target)?;
            image(machine).must_be_interrupted()?;
            deploy_to_small(lab, target)?;
        } else {
            must_have_ended(&said, &shown.code, "installed")?;
        }
        target.await_power_off(STEP)?;
        image(machine).must_be_complete()?;
    }
    Ok(())
}

/// One order for all of these machines, whose events are read.
fn to_all(screens: &[Shown], packages: PathBuf) -> Order {
    let secrets = screens.iter().map(|shown| {
        let secret = shown.secret.clone().unwrap_or_default();
        (shown.code.clone(), secret)
    });
    Order {
        codes: screens.iter().map(|shown| shown.code.clone()).collect(),
        credential: Credential::Secrets(secrets.collect()),
        packages,
        more: ["--json", "--after", "poweroff"].map(str::to_owned).into(),
    }
}

/// At both ends.
fn must_have_named_the_package(said: &str, target: &mut Running) -> Result<()> {
    const PACKAGE: &str = "zz-filler";
    let (_, facts) = target.console.await_stage_of(&[Stage::Failed], STEP)?;
    let failures = said
        .lines()
        .filter(|line| line.contains("\"failed\""))
        .collect::<Vec<_>>();
    if facts.contains(PACKAGE) && failures.iter().any(|line| line.contains(PACKAGE)) {
        return Ok(());
    }
    let found = format!("{facts}; {failures:?}");
    Err(HarnessError::unexpected("the reason", PACKAGE, found))
}

fn deploy_to_small(lab: &mut Lab, target: &mut Running) -> Result<()> {
    let shown = await_shown(target)?;
    let order = Order::new(&shown, &lab.artifacts.demo).and(&["--after", "poweroff"]);
    let mut donor = lab.donor(&order)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)
}

/// The last event of this target that is an end.
fn must_have_ended(said: &str, code: &str, end: &str) -> Result<()> {
    let events = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ends = events.filter(|event| event.get("target").is_some_and(|target| target == code));
    let found = ends
        .filter_map(|event| Some(event.get("event")?.as_str()?.to_owned()))
        .rfind(|event| matches!(event.as_str(), "installed" | "failed"));
    if found.as_deref() == Some(end) {
        return Ok(());
    }
    let tail = crate::eyes::transcript::tail(said, 10);
    Err(HarnessError::unexpected(
        code,
        end,
        format!("{found:?}{tail}"),
    ))
}
