//! A shim that trusts one key: from any donor it installs only packages that this key has signed,
//! and nothing older than the floor. What was changed after signing gets no further than the chunk
//! it is in.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::actors::exit::Exit;
use crate::actors::policy::{Credential, Policy};
use crate::actors::stranger;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{DEPLOY, Lab, STEP, await_shown};
use crate::machine::Machine;
use crate::machine::running::Running;
use crate::media::image::FirstSector;
use crate::process::run;

use super::{another_waiting, image, waiting};

const CHUNK_BYTES: usize = 1 << 20;
/// Baked in; images of before and after it are made.
const FLOOR: u64 = 417;

/// Packages, their manifests and keys, made by `spk-visor manifest create` and minisign(1).
struct Release {
    unsigned: PathBuf,
    older: PathBuf,
    by_another_key: PathBuf,
    right: PathBuf,
}

impl Release {
    fn make(lab: &Lab) -> Result<Self> {
        for key in ["ours", "theirs"] {
            let mut minisign = Command::new("minisign");
            minisign
                .args(["-G", "-W", "-f", "-p"])
                .arg(format!("{key}.pub"));
            run(minisign.arg("-s").arg(format!("{key}.key")))?;
        }
        Ok(Self {
            unsigned: copy(&lab.artifacts.demo, "unsigned")?,
            older: signed(lab, "older", FLOOR - 1, "ours")?,
            by_another_key: signed(lab, "by-another-key", FLOOR, "theirs")?,
            right: signed(lab, "right", FLOOR, "ours")?,
        })
    }
}

fn copy(from: &Path, to: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(to).doing("making", to)?;
    for (name, data) in stranger::packages(from)? {
        let path = Path::new(to).join(name);
        std::fs::write(&path, data).doing("writing", path.display())?;
    }
    Path::new(to).canonicalize().doing("resolving", to)
}

fn signed(lab: &Lab, name: &str, counter: u64, key: &str) -> Result<PathBuf> {
    let dir = copy(&lab.artifacts.demo, name)?;
    let counter = counter.to_string();
    lab.visor(&["manifest", "create", name, "--counter", &counter])?;
    let mut minisign = Command::new("minisign");
    minisign.args(["-S", "-s"]).arg(format!("{key}.key"));
    run(minisign.arg("-m").arg(dir.join("MANIFEST")))?;
    Ok(dir)
}

pub(super) fn signed_only(lab: &mut Lab) -> Result<()> {
    let release = Release::make(lab)?;
    lab.bake(&["--trust", "ours.pub", "--floor", &FLOOR.to_string()])?;
    over_a_session(lab, &release)?;
    lab.policy = Policy::Legacy;
    over_the_original_stream(lab, &release)
}

fn over_a_session(lab: &mut Lab, release: &Release) -> Result<()> {
    let (machine, mut target) = waiting(lab)?;
    for refused in [&release.unsigned, &release.by_another_key, &release.older] {
        let shown = await_shown(&mut target)?;
        let mut donor = lab.donor(&Order::new(&shown, refused))?;
        donor.must_exit(Exit::Target, STEP)?;
        target.console.await_stage(Stage::Failed, STEP)?;
        image(&machine).must_be_untouched()?;
    }
    lab.deploy(&mut target, &release.right)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

fn over_the_original_stream(lab: &mut Lab, release: &Release) -> Result<()> {
    let (machine, mut target) = another_waiting(lab, "legacy")?;
    let untouched = FirstSector::Zero;
    let plain = Sent::of(&release.unsigned)?;
    refused(lab, &machine, &mut target, plain, untouched)?;
    for signed in [&release.by_another_key, &release.older] {
        let sent = Sent::of(signed)?;
        refused(lab, &machine, &mut target, sent, untouched)?;
    }
    let mut manifest = Sent::of(&release.right)?;
    manifest.change("MANIFEST", 30);
    refused(lab, &machine, &mut target, manifest, untouched)?;
    let mut lists = Sent::of(&release.right)?;
    lists.change("MANIFEST.chunks", 40);
    refused(lab, &machine, &mut target, lists, untouched)?;
    let mut package = Sent::of(&release.right)?;
    package.change("smechvisor-base.tar.xz", CHUNK_BYTES + 7);
    refused(lab, &machine, &mut target, package, FirstSector::Marker)?;

    let shown = await_shown(&mut target)?;
    let order = Order::new(&shown, &release.right).with(Credential::Legacy);
    let mut donor = lab.donor(&order)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// Records of one stream.
struct Sent(Vec<(String, Vec<u8>)>);

impl Sent {
    /// The packages of a directory, behind the three records of its manifest where it has one
    /// (`protocol.md` 4.4).
    fn of(dir: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read(&path).doing("reading", path.display())
        };
        let mut packages = stranger::packages(dir)?;
        packages.retain(|(name, _)| name.contains(".tar."));
        let chunks = packages
            .iter()
            .flat_map(|(_, data)| data.chunks(CHUNK_BYTES));
        let lists = chunks.flat_map(Sha256::digest).collect();
        let mut records = Vec::new();
        if dir.join("MANIFEST").exists() {
            records.push(("MANIFEST".to_owned(), read("MANIFEST")?));
            records.push(("MANIFEST.minisig".to_owned(), read("MANIFEST.minisig")?));
            records.push(("MANIFEST.chunks".to_owned(), lists));
        }
        records.append(&mut packages);
        Ok(Self(records))
    }

    /// One bit of one record.
    fn change(&mut self, name: &str, at: usize) {
        for (_, data) in self.0.iter_mut().filter(|(record, _)| record == name) {
            if let Some(byte) = data.get_mut(at) {
                *byte ^= 1;
            }
        }
    }
}

fn refused(
    lab: &mut Lab,
    machine: &Machine,
    target: &mut Running,
    sent: Sent,
    first_sector: FirstSector,
) -> Result<()> {
    await_shown(target)?;
    let mut donor = lab.raw_donor()?;
    // From here a refusal looks like a reset in the middle of sending, and is reported only
    // once.
    let all = sent
        .0
        .iter()
        .try_for_each(|(name, data)| donor.package(name, data))
        .and_then(|()| donor.send(&0u32.to_be_bytes()));
    if all.is_ok() && donor.finish() {
        return Err(HarnessError::unexpected(
            "the connection's end",
            "a reset",
            "an orderly close, which means success",
        ));
    }
    target.console.await_stage(Stage::Failed, DEPLOY)?;
    let found = image(machine).first_sector()?;
    if found == first_sector {
        return Ok(());
    }
    Err(HarnessError::unexpected(
        "the disk's first sector",
        format!("{first_sector:?}"),
        format!("{found:?}"),
    ))
}
