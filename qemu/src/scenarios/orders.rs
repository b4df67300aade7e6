//! What a donor orders besides packages: what follows the deploy, and deploys of several machines at once.

use std::path::Path;

use serde_json::Value;
use wire::stage::Stage;

use crate::donor::Order;
use crate::error::{HarnessError, Result};
use crate::exit::Exit;
use crate::lab::{DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::policy::Credential;

use super::fillers::with_zeros;
use super::{DEMO_LOGIN, LOGIN, another_machine, image};

/// The donor's word counts, not the command line's.
pub(super) fn after(lab: &mut Lab) -> Result<()> {
    for (after, otherwise) in [("kexec", "poweroff"), ("poweroff", "reboot")] {
        let machine = another_machine(lab, after, DISK_MIB, &format!("smv.after={otherwise}"))?;
        let mut target = lab.start(&machine)?;
        let shown = await_shown(&mut target)?;
        let order = Order::new(&shown, &lab.artifacts.demo).and(&["--after", after]);
        let mut donor = lab.donor(&order)?;
        target.console.await_stage(Stage::Installed, DEPLOY)?;
        donor.must_succeed(STEP)?;
        if after == "kexec" {
            target.console.await_text(DEMO_LOGIN, LOGIN)?;
        } else {
            target.await_power_off(STEP)?;
        }
        drop(target);
        image(&machine).must_have_tables()?;
    }
    Ok(())
}

/// Three machines, one of them with a disk too small for what is sent.
pub(super) fn several(lab: &mut Lab) -> Result<()> {
    let packages = with_zeros(&lab.artifacts.demo, Path::new("packages"))?;
    let mut machines = Vec::new();
    for (name, disk_mib) in [("one", DISK_MIB), ("small", 1024), ("two", DISK_MIB)] {
        machines.push(another_machine(lab, name, disk_mib, "smv.after=poweroff")?);
    }
    let mut targets = Vec::new();
    for machine in &machines {
        targets.push(lab.start(machine)?);
    }
    let mut screens = Vec::new();
    for target in &mut targets {
        screens.push(await_shown(target)?);
    }
    let secrets = screens.iter().map(|shown| {
        let secret = shown.secret.clone().unwrap_or_default();
        (shown.code.clone(), secret)
    });
    let order = Order {
        codes: screens.iter().map(|shown| shown.code.clone()).collect(),
        credential: Credential::Secrets(secrets.collect()),
        packages,
        more: vec!["--json".to_owned()],
    };
    let mut donor = lab.donor(&order)?;
    donor.must_exit(Exit::Partly, DEPLOY)?;
    let said = donor.said();
    for (machine, (target, shown)) in machines.iter().zip(targets.iter_mut().zip(&screens)) {
        let is_small = machine.name == "small";
        must_have_ended(
            &said,
            &shown.code,
            if is_small { "failed" } else { "installed" },
        )?;
        if is_small {
            image(machine).must_be_interrupted()?;
        } else {
            target.await_power_off(STEP)?;
            image(machine).must_be_complete()?;
        }
    }
    Ok(())
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
    let tail = crate::transcript::tail(said, 10);
    Err(HarnessError::unexpected(
        code,
        end,
        format!("{found:?}{tail}"),
    ))
}
