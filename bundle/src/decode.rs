//! A package's bytes in, its plain tar out: xz or zstd, told apart by magic and never by name.
//!
//! What is read to its end here was whole: every check verified, no byte left over, not more than
//! the cap. Memory is bounded before the first byte is decoded; blocks of an xz file are decoded in
//! parallel as far as that memory goes.
//!
//! Concatenated xz streams and stream padding are accepted as xz(1) accepts them: `pixz` and
//! `cat a.xz b.xz` make such files. Several zstd frames and skippable frames likewise (`pzstd`
//! begins with one). Anything else behind the last stream refuses the package.

mod xz;
mod zst;

use std::io::{self, ErrorKind, Read};

use thiserror::Error;
use wire::outcome::Outcome;

use crate::package_stream::PackagesError;
use xz::Xz;
use zst::Zst;

/// Bytes asked of the input at a time.
const INPUT_BYTES: usize = 128 << 10;
/// The start of a package that is kept: an xz stream header (12) and the largest block header
/// (1024), from which the memory that a refused package needs is computed (xz file format 1.2,
/// 2.1.1 and 3.1).
const HEAD_BYTES: usize = 12 + 1024;

/// The memory of a decoder and the length of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Memory for dictionaries, windows and blocks in flight. A package that cannot be decoded
    /// within it is refused.
    pub memory_bytes: u64,
    /// Threads for an xz file of several blocks; fewer are used where memory is short. 1 is a plain
    /// decoder.
    pub threads: u32,
    /// Bytes of output after which the package is refused. Only this stops a bomb: 2 GiB of zeros
    /// are 312 kB of xz.
    pub output_cap: u64,
}

/// Where a decoder reads from.
pub trait Input: Read + Send {
    /// Whether a read would return at once. While it says no, the decoder hands out everything that
    /// the bytes it has got amount to before it waits for more; while it says yes, it reads ahead
    /// and keeps all threads busy.
    fn ready(&self) -> bool {
        true
    }
}

impl Input for crate::pipe::Reader {
    fn ready(&self) -> bool {
        self.is_ready()
    }
}

impl Input for &[u8] {}
impl Input for std::fs::File {}
impl Input for Box<dyn Read + Send + '_> {}

/// Why a package cannot be decoded. Offsets are bytes of the package as it is sent; where several
/// threads work, the fault lies at the offset or before it.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum DecodeError {
    /// The stage before this one failed.
    #[error("reading the package at byte {offset}")]
    Input {
        /// Bytes read before.
        offset: u64,
        #[source]
        source: io::Error,
    },
    /// Neither xz nor zstd.
    #[error("recognising the package: neither xz nor zstd, it begins with {head}")]
    UnknownFormat {
        /// The first bytes, in hexadecimal.
        head: String,
    },
    /// A dictionary or window larger than this machine affords.
    #[error(
        "decoding the package at byte {offset}: it needs {needed_bytes} bytes of memory, {limit_bytes} are allowed"
    )]
    Memory {
        /// In bytes of the compressed package.
        offset: u64,
        /// The memory that the package asks for.
        needed_bytes: u64,
        /// [`DecodeLimits::memory_bytes`].
        limit_bytes: u64,
    },
    /// Damaged: a wrong check, an impossible code, a lying index.
    #[error("decoding the package at byte {offset}: {what}")]
    Corrupt {
        /// In bytes of the compressed package.
        offset: u64,
        /// The fault.
        what: &'static str,
    },
    /// The package ends too early.
    #[error("decoding the package: it ends at byte {offset}, in the middle of a compressed stream")]
    Truncated {
        /// Its length.
        offset: u64,
    },
    /// Something else stands behind the compressed data.
    #[error(
        "decoding the package: bytes at {offset}, behind the end of the compressed data, belong to nothing"
    )]
    Trailing {
        /// Where it was noticed.
        offset: u64,
    },
    /// More output than declared or allowed.
    #[error("decoding the package at byte {offset}: it unpacks to more than {cap_bytes} bytes")]
    TooLarge {
        /// In bytes of the compressed package.
        offset: u64,
        /// [`DecodeLimits::output_cap`].
        cap_bytes: u64,
    },
    /// An option of the format that this decoder does not have.
    #[error("decoding the package at byte {offset}: {what}")]
    Unsupported {
        /// In bytes of the compressed package.
        offset: u64,
        /// The format's feature, as a phrase: `an xz check that is not supported`.
        what: &'static str,
    },
    /// The machine has no memory or no threads left, or the decoder was misused.
    #[error("making room for the {decoder} decoder")]
    Setup {
        /// `xz` or `zstd`.
        decoder: &'static str,
    },
    /// One of the above, as the worker that met it says.
    #[error("{text}")]
    Reported {
        /// The whole chain.
        text: String,
        /// Whether to retry, refuse or stop.
        outcome: Outcome,
    },
    /// The worker ended without an answer: what it was given to decode made it misbehave, or the
    /// machine is out of memory.
    #[error("the decoder {how}")]
    Died {
        /// How it ended.
        how: String,
    },
}

