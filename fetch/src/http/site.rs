//! A release that a web server has as static files: the same names side by side as in a directory
//! (`protocol.md` 4.4).
//!
//! In: the address of its directory, or of its manifest. Out: what it offers; after that was
//! approved, its files, each read in parts as they are wanted.

use std::path::PathBuf;
use std::sync::Arc;

use bundle::front::Front;
use bundle::trust::{Approved, Offered};
use wire::manifest::{Content, MANIFEST};
use wire::message::{CHUNK_LISTS_MAX, MANIFEST_MAX, SIGNATURE_MAX};

use super::client::{Client, Small};
use super::error::HttpError;
use super::file::RemoteFile;
use super::url::Url;
use crate::spans::{Span, Spans};
use crate::{Chunks, FetchError, Release};

/// A directory behind an address, of which only the front was read.
pub struct Site {
    client: Client,
    /// Where its files are.
    directory: Url,
    front: Front,
}

impl Site {
    /// Reads the front of the release in this directory.
    ///
    /// # Errors
    /// A part is not there, too long, or does not come.
    pub fn open(client: &Client, directory: &Url) -> Result<Self, FetchError> {
        Self::of_manifest(client, &directory.join(MANIFEST))
    }

    /// Reads the front of the release whose manifest this is.
    ///
    /// # Errors
    /// A part is not there, too long, or does not come.
    pub fn of_manifest(client: &Client, manifest: &Url) -> Result<Self, FetchError> {
        let missing = |url: &Url| HttpError::Missing {
            url: url.to_string(),
        };
        let Small { bytes, at } =
            get(client, manifest, MANIFEST_MAX)?.ok_or_else(|| missing(manifest))?;
        let beside = |suffix: &str| {
            let name = at.path().rsplit('/').next().unwrap_or_default();
            at.parent().join(&format!("{name}{suffix}"))
        };
        let signature = get(client, &beside(".minisig"), SIGNATURE_MAX)?;
        let lists = beside(".chunks");
        let chunk_lists = get(client, &lists, CHUNK_LISTS_MAX)?.ok_or_else(|| missing(&lists))?;
        Ok(Self {
            client: client.clone(),
            directory: at.parent(),
            front: Front {
                manifest: bytes,
                signature: signature.map(|file| file.bytes).unwrap_or_default(),
                chunk_lists: chunk_lists.bytes,
            },
        })
    }

    /// The files of the image.
    ///
    /// # Errors
    /// A file that is made while it is sent cannot lie on a server.
    pub fn spans(&self, approved: &Approved) -> Result<Spans, FetchError> {
        let mut spans = Vec::new();
        for file in approved.files() {
            let Content::Hashed { size_bytes, .. } = file.content else {
                return Err(FetchError::Live {
                    path: PathBuf::from(self.directory.to_string()),
                    name: file.name.to_string(),
                });
            };
            let url = self.directory.join(file.name.as_str());
            spans.push(Span {
                path: PathBuf::from(url.to_string()),
                medium: Arc::new(RemoteFile::new(&self.client, url, Some(size_bytes))),
                offset_bytes: 0,
                size_bytes,
                chunk_size: file.chunk_size,
            });
        }
        Ok(Spans(spans))
    }
}

impl Release for Site {
    fn offered(&self) -> Offered<'_> {
        self.front.offered()
    }

    fn chunks(self: Box<Self>, approved: &Approved) -> Result<Box<dyn Chunks>, FetchError> {
        Ok(Box::new(self.spans(approved)?))
    }
}

/// A small file, asked for again while that may help.
pub(crate) fn get(client: &Client, url: &Url, max: usize) -> Result<Option<Small>, HttpError> {
    let mut pauses = client.patience().pauses.iter();
    loop {
        match client.small(url, max) {
            Err(error) if error.is_passing() => match pauses.next() {
                Some(pause) => std::thread::sleep(*pause),
                None => return Err(error),
            },
            answer => return answer,
        }
    }
}
