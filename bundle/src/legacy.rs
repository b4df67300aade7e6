//! The original stream, where a trusted key wants a manifest on it (`protocol.md` 4.4): MANIFEST,
//! MANIFEST.minisig and MANIFEST.chunks as its first packages, then the files in the manifest's
//! order.
//!
//! The stream's own framing stays as it is; the target cuts the files into chunks itself. A
//! manifest that comes is honoured whether or not there is a key. When [`open`] has returned,
//! everything before the first file was read and approved, or there is neither a manifest nor a
//! key.

use thiserror::Error;
use wire::manifest::MANIFEST;
use wire::outcome::Outcome;

use crate::front::{self, Front, FrontError};
use crate::interrupt::Interrupter;
use crate::package_stream::{Header, Packages, PackagesError};
use crate::records::{Records, RecordsError, Source};
use crate::trust::{self, ApproveError, Approved, Trust, Wanted};
use crate::verify::{ChunkError, ChunkSource, IsLast, VerifiedPackages};

/// A stream is not taken.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum LegacyError {
    /// It broke or is malformed.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// There are trusted keys, and it begins with something else.
    #[error(
        "the stream begins with {found}; this machine has trusted keys and takes only what begins with {MANIFEST}"
    )]
    NoManifest {
        /// Its first package.
        found: String,
    },
    /// What belongs before the files.
    #[error(transparent)]
    Front(#[from] FrontError),
    /// The manifest.
    #[error("judging the stream's manifest")]
    Approve(#[from] ApproveError),
}

impl LegacyError {
    /// A broken connection may be tried again; a donor that speaks wrongly is refused.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            LegacyError::Records(error) => error.outcome(),
            LegacyError::Approve(error) => error.outcome(),
            LegacyError::Front(error) => error.outcome(),
            LegacyError::NoManifest { .. } => Outcome::Refuse,
        }
    }
}

/// A stream that may be installed: its packages, each checked where a manifest says what it has to
/// be.
pub struct Legacy<'a> {
    stream: Stream<'a>,
    approved: Option<Approved>,
}

enum Stream<'a> {
    /// The donor is believed.
    Plain {
        records: Records<'a>,
        /// The first header, which was read to see that it is no reserved name.
        first: Option<Header>,
    },
    Verified(VerifiedPackages<Chunks<'a>>),
}

/// Reads the beginning of a stream, up to its first file.
///
/// # Errors
/// There is a key and no manifest that it has signed; the manifest is not taken; the stream is
/// broken or malformed.
pub fn open<'a>(
    source: &'a mut dyn Source,
    wanted: Wanted<'_>,
    trust: &Trust,
) -> Result<Legacy<'a>, LegacyError> {
    let mut records = Records::open(source)?;
    let first = records.next_header()?.ok_or(RecordsError::NoPackages)?;
    if first.name.as_str() != MANIFEST {
        if trust.demands_signature() {
            return Err(LegacyError::NoManifest {
                found: first.name.to_string(),
            });
        }
        return Ok(Legacy {
            stream: Stream::Plain {
                records,
                first: Some(first),
            },
            approved: None,
        });
    }
    let front = Front::read(&mut records, Some(&first))?;
    let approved = trust::approve(front.offered(), wanted, trust)?;
    let chunks = Chunks {
        records,
        approved: approved.clone(),
        left: 0,
    };
    Ok(Legacy {
        stream: Stream::Verified(VerifiedPackages::new(&approved, chunks)),
        approved: Some(approved),
    })
}

impl Packages for Legacy<'_> {
    fn next_header(&mut self) -> Result<Option<Header>, PackagesError> {
        match &mut self.stream {
            Stream::Plain { records, first } => match first.take() {
                Some(header) => Ok(Some(header)),
                None => Ok(records.next_header()?),
            },
            Stream::Verified(packages) => packages.next_header(),
        }
    }

    fn read_data(&mut self, buf: &mut [u8]) -> Result<usize, PackagesError> {
        match &mut self.stream {
            Stream::Plain { records, .. } => Ok(records.read_data(buf)?),
            Stream::Verified(packages) => packages.read_data(buf),
        }
    }

    fn interrupter(&self) -> Interrupter {
        match &self.stream {
            Stream::Plain { records, .. } => records.interrupter(),
            Stream::Verified(packages) => packages.interrupter(),
        }
    }

    fn offset_bytes(&self) -> u64 {
        match &self.stream {
            Stream::Plain { records, .. } => records.offset_bytes(),
            Stream::Verified(packages) => packages.offset_bytes(),
        }
    }

    fn approved(&self) -> Option<&Approved> {
        self.approved.as_ref()
    }

    fn claimed_unpacked_bytes(&self) -> Option<u64> {
        match &self.stream {
            Stream::Plain { .. } => None,
            Stream::Verified(packages) => packages.claimed_unpacked_bytes(),
        }
    }
}

/// Records of a stream, cut into the chunks of its manifest.
struct Chunks<'a> {
    records: Records<'a>,
    approved: Approved,
    /// Bytes of the current record that were not read.
    left: u64,
}

impl ChunkSource for Chunks<'_> {
    fn chunk(&mut self, file: u16, chunk: u32, buf: &mut Vec<u8>) -> Result<IsLast, ChunkError> {
        let approved = self.approved.clone();
        let Some(file) = approved.files().nth(usize::from(file)) else {
            return Err(wrong(format!("there is no file {file}")));
        };
        if chunk == 0 {
            let begun = front::begin_file(&mut self.records, file);
            self.left = begun.map_err(|error| missing("reading the next package", error))?;
        }
        let len = self.left.min(u64::from(file.chunk_size));
        self.left = self.left.saturating_sub(len);
        buf.resize(usize::try_from(len).unwrap_or(0), 0);
        let read = self.records.fill_data(buf);
        read.map_err(|error| broken("reading a chunk", error))?;
        Ok(IsLast(self.left == 0))
    }

    fn interrupter(&self) -> Interrupter {
        self.records.interrupter()
    }

    fn end(&mut self) -> Result<(), ChunkError> {
        let ended = front::end(&mut self.records);
        ended.map_err(|error| missing("reading the end of the stream", error))
    }
}

/// What a stream has said wrongly speaks for itself.
fn missing(what: &str, error: FrontError) -> ChunkError {
    match error {
        FrontError::Records(error) => broken(what, error),
        error => wrong(error.to_string()),
    }
}

fn wrong(what: String) -> ChunkError {
    ChunkError::Missing {
        what,
        outcome: Outcome::Refuse,
        source: None,
    }
}

fn broken(what: &str, error: RecordsError) -> ChunkError {
    if error.is_cancelled() {
        return ChunkError::Cancelled;
    }
    ChunkError::Missing {
        what: what.to_owned(),
        outcome: error.outcome(),
        source: Some(Box::new(error)),
    }
}

#[cfg(test)]
mod tests;
