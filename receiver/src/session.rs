//! The order of a deploy seen from the machine: disk, code, donor, stream, disk. PID 1 and `receive-deploy` share it.
//!
//! Disks, a network and a screen in; a [`Deployed`] machine out, or the error that no donor can help with. Whatever a
//! donor does wrong ends in a new code and another wait.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bundle::legacy::LegacyError;
use bundle::trust::{ApproveError, Approved, Trust};
use disk::disk::DiskError;
use disk::volumes::{Volumes, VolumesError};
use install::commit::Installed;
use install::deploy::{self, DeployError};
use install::options;
use thiserror::Error;
use wire::chain::chain;
use wire::code::{CODE_LEN, Code};
use wire::message::After;
use wire::outcome::Outcome;
use wire::stage::Stage;
use wire::stream::RESUME_SECONDS;

use crate::blockdisk::BlockDisk;
use crate::connection::Connection;
use crate::disks::{self, Disks, DisksError, IMAGE_SECTOR};
use crate::donor::Network;
use crate::gate::{Candidate, GateError, Wish};
use crate::inventory::SYS_DEV_BLOCK;
use crate::news::News;
use crate::person::{Stop, Turn};
use crate::policy::Policy;
use crate::refusals::Refusals;
use crate::screen::{Screen, warn};
use crate::volumes::KernelVolumes;
use crate::watch::Watch;
use crate::{legacy, paired, rehearsal};

/// What the person in charge decided.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to look for disks.
    pub disks: Disks,
    /// Which of them, and whether it may be wiped.
    pub wish: Wish,
    /// Memory and threads.
    pub deploy: options::Options,
    /// Who may send a system.
    pub policy: Policy,
    /// Whose signature it must have, and how old it may be.
    pub trust: Trust,
    /// How long people are waited for.
    pub patience: Patience,
    /// Only say what would be done: no disk is written, no donor's image taken.
    pub dry_run: bool,
    /// The first deploy that fails is the last: nobody is there who would read another code.
    pub is_once: bool,
}

/// How long a target that has begun with one donor waits before it begins anew with any other (`protocol.md` 3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the donor's yes to the disk.
    pub consent: Duration,
    /// For a donor whose connection broke.
    pub resume: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            consent: Duration::from_secs(600),
            resume: Duration::from_secs(RESUME_SECONDS),
        }
    }
}

/// A deployed disk, still at hand for whoever boots from it.
#[derive(Debug)]
pub struct Deployed {
    /// The proof.
    pub installed: Installed,
    /// To read its ESP, for kexec.
    pub disk: BlockDisk,
    /// What the donor wants to follow.
    pub order: After,
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
    /// Which disk was opened cannot be said.
    #[error("asking the kernel which disk {} is", path.display())]
    Identity {
        /// What was opened.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another disk is behind its path, or it holds something else.
    #[error(
        "opening disk {chosen}: it is not that one any more, nothing was written; now {opened}"
    )]
    Exchanged {
        /// What was judged.
        chosen: String,
        /// What was opened.
        opened: String,
    },
    /// Its file systems.
    #[error(transparent)]
    Volumes(#[from] VolumesError),
    /// What the donor begins with.
    #[error("receiving packages")]
    Stream(#[from] LegacyError),
    /// What the donor has.
    #[error("looking at the manifest of {peer}")]
    Manifest {
        /// Which donor.
        peer: SocketAddr,
        /// Why it is not taken.
        #[source]
        source: Box<ApproveError>,
    },
    /// A donor of the wrong kind.
    #[error(
        "donor {peer} begins an authenticated session, this target was told to accept the original stream only; start \
         the donor with --legacy, or this target without the policy legacy"
    )]
    NotLegacy {
        /// Which donor.
        peer: SocketAddr,
    },
    /// It left before it had said anything.
    #[error("waiting for the first bytes of {peer}")]
    Opening {
        /// Which donor.
        peer: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The donor does not want to, or cannot.
    #[error("donor {peer} gives up: {text}")]
    GaveUp {
        /// Which donor.
        peer: SocketAddr,
        /// Its reason.
        text: String,
    },
    /// Nobody there has said yes.
    #[error("donor {peer} has not agreed to this disk within {} s", patience.as_secs())]
    NoConsent {
        /// Which donor.
        peer: SocketAddr,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The disk is not what the donor has agreed to.
    #[error("donor {peer} has agreed to {agreed}; that disk has changed meanwhile: now {now}")]
    Changed {
        /// Which donor.
        peer: SocketAddr,
        /// What it was shown.
        agreed: String,
        /// What there is.
        now: String,
    },
    /// The deploy itself.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// A person at the machine wants something else, before anything was written.
    #[error("a person at the machine has taken over")]
    TakenOver,
    /// A person at the machine has ended this deploy.
    #[error("cancelled at the machine{}", if *wrote { "; the disk does not boot now" } else { "; nothing was written" })]
    Cancelled {
        /// Are the old contents gone?
        wrote: bool,
    },
    /// As it was asked for.
    #[error("nothing was written, as this target was asked only for its plan: {plan}")]
    DryRun {
        /// Disk, layout, and what would be gone.
        plan: String,
    },
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
            SessionError::Manifest { source, .. } => source.outcome(),
            SessionError::NotLegacy { .. }
            | SessionError::GaveUp { .. }
            | SessionError::NoConsent { .. }
            | SessionError::Changed { .. }
            | SessionError::Exchanged { .. }
            | SessionError::TakenOver
            | SessionError::Cancelled { .. }
            | SessionError::DryRun { .. } => Outcome::Refuse,
            SessionError::Opening { .. } => Outcome::Retry,
            SessionError::Uevents(_)
            | SessionError::Identity { .. }
            | SessionError::Code(_)
            | SessionError::Network(_) => Outcome::Fatal,
        }
    }
}

