//! The order of a deploy seen from the machine: disk, code, donor, stream, disk. PID 1 and `receive-deploy` share it.
//!
//! Disks, a network and a screen in; a [`Deployed`] machine out, or the error that no donor can help with. Whatever a
//! donor does wrong ends in a new code and another wait.

use std::io;

use install::commit::Installed;
use install::deploy::{self, DeployError};
use install::disk::DiskError;
use install::legacy::{self, LegacyError};
use install::options;
use install::trust::Trust;
use install::volumes::VolumesError;
use thiserror::Error;
use wire::code::{CODE_LEN, Code};
use wire::outcome::Outcome;
use wire::stage::Stage;

use crate::blockdisk::BlockDisk;
use crate::disks::{Disks, DisksError, IMAGE_SECTOR};
use crate::donor::{Donor, Network};
use crate::gate::{Candidate, GateError, Wish};
use crate::screen::{Narrator, Screen, chain};
use crate::volumes::KernelVolumes;
use crate::watch::Watch;

/// The original stream opens with the length of a name.
const LEGACY_OPENING_LEN: usize = 4;

/// What the person in charge decided.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to look for disks.
    pub disks: Disks,
    /// Which of them, and whether it may be wiped.
    pub wish: Wish,
    /// Memory and threads.
    pub deploy: options::Options,
    /// `legacy`, for the screen.
    pub policy: &'static str,
}

/// A deployed disk, still at hand for whoever boots from it.
#[derive(Debug)]
pub struct Deployed {
    /// The proof.
    pub installed: Installed,
    /// To read its ESP, for kexec.
    pub disk: BlockDisk,
}

/// What no other donor can help with, or what ended one attempt.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The disks cannot be looked at.
    #[error(transparent)]
    Disks(#[from] DisksError),
    /// No disk may be taken.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The kernel does not tell when disks come.
    #[error("listening for disks")]
    Uevents(#[source] io::Error),
    /// No random numbers for a code.
    #[error("drawing a code")]
    Code(#[source] io::Error),
    /// No donor can be waited for.
    #[error("waiting for a donor")]
    Network(#[source] io::Error),
    /// The chosen disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Its file systems.
    #[error(transparent)]
    Volumes(#[from] VolumesError),
    /// What the donor begins with.
    #[error("receiving packages")]
    Stream(#[from] LegacyError),
    /// The deploy itself.
    #[error(transparent)]
    Deploy(#[from] DeployError),
}

impl SessionError {
    /// What follows.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            SessionError::Disks(error) => error.outcome(),
            SessionError::Gate(error) => error.outcome(),
            SessionError::Disk(error) => error.outcome(),
            SessionError::Volumes(error) => error.outcome(),
            SessionError::Stream(error) => error.outcome(),
            SessionError::Deploy(error) => error.outcome(),
            SessionError::Uevents(_) | SessionError::Code(_) | SessionError::Network(_) => {
                Outcome::Fatal
            }
        }
    }
}

/// Waits for donors until one has deployed this machine.
///
/// # Errors
/// Something that another donor would not change; it has been shown on the screen.
pub fn run(
    options: &Options,
    network: &mut dyn Network,
    screen: &dyn Screen,
) -> Result<Deployed, SessionError> {
    let fatal = |error: SessionError| {
        screen.stage(Stage::Failed, &chain(&error));
        error
    };
    let mut disks = Watch::open(options).map_err(fatal)?;
    loop {
        let chosen = disks.wait_for_one(screen).map_err(fatal)?;
        let donor = wait_for_donor(options, &chosen, network, screen).map_err(fatal)?;
        let error = match serve(options, &mut disks, donor, screen) {
            Ok(deployed) => return Ok(deployed),
            Err(error) => fatal(error),
        };
        match error.outcome() {
            Outcome::Retry | Outcome::Refuse => {}
            Outcome::Fatal => return Err(error),
        }
    }
}

fn wait_for_donor(
    options: &Options,
    chosen: &Candidate,
    network: &mut dyn Network,
    screen: &dyn Screen,
) -> Result<Box<dyn Donor>, SessionError> {
    let mut random = [0; CODE_LEN];
    getrandom::fill(&mut random).map_err(|error| SessionError::Code(error.into()))?;
    let code = Code::draw(random);
    let disk = chosen.disk.path.display();
    let facts = format!(
        "code={code} policy={} UNAUTHENTICATED disk={disk} contents={:?}",
        options.policy,
        chosen.contents.to_string()
    );
    screen.stage(Stage::Waiting, &facts);
    screen.hint(&format!(
        "  on the donor: spk-visor deploy-system-img-copy {code} --{}",
        options.policy
    ));
    let donor = network
        .accept(code.as_str(), LEGACY_OPENING_LEN)
        .map_err(SessionError::Network)?;
    screen.stage(Stage::Accepted, &format!("peer={}", donor.peer()));
    Ok(donor)
}

/// One donor, from its first byte to its last. It learns the outcome by the way its connection ends.
fn serve(
    options: &Options,
    disks: &mut Watch<'_>,
    mut donor: Box<dyn Donor>,
    screen: &dyn Screen,
) -> Result<Deployed, SessionError> {
    match deploy_from(options, disks, &mut donor, screen) {
        Ok(deployed) => {
            if let Err(error) = donor.succeed() {
                screen.warning(&format!("telling the donor of success: {}", chain(&error)));
            }
            Ok(deployed)
        }
        Err(error) => {
            donor.fail();
            Err(error)
        }
    }
}

fn deploy_from(
    options: &Options,
    disks: &mut Watch<'_>,
    donor: &mut Box<dyn Donor>,
    screen: &dyn Screen,
) -> Result<Deployed, SessionError> {
    let chosen = disks.choose_finally()?;
    let mut disk = BlockDisk::open(&chosen.disk.path, IMAGE_SECTOR)?;
    let mut volumes = KernelVolumes::new(&disk)?;
    let narrator = Narrator::new(screen);
    let mut packages = legacy::open(donor, &Trust::default())?;
    let installed = deploy::deploy(
        &mut packages,
        &mut disk,
        &mut volumes,
        &options.deploy,
        &narrator,
    )?;
    Ok(Deployed { installed, disk })
}

#[cfg(test)]
mod tests;
