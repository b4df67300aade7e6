//! The listing of a directory of packages: the lines of a manifest, the manifest's bytes, and the
//! names of the files beside the packages.
//!
//! In: what was read of each package. Out: a manifest that a target can parse.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bundle::trust::Wanted;
use thiserror::Error;
use wire::manifest::{
    Builder, Content, FILES_MAX, File, Head, MANIFEST, Manifest, ManifestError, Unpacked,
};

use crate::hash::{self, Hashed};
use crate::packages::PackagesError;
use crate::utc;

/// Why packages cannot be listed, or are not what their manifest lists.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ListingError {
    /// No packages, or unfit ones.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// A file beside the packages cannot be read.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// It is larger than such a file may be.
    #[error("{} has more than {max} bytes", path.display())]
    Large {
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// It lists nothing we understand.
    #[error("using {}", path.display())]
    Manifest {
        path: PathBuf,
        /// The line and its fault.
        source: ManifestError,
    },
    /// It announces what is not stored.
    #[error("{} announces {name} as live, and a directory cannot hold that", path.display())]
    Live { path: PathBuf, name: String },
    /// A package is not the one that was listed.
    #[error("package {} is not the one in {MANIFEST}: {what}", path.display())]
    Differs {
        path: PathBuf,
        /// In what.
        what: String,
    },
    /// More than a manifest can say.
    #[error("listing the packages (at most {FILES_MAX} of 64 GiB together)")]
    Build(#[source] ManifestError),
}

/// The head of a manifest that somebody makes.
#[derive(Clone, Debug)]
pub struct Title {
    /// For people.
    pub version: String,
    /// Goes up with each release.
    pub counter: u64,
    /// The generation of keys.
    pub keyset: u32,
    /// Since 1970.
    pub created: Duration,
}

/// The line of a file that was read.
#[must_use]
pub fn line(name: wire::stream::PackageName, hashed: &Hashed, unpacked: Option<Unpacked>) -> File {
    File {
        name,
        chunk_size: hashed.chunk_bytes,
        content: Content::Hashed {
            sha256: hashed.whole,
            size_bytes: hashed.len_bytes,
            unpacked,
            chunk_list_sha256: hash::of(hashed.chunks.as_flattened()),
        },
    }
}

/// A system's manifest: valid, or an error that says which line is not.
///
/// # Errors
/// More files or chunks than a manifest can have.
pub fn write(title: &Title, files: &[File]) -> Result<Vec<u8>, ListingError> {
    write_for(title, Wanted::SYSTEM, files)
}

/// Likewise, of a bundle for this place.
///
/// # Errors
/// Likewise, or another name than one of a place.
pub fn write_for(
    title: &Title,
    wanted: Wanted<'_>,
    files: &[File],
) -> Result<Vec<u8>, ListingError> {
    let created = utc::format(title.created);
    let head = Head {
        role: wanted.role,
        product: wanted.product,
        version: &title.version,
        counter: title.counter,
        keyset: title.keyset,
        created: &created,
    };
    let build = || -> Result<String, fmt::Error> {
        let mut builder = Builder::new(String::new(), &head)?;
        files.iter().try_for_each(|file| builder.file(file))?;
        builder.end()
    };
    // Writing to a String does not fail; and if it did, the reading would.
    let text = build().unwrap_or_default().into_bytes();
    Manifest::parse(&text).map_err(ListingError::Build)?;
    Ok(text)
}