impl SessionError {
    /// Whether a donor had its turn. One that said nothing, as a port scanner does, has not, and a
    /// person goes on.
    const fn ends_a_deploy(&self) -> bool {
        !matches!(self, SessionError::Opening { .. } | SessionError::TakenOver)
    }
}

impl From<Stop> for SessionError {
    /// Before anything is written; for later see [`stopped`].
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::TakenOver => SessionError::TakenOver,
            Stop::Cancelled => SessionError::Cancelled { wrote: false },
        }
    }
}

/// Makes the file systems of an opened disk: the one thing in here that needs a kernel.
pub type OpenVolumes<'a> = dyn Fn(&BlockDisk) -> Result<Box<dyn Volumes>, VolumesError> + 'a;

/// Waits for donors until one has deployed this machine.
///
/// # Errors
/// Something that another donor would not change; it has been shown on the screen.
pub fn run(
    options: &Options,
    network: &mut dyn Network,
    screen: &dyn Screen,
) -> Result<Deployed, SessionError> {
    let volumes = |disk: &BlockDisk| -> Result<Box<dyn Volumes>, VolumesError> {
        Ok(Box::new(KernelVolumes::new(disk)?))
    };
    run_with(options, network, screen, &volumes)
}

/// The same with file systems of the caller's making.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    options: &Options,
    network: &mut dyn Network,
    screen: &dyn Screen,
    volumes: &OpenVolumes<'_>,
) -> Result<Deployed, SessionError> {
    let shown = |error: SessionError| {
        // Somebody else has shown what he wants instead.
        if !matches!(error, SessionError::TakenOver) {
            let reason = chain(&error).to_string();
            screen.stage(Stage::Failed, &reason);
            let is_fatal = error.outcome() == Outcome::Fatal;
            screen.news(&News::Failed { reason, is_fatal });
        }
        error
    };
    let turn = Turn::of(screen.person());
    let _interrupter = turn.attach(network.interrupter());
    let mut attempt = Attempt {
        options,
        disks: Watch::open(options, screen, &turn).map_err(shown)?,
        network,
        refusals: Refusals::new(Instant::now()),
        screen,
        volumes,
        turn: turn.clone(),
    };
    loop {
        let chosen = attempt.disks.wait_for_one().map_err(shown)?;
        if options.dry_run {
            let sizes = attempt.disks.deploy_options().sizes;
            let facts = rehearsal::plan(&chosen, sizes).map_err(shown)?;
            let stage = Stage::Planned;
            screen.stage(stage, &facts);
            screen.news(&News::Stage { stage, facts });
        }
        let result = match &options.policy {
            Policy::Legacy => legacy::deploy(&mut attempt, &chosen),
            Policy::Secret | Policy::Pinned(_) => paired::deploy(&mut attempt, &chosen),
        };
        let is_cancelled = turn.end();
        let error = match result {
            Ok(deployed) => {
                if is_cancelled {
                    let disk = deployed.installed.disk_name();
                    warn(screen, &format!("cancelled too late: {disk} is complete"));
                }
                return Ok(deployed);
            }
            Err(ended) => {
                let error = shown(ended.error);
                attempt.disks.follow();
                // Only now: what a donor is told takes as long as it likes to close, and a person waits for this screen.
                if let Some(Err(error)) = ended.connection.map(|donor| donor.close()) {
                    let text = format!("closing the donor's connection: {}", chain(&error));
                    warn(screen, &text);
                }
                error
            }
        };
        match error.outcome() {
            Outcome::Retry | Outcome::Refuse if !(options.is_once && error.ends_a_deploy()) => {}
            _ => return Err(error),
        }
    }
}

