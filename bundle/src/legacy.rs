//! The original stream, where a trusted key wants a manifest on it (`protocol.md` 4.4): MANIFEST,
//! MANIFEST.minisig and MANIFEST.chunks as its first packages, then the files in the manifest's
//! order.
//!
//! The stream's own framing stays as it is; the target cuts the files into chunks itself. A
//! manifest that comes is honoured whether or not there is a key. When [`open`] has returned,
//! everything before the first file was read and approved, or there is neither a manifest nor a
//! key.

use thiserror::Error;
use wire::manifest::{CHUNK_LISTS, Content, File, MANIFEST, SIGNATURE};
use wire::message::{CHUNK_LISTS_MAX, MANIFEST_MAX, SIGNATURE_MAX};
use wire::outcome::Outcome;

use crate::interrupt::Interrupter;
use crate::package_stream::{Header, Packages, PackagesError};
use crate::records::{Records, RecordsError, Source};
use crate::trust::{self, ApproveError, Approved, Offered, Trust, Wanted};
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
    /// Something is missing between manifest and files.
    #[error("{found} where {wanted} belongs")]
    Order {
        /// The bytes that belong there.
        wanted: &'static str,
        /// What stands there; empty at the end of the stream.
        found: String,
    },
    /// One of the three is longer than it may be.
    #[error("{name} of {claimed_len} bytes; {max} is the most")]
    TooLong {
        name: &'static str,
        /// The length that the donor claims.
        claimed_len: u64,
        /// The limit.
        max: usize,
    },
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
            LegacyError::NoManifest { .. }
            | LegacyError::Order { .. }
            | LegacyError::TooLong { .. } => Outcome::Refuse,
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

impl Legacy<'_> {
    /// The image that the manifest describes, if there was one.
    #[must_use]
    pub const fn approved(&self) -> Option<&Approved> {
        self.approved.as_ref()
    }
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
    let manifest = read(&mut records, &first, MANIFEST, MANIFEST_MAX)?;
    let mut header = records.next_header()?;
    let signature = match header.take_if(|header| header.name.as_str() == SIGNATURE) {
        None => Vec::new(),
        Some(found) => {
            let signature = read(&mut records, &found, SIGNATURE, SIGNATURE_MAX)?;
            header = records.next_header()?;
            signature
        }
    };
    let header = header
        .as_ref()
        .filter(|header| header.name.as_str() == CHUNK_LISTS)
        .ok_or_else(|| LegacyError::Order {
            wanted: CHUNK_LISTS,
            found: name_of(header.as_ref()),
        })?;
    let chunk_lists = read(&mut records, header, CHUNK_LISTS, CHUNK_LISTS_MAX)?;
    let offered = Offered {
        manifest: &manifest,
        signature: &signature,
        chunk_lists: &chunk_lists,
    };
    let approved = trust::approve(offered, wanted, trust)?;
    // Their names count for themselves; the manifest says how many files there may be.
    records.forget_names();
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

fn name_of(header: Option<&Header>) -> String {
    header.map_or_else(
        || "the end of the stream".to_owned(),
        |header| header.name.to_string(),
    )
}

/// A whole package that is small.
fn read(
    records: &mut Records<'_>,
    header: &Header,
    name: &'static str,
    max: usize,
) -> Result<Vec<u8>, LegacyError> {
    let claimed_len = header.claimed_len.unwrap_or(u64::MAX);
    let len = usize::try_from(claimed_len).ok().filter(|len| *len <= max);
    let mut bytes = vec![
        0;
        len.ok_or(LegacyError::TooLong {
            name,
            claimed_len,
            max
        })?
    ];
    fill(records, &mut bytes)?;
    Ok(bytes)
}

/// All of `buf`, which the current record has bytes for.
fn fill(records: &mut Records<'_>, buf: &mut [u8]) -> Result<(), RecordsError> {
    let mut at = 0;
    while let Some(rest) = buf.get_mut(at..).filter(|rest| !rest.is_empty()) {
        match records.read_data(rest)? {
            0 => return Err(records.over()),
            got => at += got,
        }
    }
    Ok(())
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

impl Chunks<'_> {
    /// The next record, which must be this file.
    fn begin(&mut self, file: &File) -> Result<(), ChunkError> {
        let header = self
            .records
            .next_header()
            .map_err(|error| broken("reading the next package", error))?;
        let found = name_of(header.as_ref());
        let Some(header) = header.filter(|header| header.name == file.name) else {
            return Err(wrong(format!(
                "the stream has {found} where its manifest has {}",
                file.name
            )));
        };
        let claimed_len = header.claimed_len.unwrap_or(0);
        // A live file's length is known here, whatever its manifest does not say.
        if let Content::Hashed { size_bytes, .. } = file.content
            && claimed_len != size_bytes
        {
            return Err(wrong(format!(
                "the stream has {} with {claimed_len} bytes, its manifest says {size_bytes}",
                file.name
            )));
        }
        self.left = claimed_len;
        Ok(())
    }
}

impl ChunkSource for Chunks<'_> {
    fn chunk(&mut self, file: u16, chunk: u32, buf: &mut Vec<u8>) -> Result<IsLast, ChunkError> {
        let approved = self.approved.clone();
        let Some(file) = approved.files().nth(usize::from(file)) else {
            return Err(wrong(format!("there is no file {file}")));
        };
        if chunk == 0 {
            self.begin(file)?;
        }
        let len = self.left.min(u64::from(file.chunk_size));
        self.left = self.left.saturating_sub(len);
        buf.resize(usize::try_from(len).unwrap_or(0), 0);
        fill(&mut self.records, buf).map_err(|error| broken("reading a chunk", error))?;
        Ok(IsLast(self.left == 0))
    }

    fn interrupter(&self) -> Interrupter {
        self.records.interrupter()
    }

    fn end(&mut self) -> Result<(), ChunkError> {
        match self.records.next_header() {
            Ok(None) => Ok(()),
            Ok(Some(header)) => Err(wrong(format!(
                "the stream has {}, which its manifest has not",
                header.name
            ))),
            Err(error) => Err(broken("reading the end of the stream", error)),
        }
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
