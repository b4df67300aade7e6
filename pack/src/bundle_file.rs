//! `bundle`: a release as one file, `NAME.smv`, written, signed, verified and looked into
//! (`protocol.md` 4.4).
//!
//! In: a directory, files or a bundle file. Out: a bundle file, whole and durable under its name or
//! not there; or what one is. Whatever is written was verified on the way, chunk by chunk, so no
//! bundle file is made that no target would take. The same files, manifest and signature give the
//! same bytes.

pub mod content;
mod create;
mod drain;
mod inspect;
mod sign;
mod verify;

use std::io;
use std::path::PathBuf;

use bundle::trust::{ApproveError, Wanted};
use bundle::verify::VerifyError;
use fetch::FetchError;
use thiserror::Error;
use wire::manifest::Manifest;
use wire::outcome::Outcome;

use crate::manifest::ManifestCommandError;
use crate::manifest::listing::ListingError;

pub use content::Content;
pub use create::{Create, Head, create};
pub(crate) use drain::{Sink, drain};
pub use inspect::{Claim, inspect};
pub use sign::{Sign, sign};
pub use verify::{Verify, verify};

/// How far a long piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub struct SoFar {
    /// `reading`, `writing`, `verifying`.
    pub doing: &'static str,
    pub done_bytes: u64,
    pub total_bytes: u64,
}

/// Sees it going on.
pub type Watch<'a> = &'a mut (dyn FnMut(SoFar) + Send);

/// What a bundle file is, as it was signed or, unsigned, as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub struct Facts {
    pub role: String,
    pub product: String,
    pub version: String,
    pub counter: u64,
    /// SHA-256 of the manifest, in hexadecimal: names the image.
    pub digest: String,
    /// Who vouches for it: `signed by KEY`, `unsigned`.
    pub voucher: String,
    pub files: usize,
    /// Of all files together.
    pub size_bytes: u64,
}

/// Why there is no bundle file, or no trust in one.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum BundleFileError {
    /// Packages, manifest or keys.
    #[error(transparent)]
    Manifest(Box<ManifestCommandError>),
    /// The file to be written is named like something else: the operands are easily swapped.
    #[error("{} does not end in .smv; the bundle file comes first", path.display())]
    Name { path: PathBuf },
    /// A release that says itself what it is.
    #[error("{} has a MANIFEST, which says its version, counter and keyset", path.display())]
    HasManifest { path: PathBuf },
    /// Something else than one directory or files.
    #[error("{} is a directory; a bundle file is made of one directory or of files", path.display())]
    Several { path: PathBuf },
    /// A source that is no release.
    #[error(transparent)]
    Fetch(Box<FetchError>),
    /// A directory, where only a file can be signed.
    #[error("{} is no bundle file; spk-visor manifest sign signs a directory", path.display())]
    NotAFile { path: PathBuf },
    /// Nobody vouches for it, or a manifest that no target takes.
    #[error("{}", path.display())]
    Approve { path: PathBuf, source: ApproveError },
    /// A chunk does not come, or is not the one that the manifest names.
    #[error("at {place}")]
    Chunk {
        /// `byte 4096 of FILE`.
        place: String,
        source: VerifyError,
    },
    /// A file, whose chunks are right.
    #[error("{}", path.display())]
    Verify {
        path: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A directory that is no content.
    #[error(transparent)]
    Content(#[from] content::ContentError),
    /// The bundle file cannot be written.
    #[error("writing {}", path.display())]
    Write {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl BundleFileError {
    /// What follows.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            BundleFileError::Fetch(error) => error.outcome(),
            BundleFileError::Chunk { source, .. } => source.outcome(),
            BundleFileError::Write { .. }
            | BundleFileError::Content(content::ContentError::Write { .. }) => Outcome::Fatal,
            _ => Outcome::Refuse,
        }
    }
}

impl From<ManifestCommandError> for BundleFileError {
    fn from(error: ManifestCommandError) -> Self {
        BundleFileError::Manifest(Box::new(error))
    }
}

impl From<ListingError> for BundleFileError {
    fn from(error: ListingError) -> Self {
        ManifestCommandError::from(error).into()
    }
}

impl From<FetchError> for BundleFileError {
    fn from(error: FetchError) -> Self {
        BundleFileError::Fetch(Box::new(error))
    }
}

/// Whatever it is for: that is what it is approved for here. What cannot be read is refused by its
/// signature or its text, whichever is wrong first.
pub(crate) fn wanted_by(manifest: &[u8]) -> Wanted<'_> {
    Manifest::parse(manifest).map_or(Wanted::SYSTEM, |manifest| Wanted {
        role: manifest.head().role,
        product: manifest.head().product,
    })
}

#[cfg(test)]
mod tests;
