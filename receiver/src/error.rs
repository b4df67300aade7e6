//! Why a session ends, or one attempt of it: which stage failed, with the cause below it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bundle::legacy::LegacyError;
use bundle::trust::ApproveError;
use disk::disk::DiskError;
use disk::volumes::VolumesError;
use install::deploy::{DeployError, StepError};
use machine::disks::DisksError;
use machine::gate::GateError;
use thiserror::Error;
use wire::outcome::Outcome;

use crate::operator::Stop;

/// An error that no other donor can help with, or that ended one attempt.
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
    /// The identity of the opened disk is unknown.
    #[error("asking the kernel which disk {} is", path.display())]
    Identity {
        /// The path that was opened.
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
        /// The disk that was judged.
        chosen: String,
        /// The disk that was opened.
        opened: String,
    },
    /// Its file systems.
    #[error(transparent)]
    Volumes(#[from] VolumesError),
    /// The first bytes of the donor.
    #[error("receiving packages")]
    Stream(#[from] LegacyError),
    /// The manifest of the donor.
    #[error("looking at the manifest of {peer}")]
    Manifest {
        /// The donor.
        peer: SocketAddr,
        /// Why it is not taken.
        #[source]
        source: Box<ApproveError>,
    },
    /// A donor of the wrong kind.
    #[error(
        "donor {peer} begins an authenticated session, this target is set to accept the original \
         stream only; start the donor with --legacy, or this target without the policy legacy"
    )]
    NotLegacy {
        /// The donor.
        peer: SocketAddr,
    },
    /// It left before it had said anything.
    #[error("waiting for the first bytes of {peer}")]
    Opening {
        /// The donor.
        peer: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The donor does not want to, or cannot.
    #[error("donor {peer} gives up: {text}")]
    GaveUp {
        /// The donor.
        peer: SocketAddr,
        /// Its reason.
        text: String,
    },
    /// Nobody there has said yes.
    #[error("donor {peer} has not agreed to this disk within {} s", patience.as_secs())]
    NoConsent {
        /// The donor.
        peer: SocketAddr,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The disk is not what the donor has agreed to.
    #[error("donor {peer} has agreed to {agreed}; that disk has changed meanwhile: now {now}")]
    Changed {
        /// The donor.
        peer: SocketAddr,
        /// The disk that it was shown.
        agreed: String,
        /// The disk that is there now.
        now: String,
    },
    /// The deploy itself.
    #[error(transparent)]
    Deploy(DeployError),
    /// A person at the machine wants something else, before anything was written.
    #[error("a person at the machine has taken over")]
    TakenOver,
    /// A person at the machine has ended this deploy.
    #[error(
        "cancelled at the machine{}",
        if *wrote { "; the disk does not boot now" } else { "; nothing was written" }
    )]
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
    /// Whether to retry, refuse or stop.
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
    pub(crate) const fn ends_a_deploy(&self) -> bool {
        !matches!(self, SessionError::Opening { .. } | SessionError::TakenOver)
    }
}

impl From<DeployError> for SessionError {
    fn from(error: DeployError) -> Self {
        match *error.step {
            StepError::Cancelled => SessionError::Cancelled { wrote: error.wrote },
            _ => SessionError::Deploy(error),
        }
    }
}

impl From<Stop> for SessionError {
    /// Before anything is written; from then on the deploy says so itself.
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::TakenOver => SessionError::TakenOver,
            Stop::Cancelled => SessionError::Cancelled { wrote: false },
        }
    }
}
