//! Why a deploy failed: the step, and whether the old contents are gone.

use std::io;

use bundle::decode::DecodeError;
use bundle::directory::DirectoryError;
use bundle::package_stream::PackagesError;
use bundle::unpack_pipeline::PackageError;
use disk::disk::DiskError;
use disk::esp::EspError;
use disk::layout::LayoutError;
use disk::volumes::VolumesError;
use thiserror::Error;
use wire::outcome::Outcome;

use crate::boot_files::BootFilesError;
use crate::commit::CommitError;
use crate::identity::IdentityError;
use crate::image::ImageError;
use crate::state::StateError;

/// A deploy failed.
#[derive(Debug, Error)]
#[error("deploying to {disk}{}", if *wrote { ", which does not boot now" } else { ", where nothing was written" })]
pub struct DeployError {
    /// The disk.
    pub disk: String,
    /// Are the old contents gone?
    pub wrote: bool,
    /// The step that failed.
    #[source]
    pub step: Box<StepError>,
}

impl DeployError {
    /// Whether to retry, refuse or stop.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.step.outcome()
    }
}

/// The step that failed.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum StepError {
    /// This end has cancelled the deploy: its source gave nothing more.
    #[error("the deploy was cancelled")]
    Cancelled,
    /// The stream between packages.
    #[error("receiving packages")]
    Packages(#[source] PackagesError),
    /// The first package, before anything was written.
    #[error("looking at {package}")]
    FirstPackage {
        package: String,
        /// Why it cannot be decoded.
        #[source]
        source: DecodeError,
    },
    /// More than fits, by its own account.
    #[error("the packages say that they unpack to {claimed} bytes; {cap} is the most here")]
    TooLarge {
        /// The size that the packages claim.
        claimed: u64,
        /// The limit of the root partition, or of the operator.
        cap: u64,
    },
    /// Nobody who decodes packages, before anything was written.
    #[error("starting a decoder of packages")]
    Worker(#[source] io::Error),
    /// The disk is too small.
    #[error("planning the layout")]
    Layout(#[from] LayoutError),
    /// A plan without slots.
    #[error("the layout has no slot for an image")]
    NoSlot,
    /// An image, or none where one belongs.
    #[error("installing an image")]
    Image(#[source] ImageError),
    /// The state partition of a disk with two slots.
    #[error("making the state of this machine")]
    State(#[from] StateError),
    /// No identities for the partitions.
    #[error("drawing identities for the partitions")]
    Random(#[from] getrandom::Error),
    /// Taking the old contents away, or the swap area.
    #[error("preparing the disk")]
    Disk(#[from] DiskError),
    /// The ESP.
    #[error("preparing the ESP")]
    Esp(#[from] EspError),
    /// Making, mounting or unmounting the file systems.
    #[error("handling the file systems")]
    Volumes(#[from] VolumesError),
    /// A package.
    #[error("installing a package")]
    Package(#[source] PackageError),
    /// The boot files of the system.
    #[error("making the system bootable")]
    BootFiles(#[from] BootFilesError),
    /// Its identity.
    #[error("resetting the system's identity")]
    Identity(#[from] IdentityError),
    /// Its mount table.
    #[error("writing the mount table")]
    Fstab(#[source] DirectoryError),
    /// The last step.
    #[error("committing")]
    Commit(#[from] CommitError),
}

impl From<PackagesError> for StepError {
    fn from(error: PackagesError) -> Self {
        match error {
            PackagesError::Cancelled => StepError::Cancelled,
            error => StepError::Packages(error),
        }
    }
}

impl From<ImageError> for StepError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Packages {
                source: PackagesError::Cancelled,
                ..
            } => StepError::Cancelled,
            error => StepError::Image(error),
        }
    }
}

impl From<PackageError> for StepError {
    fn from(error: PackageError) -> Self {
        match error {
            PackageError::Cancelled => StepError::Cancelled,
            error => StepError::Package(error),
        }
    }
}

impl StepError {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            StepError::Packages(error) => error.outcome(),
            StepError::FirstPackage { source, .. } => source.outcome(),
            StepError::TooLarge { .. } | StepError::Cancelled => Outcome::Refuse,
            StepError::Layout(error) => error.outcome(),
            StepError::Image(error) => error.outcome(),
            StepError::State(error) => error.outcome(),
            StepError::Random(_) | StepError::Worker(_) | StepError::NoSlot => Outcome::Fatal,
            StepError::Disk(error) => error.outcome(),
            StepError::Esp(error) => error.outcome(),
            StepError::Volumes(error) => error.outcome(),
            StepError::Package(error) => error.outcome(),
            StepError::BootFiles(error) => error.outcome(),
            StepError::Identity(error) => error.outcome(),
            StepError::Fstab(error) => error.outcome(),
            StepError::Commit(error) => error.outcome(),
        }
    }
}
