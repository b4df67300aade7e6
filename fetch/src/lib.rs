//! Where the parts of a release come from: a path or an address in, a [`Release`] out, of which
//! nothing is believed.
//!
//! The order is that of `protocol.md` 4.3. A [`Release`] first gives only what it
//! [offers](Release::offered): manifest, signature and chunk lists, as bytes. Approved, they give
//! the [`Chunks`] of that image; no name of the manifest is looked for before. Chunks come
//! unverified and in any order, so that an update that was interrupted, or has some of them, asks
//! for the others alone: `bundle::verify` makes verified ones of them.
//!
//! A [`source`] is what a person writes, and a [`catalog`] what it has. [`bundle_file`] is a recorded
//! stream in a file or on a partition, [`directory`] has the files of a release side by side, and
//! [`http`] has either on a web server; all say with [`spans`] where each file's bytes are.
//! [`staging`] is a directory that somebody without rights has filled.

pub mod bundle_file;
pub mod catalog;
pub mod directory;
pub mod http;
pub mod source;
pub mod spans;
pub mod staging;

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use bundle::front::FrontError;
use bundle::records::RecordsError;
use bundle::trust::{Approved, Offered};
use bundle::verify::{ChunkSource, VerifyError};
use rustix::fs::{Mode, OFlags};
use thiserror::Error;
use wire::field::FieldError;
use wire::manifest::Role;
use wire::outcome::Outcome;

use crate::http::error::HttpError;
use crate::http::url::UrlError;

/// A manifest and what belongs to it, as somebody claims them.
pub trait Release: Send {
    /// For `bundle::trust::approve`.
    fn offered(&self) -> Offered<'_>;

    /// The chunks of what was offered and approved.
    ///
    /// # Errors
    /// Its files are not there, or not of the sizes that the manifest says.
    fn chunks(self: Box<Self>, approved: &Approved) -> Result<Box<dyn Chunks>, FetchError>;
}

/// Chunks in any order, each as often as it is asked for.
pub trait Chunks: ChunkSource {
    /// Where a chunk is, for people: `byte 4096 of FILE`.
    fn place(&self, file: u16, chunk: u32) -> String;
}

/// Opens what is at `path`: the directory of a release, or a bundle file, which may be a block
/// device.
///
/// # Errors
/// There is nothing, or something else.
pub fn open(path: &Path) -> Result<Box<dyn Release>, FetchError> {
    let failed = |source| FetchError::Open {
        path: path.to_owned(),
        source,
    };
    // NONBLOCK: a FIFO must not hang us before we see what it is.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = std::fs::File::from(opened.map_err(|errno| failed(errno.into()))?);
    let kind = file.metadata().map_err(failed)?.file_type();
    if kind.is_dir() {
        return Ok(Box::new(directory::Directory::of(path, &file)?));
    }
    let tail = match (kind.is_file(), kind.is_block_device()) {
        (true, _) => bundle_file::Tail::Nothing,
        (_, true) => bundle_file::Tail::Anything,
        _ => {
            return Err(FetchError::Kind {
                path: path.to_owned(),
            });
        }
    };
    Ok(Box::new(bundle_file::BundleFile::of_file(
        path, file, tail,
    )?))
}

