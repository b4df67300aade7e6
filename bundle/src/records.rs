//! The original package stream as records: a donor's bytes in, one package after the other out
//! (`protocol.md` 2).
//!
//! Names and lengths are what the donor claims; they are within the limits of `wire::stream` before
//! anybody sees them. When [`Records::next_header`] has answered `None`, the stream had its
//! terminator and nothing behind it.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use thiserror::Error;
use wire::outcome::Outcome;
use wire::stream::{self, DATA_LEN_BYTES, NAME_LEN_BYTES, Opening, PackageName, StreamError};

use crate::interrupt::{Cancelled, Interrupter, nothing_to_interrupt};
use crate::package_stream::{Header, Packages, PackagesError};

/// A donor's set has a handful of packages; each name that is remembered costs memory.
pub const PACKAGES_MAX: usize = 1024;
/// How long a byte behind the terminator is waited for. A donor that closes its side is not waited
/// for at all; an original one may keep it open until we close ours.
const TRAILING_WAIT: Duration = Duration::from_millis(500);

/// Where the packages come from.
pub trait Source: Read + Send {
    /// Everything that had to come has come. From now on a read should fail with
    /// [`ErrorKind::TimedOut`] when nothing has arrived after `wait`; a source that cannot do that
    /// keeps its own patience.
    fn hurry(&mut self, wait: Duration) {
        let _ = wait; // A file or a pipe ends by itself.
    }

    /// Passes over up to `len` bytes and says over how many: fewer only where the source ends.
    ///
    /// # Errors
    /// Those of reading.
    fn skip(&mut self, len: u64) -> io::Result<u64> {
        io::copy(&mut self.take(len), &mut io::sink())
    }

    /// For people: it has ended where more had to come.
    fn ended_early(&self) -> &'static str {
        "the donor closed the connection too early"
    }

    /// For another thread: a read that waits fails at once, and so does every later one.
    fn interrupter(&self) -> Interrupter {
        nothing_to_interrupt()
    }
}

impl Source for &[u8] {}
impl Source for std::fs::File {}

/// The stream is refused, or broke.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum RecordsError {
    /// The connection failed or ended too early.
    #[error("reading {what} at byte {offset} of the stream")]
    Read {
        /// The part that was being read.
        what: &'static str,
        /// Bytes of the whole stream before it.
        offset: u64,
        #[source]
        source: io::Error,
    },
    /// The donor left in the middle of a package's data.
    #[error("receiving {name}: byte {received} of {claimed_len}")]
    Data {
        name: String,
        /// Bytes of its data so far.
        received: u64,
        /// The length that was announced.
        claimed_len: u64,
        #[source]
        source: io::Error,
    },
    /// A header outside the limits.
    #[error("reading a package header at byte {offset} of the stream")]
    Header {
        /// Where it begins.
        offset: u64,
        #[source]
        source: StreamError,
    },
    /// The donor wants to speak SMV2.
    #[error("the donor begins an SMV2 session; this build speaks the original stream only")]
    Session,
    /// Nothing but a terminator.
    #[error("the stream ends before its first package")]
    NoPackages,
    /// The same package twice.
    #[error("package {name} is sent a second time, at byte {offset} of the stream")]
    Repeated {
        name: String,
        /// Where its second header begins.
        offset: u64,
    },
    /// More than [`PACKAGES_MAX`].
    #[error("the stream has more than {PACKAGES_MAX} packages")]
    TooMany,
    /// Something behind the terminator.
    #[error("byte {offset} of the stream follows its terminator")]
    Trailing {
        /// In bytes of the whole stream.
        offset: u64,
    },
    /// The caller left bytes of a package behind: what follows would be read as a header.
    #[error("{left} bytes of {name} were not read")]
    Unread {
        name: String,
        /// How many.
        left: u64,
    },
}

impl RecordsError {
    /// A broken connection may be tried again; a donor that speaks wrongly is refused.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            RecordsError::Read { .. } | RecordsError::Data { .. } => Outcome::Retry,
            RecordsError::Unread { .. } => Outcome::Fatal,
            _ => Outcome::Refuse,
        }
    }

    /// Has the source ended because this end cancelled the deploy?
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        match self {
            RecordsError::Read { source, .. } | RecordsError::Data { source, .. } => {
                Cancelled::is(source)
            }
            _ => false,
        }
    }
}

