//! The files of a release side by side: MANIFEST, MANIFEST.minisig, MANIFEST.chunks and what the
//! manifest names (`protocol.md` 4.4).
//!
//! In: a directory. Out: what it offers; after that was approved, its files. Each is opened once,
//! beneath the directory, without following a link, and must be a regular file of the length that
//! the manifest says: what its name means later does not matter. What else is there is passed over.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::front::Front;
use bundle::trust::{Approved, Offered};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use wire::channel;
use wire::manifest::{CHUNK_LISTS, Content, MANIFEST, SIGNATURE};
use wire::message::{CHUNK_LISTS_MAX, MANIFEST_MAX, SIGNATURE_MAX};

use crate::spans::{Span, Spans};
use crate::{Chunks, FetchError, Release};

/// The channel of a directory of releases; `None` where there is none, or no directory.
///
/// # Errors
/// It is no regular file, too long, or cannot be read.
pub fn channel(path: &Path) -> Result<Option<Vec<u8>>, FetchError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(directory) => read(
            (path, Names::Any),
            &directory,
            channel::NAME,
            channel::LEN_MAX,
        ),
        // Said by what opens it next.
        Err(_) => Ok(None),
    }
}

/// A directory, of which only the front was read.
pub struct Directory {
    path: PathBuf,
    handle: OwnedFd,
    names: Names,
    front: Front,
}

/// Names that a file of a release may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// It may have others elsewhere.
    Any,
    /// Only the one in this directory: nobody changes it by another.
    One,
}

impl Directory {
    /// Reads the front of an open directory.
    ///
    /// # Errors
    /// A part is not there, or too long, or cannot be read.
    pub fn of(path: &Path, directory: &File) -> Result<Self, FetchError> {
        Self::with(path, directory, Names::Any)
    }

    /// Likewise, of files that have one name each.
    pub(crate) fn of_single_links(path: &Path, directory: &File) -> Result<Self, FetchError> {
        Self::with(path, directory, Names::One)
    }

    fn with(path: &Path, directory: &File, names: Names) -> Result<Self, FetchError> {
        let handle = directory.as_fd().try_clone_to_owned();
        let handle = handle.map_err(|source| FetchError::Open {
            path: path.to_owned(),
            source,
        })?;
        let read = |name, max| read((path, names), &handle, name, max);
        let missing = |name| FetchError::Missing {
            path: path.join(name),
        };
        let front = Front {
            manifest: read(MANIFEST, MANIFEST_MAX)?.ok_or(missing(MANIFEST))?,
            signature: read(SIGNATURE, SIGNATURE_MAX)?.unwrap_or_default(),
            chunk_lists: read(CHUNK_LISTS, CHUNK_LISTS_MAX)?.ok_or(missing(CHUNK_LISTS))?,
        };
        Ok(Self {
            path: path.to_owned(),
            handle,
            names,
            front,
        })
    }

    /// The files of the image.
    ///
    /// # Errors
    /// A file is not there, no regular file, or of another length.
    pub fn spans(&self, approved: &Approved) -> Result<Spans, FetchError> {
        let mut spans = Vec::new();
        for file in approved.files() {
            let path = self.path.join(file.name.as_str());
            let Content::Hashed { size_bytes, .. } = file.content else {
                return Err(FetchError::Live {
                    path: self.path.clone(),
                    name: file.name.to_string(),
                });
            };
            let opened = open((&path, self.names), &self.handle, file.name.as_str())?;
            let Some((medium, len_bytes)) = opened else {
                return Err(FetchError::Missing { path });
            };
            if len_bytes != size_bytes {
                return Err(FetchError::Size {
                    path,
                    len_bytes,
                    size_bytes,
                });
            }
            spans.push(Span {
                medium: Arc::new(medium),
                path,
                offset_bytes: 0,
                size_bytes,
                chunk_size: file.chunk_size,
            });
        }
        Ok(Spans(spans))
    }
}

impl Release for Directory {
    fn offered(&self) -> Offered<'_> {
        self.front.offered()
    }

    fn chunks(self: Box<Self>, approved: &Approved) -> Result<Box<dyn Chunks>, FetchError> {
        Ok(Box::new(self.spans(approved)?))
    }
}

/// A regular file of the directory, and its length; `None` when there is nothing of that name.
fn open(
    (path, names): (&Path, Names),
    at: &OwnedFd,
    name: &str,
) -> Result<Option<(File, u64)>, FetchError> {
    // NONBLOCK: a FIFO must not hang us before we see what it is.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let not_a_file = || FetchError::NotAFile {
        path: path.to_owned(),
    };
    let file = match rustix::fs::openat2(at, name, flags, Mode::empty(), resolve) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        // A link; a socket or a device without a driver.
        Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => return Err(not_a_file()),
        Err(errno) => return Err(unreadable(path, errno.into())),
    };
    let metadata = file.metadata();
    let metadata = metadata.map_err(|source| unreadable(path, source))?;
    let links = metadata.nlink();
    match (metadata.is_file(), names) {
        (false, _) => Err(not_a_file()),
        (true, Names::One) if links != 1 => Err(FetchError::Linked {
            path: path.to_owned(),
            links,
        }),
        (true, _) => Ok(Some((file, metadata.len()))),
    }
}

/// A small file; `None` when there is none.
fn read(
    (directory, names): (&Path, Names),
    at: &OwnedFd,
    name: &str,
    max: usize,
) -> Result<Option<Vec<u8>>, FetchError> {
    let path = directory.join(name);
    let Some((file, len_bytes)) = open((&path, names), at, name)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let read = file.take(max as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| unreadable(&path, source))?;
    if bytes.len() > max {
        return Err(FetchError::TooLong {
            path,
            len_bytes,
            max,
        });
    }
    Ok(Some(bytes))
}

fn unreadable(path: &Path, source: io::Error) -> FetchError {
    FetchError::Read {
        path: path.to_owned(),
        source,
    }
}