impl DecodeError {
    /// The one that a read of decoded bytes failed with.
    #[must_use]
    pub fn inside(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// A package that does not decode is refused; a machine without memory is the machine's
    /// problem. Where nothing more came, the stage before knows.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            DecodeError::Input { source, .. } => source
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<PackagesError>())
                .map_or(Outcome::Retry, PackagesError::outcome),
            DecodeError::Setup { .. } => Outcome::Fatal,
            DecodeError::Reported { outcome, .. } => *outcome,
            DecodeError::Died { .. }
            | DecodeError::UnknownFormat { .. }
            | DecodeError::Memory { .. }
            | DecodeError::Corrupt { .. }
            | DecodeError::Truncated { .. }
            | DecodeError::Trailing { .. }
            | DecodeError::TooLarge { .. }
            | DecodeError::Unsupported { .. } => Outcome::Refuse,
        }
    }

    /// As an error of `Read`; the next stage finds this one inside.
    fn into_io(self) -> io::Error {
        let kind = match &self {
            DecodeError::Input { source, .. } => source.kind(),
            DecodeError::Setup { .. } => ErrorKind::OutOfMemory,
            _ => ErrorKind::InvalidData,
        };
        // `Interrupted` would make `read_to_end` call again, after the fault.
        let kind = if kind == ErrorKind::Interrupted {
            ErrorKind::Other
        } else {
            kind
        };
        io::Error::new(kind, self)
    }
}

/// The compressed side: bytes read and not yet decoded, and how many went before.
struct Source<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the package taken by the decoder so far.
    consumed: u64,
    ended: bool,
    /// The first [`HEAD_BYTES`] of the package.
    head: Vec<u8>,
}

impl<R: Input> Source<R> {
    fn new(input: R) -> Self {
        Source {
            input,
            buffer: vec![0; INPUT_BYTES],
            start: 0,
            end: 0,
            consumed: 0,
            ended: false,
            head: Vec::new(),
        }
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        self.consumed = self.consumed.saturating_add(count as u64);
    }

    /// Bytes read from the input, decoded or not.
    fn read_so_far(&self) -> u64 {
        self.consumed.saturating_add(self.pending().len() as u64)
    }

    /// One read behind what is pending; moves it to the front first. False at the end.
    fn fill(&mut self) -> Result<bool, DecodeError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
        let got = loop {
            let Some(space) = self.buffer.get_mut(self.end..) else {
                return Ok(false);
            };
            match self.input.read(space) {
                Ok(got) => break got,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(DecodeError::Input {
                        offset: self.read_so_far(),
                        source,
                    });
                }
            }
        };
        if got == 0 {
            self.ended = true;
            return Ok(false);
        }
        let new_end = self.end.saturating_add(got).min(self.buffer.len());
        let missing = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend(
            self.buffer
                .get(self.end..new_end)
                .unwrap_or_default()
                .iter()
                .take(missing),
        );
        self.end = new_end;
        Ok(true)
    }
}

/// The result of one step of a decoder.
enum Step {
    /// This many bytes are in the buffer, at least one.
    Output(usize),
    /// Nothing yet; call again.
    Again,
    /// The package was whole and this is its end.
    End,
}