impl From<RecordsError> for PackagesError {
    fn from(error: RecordsError) -> Self {
        if error.is_cancelled() {
            return PackagesError::Cancelled;
        }
        PackagesError::Failed {
            outcome: error.outcome(),
            source: Box::new(error),
        }
    }
}

/// A stream, between two records or in one.
pub struct Records<'a> {
    source: &'a mut dyn Source,
    /// Bytes read so far.
    offset: u64,
    /// The first four bytes, until the first header is read.
    opening: Option<[u8; NAME_LEN_BYTES]>,
    seen: BTreeSet<String>,
    current: Option<Current>,
}

/// A package that is being read.
struct Current {
    name: PackageName,
    claimed_len: u64,
    left: u64,
}

impl<'a> Records<'a> {
    /// Reads the first four bytes: they tell the two protocols apart.
    ///
    /// # Errors
    /// The stream is SMV2, neither protocol, empty, or broke.
    pub fn open(source: &'a mut dyn Source) -> Result<Self, RecordsError> {
        let mut records = Self {
            source,
            offset: 0,
            opening: None,
            seen: BTreeSet::new(),
            current: None,
        };
        let first = records.array("the first four bytes")?;
        match Opening::of(first).map_err(|source| RecordsError::Header { offset: 0, source })? {
            Opening::Session => Err(RecordsError::Session),
            Opening::Terminator => Err(RecordsError::NoPackages),
            Opening::Package(_) => {
                records.opening = Some(first);
                Ok(records)
            }
        }
    }

    /// A stream that goes on with a header at this offset, which the source has reached.
    pub fn at(source: &'a mut dyn Source, offset_bytes: u64) -> Self {
        Self {
            source,
            offset: offset_bytes,
            opening: None,
            seen: BTreeSet::new(),
            current: None,
        }
    }

    /// The next package's header; its data must then be read to the end by [`Records::read_data`].
    /// `None`: the stream is complete.
    ///
    /// # Errors
    /// A header outside the limits, a repeated name, a broken connection, something behind the
    /// terminator.
    pub fn next_header(&mut self) -> Result<Option<Header>, RecordsError> {
        if let Some(current) = self.current.take().filter(|current| current.left > 0) {
            return Err(RecordsError::Unread {
                name: current.name.to_string(),
                left: current.left,
            });
        }
        let field = match self.opening.take() {
            Some(field) => field,
            None => self.array("a package header or the terminator")?,
        };
        let start = self.offset.saturating_sub(NAME_LEN_BYTES as u64);
        let refused = |source| RecordsError::Header {
            offset: start,
            source,
        };
        let Some(name_len) = stream::name_len(field).map_err(refused)? else {
            self.end()?;
            return Ok(None);
        };
        let mut name = vec![0; usize::from(name_len.get())];
        self.fill(&mut name, "a package name")?;
        let name = PackageName::parse(&name).map_err(refused)?;
        let len: [u8; DATA_LEN_BYTES] = self.array("a package length")?;
        let claimed_len = stream::data_len(len).map_err(refused)?;
        if self.seen.len() >= PACKAGES_MAX {
            return Err(RecordsError::TooMany);
        }
        if !self.seen.insert(name.package().to_owned()) {
            return Err(RecordsError::Repeated {
                name: name.to_string(),
                offset: start,
            });
        }
        self.current = Some(Current {
            name: name.clone(),
            claimed_len,
            left: claimed_len,
        });
        Ok(Some(Header {
            name,
            claimed_len: Some(claimed_len),
            unpacked: None,
        }))
    }