/// An attempt that came to nothing.
pub(crate) struct Ended {
    pub(crate) error: SessionError,
    /// The donor that was told, with its words still on the way.
    pub(crate) connection: Option<Box<Connection>>,
}

impl From<SessionError> for Ended {
    fn from(error: SessionError) -> Self {
        Self {
            error,
            connection: None,
        }
    }
}

/// What every attempt needs.
pub(crate) struct Attempt<'a> {
    pub(crate) options: &'a Options,
    pub(crate) disks: Watch<'a>,
    pub(crate) network: &'a mut dyn Network,
    pub(crate) refusals: Refusals,
    pub(crate) screen: &'a dyn Screen,
    pub(crate) volumes: &'a OpenVolumes<'a>,
    pub(crate) turn: Turn,
}

/// The disk to take, now that somebody wants to: another may have come since the screen named one. In a dry run there is none.
pub(crate) fn open_disk(
    disks: &mut Watch<'_>,
    volumes: &OpenVolumes<'_>,
    options: &Options,
) -> Result<(Candidate, BlockDisk, Box<dyn Volumes>), SessionError> {
    let chosen = disks.choose_finally()?;
    if options.dry_run {
        let plan = rehearsal::plan(&chosen, disks.deploy_options().sizes)?;
        return Err(SessionError::DryRun { plan });
    }
    let disk = claim(&chosen)?;
    // Before a donor is asked for anything.
    deploy::outline(&disk, disks.deploy_options().sizes)?;
    let volumes = volumes(&disk)?;
    Ok((chosen, disk, volumes))
}

/// Opens the chosen disk for us alone. What the gate has judged was found by its path, and the path
/// may lead elsewhere by now: only the disk that was judged is given out.
pub(crate) fn claim(chosen: &Candidate) -> Result<BlockDisk, SessionError> {
    let mut disk = BlockDisk::open(&chosen.disk.path, IMAGE_SECTOR)?;
    must_be(chosen, &mut disk)?;
    Ok(disk)
}

/// Is an open disk the one that was chosen, with the same contents, as the disk itself has them now?
pub(crate) fn must_be(chosen: &Candidate, disk: &mut BlockDisk) -> Result<(), SessionError> {
    let failed = |source| SessionError::Identity {
        path: chosen.disk.path.clone(),
        source,
    };
    disk.forget_cache()?;
    let opened = disks::behind(disk, Path::new(SYS_DEV_BLOCK)).map_err(failed)?;
    if opened == *chosen {
        return Ok(());
    }
    Err(SessionError::Exchanged {
        chosen: chosen.to_string(),
        opened: opened.to_string(),
    })
}

/// A code nobody has heard of yet.
pub(crate) fn draw_code() -> Result<Code, SessionError> {
    let mut random = [0; CODE_LEN];
    getrandom::fill(&mut random).map_err(|error| SessionError::Code(error.into()))?;
    Ok(Code::draw(random))
}

/// The donor's image is worth an answer.
pub(crate) fn accepted(peer: SocketAddr, image: Option<&Approved>) -> News {
    let packages = image.iter().flat_map(|image| image.files());
    News::Accepted {
        peer,
        version: image.map(|image| image.version().to_owned()),
        packages: packages.map(|file| file.name.to_string()).collect(),
        total_bytes: image.and_then(|image| image.size_bytes()),
    }
}

/// The disk boots.
pub(crate) fn complete(disk: Candidate, installed: &Installed) -> News {
    News::Installed {
        disk: Box::new(disk),
        title: installed.entry().title.clone(),
    }
}

/// Why a deploy has failed: what a person at the machine said goes before what broke because of it.
pub(crate) fn stopped(turn: &Turn, error: DeployError) -> SessionError {
    match turn.stopped() {
        Some(Stop::Cancelled) => SessionError::Cancelled { wrote: error.wrote },
        Some(Stop::TakenOver) => SessionError::TakenOver,
        None => error.into(),
    }
}

/// What a line about waiting says of the disk.
pub(crate) fn disk_facts(chosen: &Candidate) -> String {
    let contents = chosen.contents.to_string();
    format!("disk={} contents={contents:?}", chosen.disk.path.display())
}

/// What the screen says of an image.
pub(crate) fn image_facts(image: &Approved) -> String {
    let bytes = image.size_bytes();
    let bytes = bytes.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string());
    format!(
        "version={} counter={} files={} bytes={bytes} manifest=\"{}\"",
        image.version(),
        image.counter(),
        image.files().len(),
        image.voucher()
    )
}

#[cfg(test)]
mod tests;
