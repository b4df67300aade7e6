//! Connections that break in mid-stream: the target keeps what it has, and little is sent twice.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wire::stage::Stage;

use crate::actors::donor::{Donor, Order};
use crate::actors::stranger;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{DEPLOY, Lab, STEP, await_shown};

use super::fillers::with_filler;
use super::{image, waiting};

/// The default size of a chunk (`protocol.md` 4.2).
const CHUNK_BYTES: u64 = 1 << 20;
/// The bytes that may be on their way when a connection breaks: Linux's largest send buffer
/// (tcp_wmem, tcp(7)), the target's window, and the chunk that it is reading.
const IN_FLIGHT_BYTES: u64 = (4 << 20) + (4 << 20) + CHUNK_BYTES;
/// More than has been sent before: the decoder works by then.
const ENOUGH_BYTES: u64 = 16 << 20;

pub(super) fn donor_restarted(lab: &mut Lab) -> Result<()> {
    let packages = with_filler(&lab.artifacts.demo, Path::new("packages"))?;
    let (machine, mut target) = waiting(lab)?;
    let shown = await_shown(&mut target)?;
    let order = Order::new(&shown, &packages).and(&["--json"]);
    let mut first = lab.donor(&order)?;
    await_enough(&mut first)?;
    first.kill();
    let sent_before = sent(&first.said());

    let mut second = lab.donor(&order)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    second.must_succeed(STEP)?;
    must_have_resumed("donor-restarted", &second, &packages, sent_before)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

pub(super) fn cable_pulled(lab: &mut Lab) -> Result<()> {
    let packages = with_filler(&lab.artifacts.demo, Path::new("packages"))?;
    let (machine, mut target) = waiting(lab)?;
    let shown = await_shown(&mut target)?;
    let order = Order::new(&shown, &packages).and(&["--json"]);
    let mut donor = lab.donor(&order)?;
    await_enough(&mut donor)?;
    target.set_link(0, false)?;
    // Nothing arrives and nobody says goodbye: only time tells. Both ends must notice by
    // themselves.
    target
        .console
        .await_stage(Stage::Waiting, Duration::from_secs(150))?;
    let sent_before = sent(&donor.said());
    target.set_link(0, true)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)?;
    must_have_resumed("cable-pulled", &donor, &packages, sent_before)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// Waits until a donor with `--json` has sent so much that a break is one in mid-stream.
pub(super) fn await_enough(donor: &mut Donor) -> Result<()> {
    donor.await_said("16 MiB sent", DEPLOY, |said| {
        (sent(said) >= ENOUGH_BYTES).then_some(())
    })
}

/// The most that a donor's events say was sent.
pub(super) fn sent(said: &str) -> u64 {
    let sent = events(said).filter_map(|event| event.get("sent")?.as_u64());
    sent.max().unwrap_or(0)
}

/// Events of `--json`.
fn events(said: &str) -> impl Iterator<Item = serde_json::Value> {
    said.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
}

/// The donor must have gone on where the target was, and that near to where it had been.
pub(super) fn must_have_resumed(
    what: &str,
    donor: &Donor,
    packages: &Path,
    sent_before: u64,
) -> Result<()> {
    let said = donor.said();
    let resumed = events(&said)
        .filter(|event| event.get("resumed").is_some_and(|resumed| resumed == true))
        .last();
    let point = resumed.and_then(|event| {
        let package = event.get("package")?.as_str()?.to_owned();
        Some((package, event.get("chunk")?.as_u64()?))
    });
    let Some((package, chunk)) = point else {
        let said = crate::eyes::transcript::tail(&said, 10);
        return Err(HarnessError::unexpected("the donor", "resumed", said));
    };
    let kept = bytes_before(packages, &package)? + chunk * CHUNK_BYTES;
    let twice = sent_before.saturating_sub(kept);
    println!("{what}: {sent_before} bytes were sent, {kept} kept, {twice} sent twice");
    if kept == 0 || twice > CHUNK_BYTES + IN_FLIGHT_BYTES {
        return Err(HarnessError::unexpected(
            "bytes sent twice",
            format!("at most {}", CHUNK_BYTES + IN_FLIGHT_BYTES),
            format!("{twice} of {sent_before}, resumed at chunk {chunk} of {package}"),
        ));
    }
    Ok(())
}

/// Sizes of the packages that are sent before this one.
fn bytes_before(packages: &Path, package: &str) -> Result<u64> {
    let mut before = 0;
    for name in stranger::package_names(packages)? {
        if name == package {
            return Ok(before);
        }
        let path: PathBuf = packages.join(&name);
        before += std::fs::metadata(&path)
            .doing("looking at", path.display())?
            .len();
    }
    Err(HarnessError::unexpected(
        "the resumed package",
        "one of ours",
        package,
    ))
}