    /// Bytes of the current package; 0 is its end, and only that.
    ///
    /// # Errors
    /// The connection broke or ended.
    pub fn read_data(&mut self, buf: &mut [u8]) -> Result<usize, RecordsError> {
        let Some(current) = &mut self.current else {
            return Ok(0);
        };
        let most = usize::try_from(current.left)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        let Some(buf) = buf.get_mut(..most).filter(|buf| !buf.is_empty()) else {
            return Ok(0);
        };
        let result = loop {
            match self.source.read(buf) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => break Err(ended(&*self.source)),
                other => break other,
            }
        };
        let got = result.map_err(|source| RecordsError::Data {
            name: current.name.to_string(),
            received: current.claimed_len.saturating_sub(current.left),
            claimed_len: current.claimed_len,
            source,
        })?;
        current.left = current.left.saturating_sub(got as u64);
        self.offset = self.offset.saturating_add(got as u64);
        Ok(got)
    }

    /// All of `buf`, which the current package has bytes for.
    pub(crate) fn fill_data(&mut self, buf: &mut [u8]) -> Result<(), RecordsError> {
        let mut at = 0;
        while let Some(rest) = buf.get_mut(at..).filter(|rest| !rest.is_empty()) {
            match self.read_data(rest)? {
                0 => return Err(self.broken("a package behind its end", self.ended())),
                got => at += got,
            }
        }
        Ok(())
    }

    /// Passes over the rest of the current package, unread where the source can.
    ///
    /// # Errors
    /// The source ends before it, or cannot be read.
    pub fn skip_data(&mut self) -> Result<(), RecordsError> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let skipped = self.source.skip(current.left);
        let result = skipped.and_then(|got| {
            current.left = current.left.saturating_sub(got);
            self.offset = self.offset.saturating_add(got);
            match current.left {
                0 => Ok(()),
                _ => Err(ended(&*self.source)),
            }
        });
        result.map_err(|source| RecordsError::Data {
            name: current.name.to_string(),
            received: current.claimed_len.saturating_sub(current.left),
            claimed_len: current.claimed_len,
            source,
        })
    }

    /// Bytes of the stream so far, headers included.
    #[must_use]
    pub const fn offset_bytes(&self) -> u64 {
        self.offset
    }

    /// Ends a read of this stream from another thread.
    pub(crate) fn interrupter(&self) -> Interrupter {
        self.source.interrupter()
    }

    /// Names that were read so far may come again, and do not count towards [`PACKAGES_MAX`].
    pub(crate) fn forget_names(&mut self) {
        self.seen.clear();
    }

    fn ended(&self) -> io::Error {
        ended(self.source)
    }

    /// Behind the terminator.
    fn end(&mut self) -> Result<(), RecordsError> {
        self.source.hurry(TRAILING_WAIT);
        let mut byte = [0];
        loop {
            match self.source.read(&mut byte) {
                Ok(0) => return Ok(()),
                Ok(_) => {
                    return Err(RecordsError::Trailing {
                        offset: self.offset,
                    });
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::TimedOut | ErrorKind::WouldBlock => return Ok(()),
                    _ => return Err(self.broken("the end of the stream", error)),
                },
            }
        }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], RecordsError> {
        let mut field = [0; N];
        self.fill(&mut field, what)?;
        Ok(field)
    }

    fn fill(&mut self, buf: &mut [u8], what: &'static str) -> Result<(), RecordsError> {
        self.source
            .read_exact(buf)
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => self.broken(what, self.ended()),
                _ => self.broken(what, error),
            })?;
        self.offset = self.offset.saturating_add(buf.len() as u64);
        Ok(())
    }

    const fn broken(&self, what: &'static str, source: io::Error) -> RecordsError {
        RecordsError::Read {
            what,
            offset: self.offset,
            source,
        }
    }
}

impl Packages for Records<'_> {
    fn next_header(&mut self) -> Result<Option<Header>, PackagesError> {
        Ok(Records::next_header(self)?)
    }

    fn read_data(&mut self, buf: &mut [u8]) -> Result<usize, PackagesError> {
        Ok(Records::read_data(self, buf)?)
    }

    fn interrupter(&self) -> Interrupter {
        Records::interrupter(self)
    }

    fn offset_bytes(&self) -> u64 {
        self.offset
    }
}

/// There is nothing more where more had to come.
fn ended(source: &dyn Source) -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, source.ended_early())
}

#[cfg(test)]
mod tests;