/// A release cannot be had.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum FetchError {
    /// The source itself.
    #[error("opening {}", path.display())]
    Open {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A FIFO, a socket, a terminal.
    #[error("{} is neither a directory nor a file nor a block device", path.display())]
    Kind { path: PathBuf },
    /// A bundle file that is none.
    #[error("{} is no bundle file", path.display())]
    NoBundle {
        path: PathBuf,
        /// What it begins with instead.
        source: FrontError,
    },
    /// A bundle file that is damaged, or not the one of its manifest.
    #[error("reading the bundle file {}", path.display())]
    Bundle {
        path: PathBuf,
        /// What and where.
        source: FrontError,
    },
    /// A directory without a part of a release.
    #[error("there is no {}", path.display())]
    Missing { path: PathBuf },
    /// A part that is larger than it may be.
    #[error("{} has {len_bytes} bytes; {max} is the most", path.display())]
    TooLong {
        path: PathBuf,
        /// Its length.
        len_bytes: u64,
        /// The limit.
        max: usize,
    },
    /// A link, a directory or a device among the files of a release.
    #[error("{} is no regular file", path.display())]
    NotAFile { path: PathBuf },
    /// A link or a file where a staging directory has the release for a place.
    #[error("{} is no directory", path.display())]
    NotADirectory { path: PathBuf },
    /// A file of the release that the manifest describes otherwise.
    #[error("{} has {len_bytes} bytes; its manifest says {size_bytes}", path.display())]
    Size {
        path: PathBuf,
        /// Its length.
        len_bytes: u64,
        /// What the manifest says.
        size_bytes: u64,
    },
    /// A file that is made while it is sent cannot be stored.
    #[error("the manifest of {} announces {name} as live, and that cannot be stored", path.display())]
    Live { path: PathBuf, name: String },
    /// A file of the release.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A file that may be changed by another name.
    #[error("{} has {links} names; a file of a staging directory has one", path.display())]
    Linked { path: PathBuf, links: u64 },
    /// A file that is none of the release, where nothing else may be.
    #[error("{} does not belong to the release in this staging directory", path.display())]
    Foreign { path: PathBuf },
    /// Two downloaders would write the same files.
    #[error("another program is downloading into {}", path.display())]
    Busy { path: PathBuf },
    /// A file of a staging directory.
    #[error("writing {}", path.display())]
    Write {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A chunk that was to be kept.
    #[error("fetching the release")]
    Chunk(#[from] VerifyError),
    /// A web server.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An address that is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A list of releases that is none.
    #[error("reading {}", path.display())]
    Channel {
        path: PathBuf,
        /// What and where.
        source: Box<FieldError>,
    },
    /// A list of releases without the one that is wanted.
    #[error("{} lists no release of role {role} for {name}", path.display())]
    NotListed {
        path: PathBuf,
        role: Role,
        name: String,
    },
}

impl FetchError {
    /// A medium that cannot be read may be put in again; what can be read and is wrong stays wrong.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            FetchError::Open { source, .. } | FetchError::Read { source, .. } => of_io(source),
            FetchError::NoBundle { source, .. } | FetchError::Bundle { source, .. } => match source
            {
                FrontError::Records(
                    RecordsError::Read { source, .. } | RecordsError::Data { source, .. },
                ) => of_io(source),
                other => other.outcome(),
            },
            FetchError::Http(error) => error.outcome(),
            FetchError::Chunk(error) => error.outcome(),
            FetchError::Busy { .. } | FetchError::Write { .. } => Outcome::Fatal,
            FetchError::Url(_)
            | FetchError::Channel { .. }
            | FetchError::NotListed { .. }
            | FetchError::Linked { .. }
            | FetchError::Foreign { .. }
            | FetchError::Kind { .. }
            | FetchError::Missing { .. }
            | FetchError::TooLong { .. }
            | FetchError::NotAFile { .. }
            | FetchError::NotADirectory { .. }
            | FetchError::Size { .. }
            | FetchError::Live { .. } => Outcome::Refuse,
        }
    }
}

/// The end of a file is no accident of its medium. A server has its own reasons.
pub(crate) fn of_io(error: &io::Error) -> Outcome {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    if let Some(error) = inner {
        return HttpError::outcome(error);
    }
    match error.kind() {
        ErrorKind::UnexpectedEof
        | ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::PermissionDenied => Outcome::Refuse,
        _ => Outcome::Retry,
    }
}

/// Likewise of a file whose length was known before: where it ends early, its medium is gone, and
/// may come back.
pub(crate) fn of_io_in_the_middle(error: &io::Error) -> Outcome {
    match error.kind() {
        ErrorKind::UnexpectedEof => Outcome::Retry,
        _ => of_io(error),
    }
}

#[cfg(test)]
mod tests;
