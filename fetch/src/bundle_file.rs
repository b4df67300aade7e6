//! `NAME.smv`: a stream with a manifest, recorded (`protocol.md` 4.4).
//!
//! In: a file, a block device or a partition that holds one from its first byte on. Out: what it
//! offers; after that was approved, its files, each behind a header that says what the manifest
//! does, and the terminator at its end. `bundle::records` reads it as it reads a wire, but passes
//! over what the files contain: that is read chunk by chunk, when it can be checked.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bundle::front::{self, Front, FrontError};
use bundle::records::{Records, RecordsError, Source};
use bundle::trust::{Approved, Offered};
use wire::manifest::{Content, MANIFEST};

use crate::spans::{ENDED_EARLY, ReadAt, Span, Spans};
use crate::{Chunks, FetchError, Release};

/// What may follow the terminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// A file ends with it.
    Nothing,
    /// A partition does not.
    Anything,
}

/// A bundle file, of which only the front was read.
pub struct BundleFile {
    path: PathBuf,
    medium: Arc<dyn ReadAt>,
    len_bytes: u64,
    tail: Tail,
    front: Front,
    /// Where the first file's header begins.
    files_at: u64,
}

impl BundleFile {
    /// Reads the front of an open file.
    ///
    /// # Errors
    /// It is no bundle file, or one that is damaged before its first file.
    pub fn of_file(path: &Path, mut file: File, tail: Tail) -> Result<Self, FetchError> {
        // A block device has no length that its metadata would tell.
        let len_bytes = file.seek(SeekFrom::End(0));
        let len_bytes = len_bytes.map_err(|source| FetchError::Open {
            path: path.to_owned(),
            source,
        })?;
        Self::of(path, Arc::new(file), len_bytes, tail)
    }

    /// Reads the front of a medium of this length.
    ///
    /// # Errors
    /// It is no bundle file, or one that is damaged before its first file.
    pub fn of(
        path: &Path,
        medium: Arc<dyn ReadAt>,
        len_bytes: u64,
        tail: Tail,
    ) -> Result<Self, FetchError> {
        let mut source = Playback {
            medium: &*medium,
            at: 0,
            len_bytes,
            tail,
            is_over: false,
        };
        let (front, files_at) = read_front(&mut source).map_err(|source| {
            let path = path.to_owned();
            match is_foreign(&source) {
                true => FetchError::NoBundle { path, source },
                false => FetchError::Bundle { path, source },
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            medium,
            len_bytes,
            tail,
            front,
            files_at,
        })
    }

    /// The files of the image, behind headers that say what its manifest does.
    ///
    /// # Errors
    /// Another file, another length, a file that ends early, something behind the end.
    pub fn spans(&self, approved: &Approved) -> Result<Spans, FetchError> {
        let mut source = Playback {
            medium: &*self.medium,
            at: self.files_at,
            len_bytes: self.len_bytes,
            tail: self.tail,
            is_over: false,
        };
        let mut records = Records::at(&mut source, self.files_at);
        let failed = |source| FetchError::Bundle {
            path: self.path.clone(),
            source,
        };
        let mut spans = Vec::new();
        for file in approved.files() {
            if file.content == Content::Live {
                return Err(FetchError::Live {
                    path: self.path.clone(),
                    name: file.name.to_string(),
                });
            }
            let size_bytes = front::begin_file(&mut records, file).map_err(failed)?;
            spans.push(Span {
                medium: Arc::clone(&self.medium),
                path: self.path.clone(),
                offset_bytes: records.offset_bytes(),
                size_bytes,
                chunk_size: file.chunk_size,
            });
            records.skip_data().map_err(|error| failed(error.into()))?;
        }
        front::end(&mut records).map_err(failed)?;
        Ok(Spans(spans))
    }
}

impl Release for BundleFile {
    fn offered(&self) -> Offered<'_> {
        self.front.offered()
    }

    fn chunks(self: Box<Self>, approved: &Approved) -> Result<Box<dyn Chunks>, FetchError> {
        Ok(Box::new(self.spans(approved)?))
    }
}

/// The front, and where it ends.
fn read_front(source: &mut dyn Source) -> Result<(Front, u64), FrontError> {
    let mut records = Records::open(source)?;
    let first = records.next_header()?;
    let front = Front::read(&mut records, first.as_ref())?;
    Ok((front, records.offset_bytes()))
}

/// Does it not even begin as a bundle file does?
fn is_foreign(error: &FrontError) -> bool {
    match error {
        FrontError::Order { wanted, .. } => *wanted == MANIFEST,
        FrontError::Records(
            RecordsError::Session
            | RecordsError::NoPackages
            | RecordsError::Header { offset: 0, .. },
        ) => true,
        _ => false,
    }
}

/// A medium as a stream.
struct Playback<'a> {
    medium: &'a dyn ReadAt,
    at: u64,
    len_bytes: u64,
    tail: Tail,
    /// The terminator was read.
    is_over: bool,
}

impl Playback<'_> {
    const fn left(&self) -> u64 {
        self.len_bytes.saturating_sub(self.at)
    }
}

impl Read for Playback<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.is_over && self.tail == Tail::Anything {
            return Ok(0);
        }
        let most = usize::try_from(self.left()).unwrap_or(usize::MAX);
        let len = most.min(buf.len());
        let got = self
            .medium
            .read_at(buf.get_mut(..len).unwrap_or_default(), self.at)?;
        self.at = self.at.saturating_add(got as u64);
        Ok(got)
    }
}

impl Source for Playback<'_> {
    fn hurry(&mut self, _: Duration) {
        self.is_over = true;
    }

    fn skip(&mut self, len: u64) -> io::Result<u64> {
        let len = len.min(self.left());
        self.at = self.at.saturating_add(len);
        Ok(len)
    }

    fn ended_early(&self) -> &'static str {
        ENDED_EARLY
    }
}
