//! What a stream with a manifest begins with, and the headers of the files behind it
//! (`protocol.md` 4.4).
//!
//! In: records, from a wire or of a bundle file. Out: the bytes of the manifest, its signature and
//! its chunk lists, of which nothing is believed; afterwards, for each file of a manifest that was
//! approved, that its header says the same.

use thiserror::Error;
use wire::manifest::{CHUNK_LISTS, Content, File, MANIFEST, SIGNATURE};
use wire::message::{CHUNK_LISTS_MAX, MANIFEST_MAX, SIGNATURE_MAX};
use wire::outcome::Outcome;

use crate::package_stream::Header;
use crate::records::{Records, RecordsError};
use crate::trust::Offered;

/// The stream is not one of a manifest, or not the one of its manifest.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum FrontError {
    /// It broke or is malformed.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// Something is missing between manifest and files.
    #[error("{found} where {wanted} belongs")]
    Order {
        /// What belongs there.
        wanted: &'static str,
        /// What stands there.
        found: String,
    },
    /// One of the three is longer than it may be.
    #[error("{name} of {claimed_len} bytes; {max} is the most")]
    TooLong {
        name: &'static str,
        /// What the sender claims.
        claimed_len: u64,
        /// The limit.
        max: usize,
    },
    /// A file in the wrong place, or another one.
    #[error("the stream has {found} where its manifest has {wanted}")]
    File {
        /// What the manifest names there.
        wanted: String,
        /// What stands there.
        found: String,
    },
    /// A file of another length.
    #[error("the stream has {name} with {claimed_len} bytes, its manifest says {size_bytes}")]
    Length {
        name: String,
        /// What the stream claims.
        claimed_len: u64,
        /// What the manifest does.
        size_bytes: u64,
    },
    /// A file behind the last one.
    #[error("the stream has {name}, which its manifest has not")]
    More { name: String },
}

impl FrontError {
    /// A broken connection may be tried again; a sender that speaks wrongly is refused.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            FrontError::Records(error) => error.outcome(),
            FrontError::Order { .. }
            | FrontError::TooLong { .. }
            | FrontError::File { .. }
            | FrontError::Length { .. }
            | FrontError::More { .. } => Outcome::Refuse,
        }
    }
}

/// Everything before the first file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub struct Front {
    pub manifest: Vec<u8>,
    /// The whole `.minisig` file; empty when there is none.
    pub signature: Vec<u8>,
    pub chunk_lists: Vec<u8>,
}

impl Front {
    /// Reads it, of which `first` was read already. The names of the three do not count towards
    /// those of the files.
    ///
    /// # Errors
    /// Something else, too much of it, or a broken stream.
    pub fn read(records: &mut Records<'_>, first: Option<&Header>) -> Result<Self, FrontError> {
        let manifest = part(records, first, MANIFEST, MANIFEST_MAX)?;
        let mut header = records.next_header()?;
        let is_signature = |header: &mut Header| header.name.as_str() == SIGNATURE;
        let signature = match header.take_if(is_signature) {
            None => Vec::new(),
            signature => {
                let bytes = part(records, signature.as_ref(), SIGNATURE, SIGNATURE_MAX)?;
                header = records.next_header()?;
                bytes
            }
        };
        let chunk_lists = part(records, header.as_ref(), CHUNK_LISTS, CHUNK_LISTS_MAX)?;
        records.forget_names();
        Ok(Self {
            manifest,
            signature,
            chunk_lists,
        })
    }

    /// For [`crate::trust::approve`].
    #[must_use]
    pub fn offered(&self) -> Offered<'_> {
        Offered {
            manifest: &self.manifest,
            signature: &self.signature,
            chunk_lists: &self.chunk_lists,
        }
    }
}

/// A whole package of this name that is small.
fn part(
    records: &mut Records<'_>,
    header: Option<&Header>,
    name: &'static str,
    max: usize,
) -> Result<Vec<u8>, FrontError> {
    let wrong = || FrontError::Order {
        wanted: name,
        found: name_of(header),
    };
    let is_it = |header: &&Header| header.name.as_str() == name;
    let header = header.filter(is_it).ok_or_else(wrong)?;
    let claimed_len = header.claimed_len.unwrap_or(u64::MAX);
    let too_long = FrontError::TooLong {
        name,
        claimed_len,
        max,
    };
    let len = usize::try_from(claimed_len).ok().filter(|len| *len <= max);
    let mut bytes = vec![0; len.ok_or(too_long)?];
    records.fill_data(&mut bytes)?;
    Ok(bytes)
}

/// The next record, which must be this file of the manifest. Gives its length in bytes.
///
/// # Errors
/// It is not, or the stream broke.
pub fn begin_file(records: &mut Records<'_>, file: &File) -> Result<u64, FrontError> {
    let header = records.next_header()?;
    let other = || FrontError::File {
        wanted: file.name.to_string(),
        found: name_of(header.as_ref()),
    };
    let is_it = |header: &&Header| header.name == file.name;
    let header = header.as_ref().filter(is_it).ok_or_else(other)?;
    let claimed_len = header.claimed_len.unwrap_or(0);
    // A live file's length is known here, whatever its manifest does not say.
    match file.content {
        Content::Hashed { size_bytes, .. } if claimed_len != size_bytes => {
            Err(FrontError::Length {
                name: file.name.to_string(),
                claimed_len,
                size_bytes,
            })
        }
        Content::Hashed { .. } | Content::Live => Ok(claimed_len),
    }
}

/// The terminator, which must be next, and nothing behind it.
///
/// # Errors
/// Another file, or the stream broke.
pub fn end(records: &mut Records<'_>) -> Result<(), FrontError> {
    match records.next_header()? {
        None => Ok(()),
        Some(header) => Err(FrontError::More {
            name: header.name.to_string(),
        }),
    }
}

fn name_of(header: Option<&Header>) -> String {
    header.map_or_else(
        || "the end of the stream".to_owned(),
        |header| header.name.to_string(),
    )
}