enum Engine {
    Xz(Xz),
    Zst(Zst),
}

/// Reads as the plain tar of a package. Errors are [`DecodeError`]s inside `io::Error`; after one,
/// every read fails.
pub struct Decoder<R> {
    source: Source<R>,
    engine: Engine,
    limits: DecodeLimits,
    produced: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Ended,
    Failed,
}

/// How a package is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One or more xz streams.
    Xz,
    /// One or more zstd frames.
    Zst,
}

impl Format {
    /// Tells by the first bytes of a package, [`Format::HEAD_BYTES`] of them where there are as
    /// many. No decoder looks at them.
    ///
    /// # Errors
    /// They are neither's.
    pub fn of(head: &[u8]) -> Result<Self, DecodeError> {
        if head.starts_with(&xz::MAGIC) {
            return Ok(Format::Xz);
        }
        if zst::is_magic(head) {
            return Ok(Format::Zst);
        }
        let shown = head.iter().take(8).map(|byte| format!("{byte:02x}"));
        let shown = shown.collect::<Vec<_>>().join(" ");
        Err(DecodeError::UnknownFormat {
            head: if shown.is_empty() {
                "nothing".to_owned()
            } else {
                shown
            },
        })
    }

    /// Enough to tell.
    pub const HEAD_BYTES: usize = xz::MAGIC.len();
}

/// Looks at the first bytes of a package and makes the decoder for it.
///
/// # Errors
/// The format is unknown, the input failed or ended, or the machine has no memory for a decoder.
pub fn decode<R: Input>(input: R, limits: DecodeLimits) -> Result<Decoder<R>, DecodeError> {
    let mut source = Source::new(input);
    while source.pending().len() < Format::HEAD_BYTES && source.fill()? {}
    let engine = match Format::of(source.pending())? {
        Format::Xz => Engine::Xz(Xz::new(&limits)?),
        Format::Zst => Engine::Zst(Zst::new(&limits)?),
    };
    Ok(Decoder {
        source,
        engine,
        limits,
        produced: 0,
        state: State::Running,
    })
}

impl<R: Input> Decoder<R> {
    /// Bytes of tar given so far.
    #[must_use]
    pub const fn produced_bytes(&self) -> u64 {
        self.produced
    }

    /// As [`Read::read`], with the error's own type.
    ///
    /// # Errors
    /// The package is refused; see [`DecodeError`].
    pub fn read_tar(&mut self, into: &mut [u8]) -> Result<usize, DecodeError> {
        if into.is_empty() {
            return Ok(0);
        }
        match self.state {
            State::Running => {}
            State::Ended => return Ok(0),
            State::Failed => {
                return Err(DecodeError::Corrupt {
                    offset: self.source.consumed,
                    what: "it was refused before",
                });
            }
        }
        let result = self.step_until_output(into);
        match result {
            Ok(0) => self.state = State::Ended,
            Ok(_) => {}
            Err(_) => self.state = State::Failed,
        }
        result
    }

    fn step_until_output(&mut self, into: &mut [u8]) -> Result<usize, DecodeError> {
        let left = self.limits.output_cap.saturating_sub(self.produced);
        // At the cap only the end may follow; one byte more proves that it does not.
        let mut probe = [0];
        let at_cap = left == 0;
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        let target = if at_cap {
            &mut probe[..]
        } else {
            into.get_mut(..room).unwrap_or_default()
        };
        loop {
            let step = match &mut self.engine {
                Engine::Xz(engine) => engine.step(&mut self.source, target)?,
                Engine::Zst(engine) => engine.step(&mut self.source, target)?,
            };
            match step {
                Step::Again => {}
                Step::End => return Ok(0),
                Step::Output(_) if at_cap => {
                    let (offset, cap_bytes) = (self.source.consumed, self.limits.output_cap);
                    return Err(DecodeError::TooLarge { offset, cap_bytes });
                }
                Step::Output(count) => {
                    self.produced = self.produced.saturating_add(count as u64);
                    return Ok(count);
                }
            }
        }
    }
}

impl<R: Input> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.read_tar(into).map_err(DecodeError::into_io)
    }
}

#[cfg(test)]
mod tests;
