//! xz through liblzma: one stream after another, padding between them, blocks in parallel where
//! memory allows.
//!
//! liblzma's threaded decoder falls back to one thread for a block that would not fit
//! `memlimit_threading`, and refuses one that would not fit `memlimit_stop`; both are set to the
//! same number here. It waits for its threads only when it is called without input, which is how
//! [`Input::ready`] decides between reading ahead and handing out.

use liblzma::stream::{Action, Error, MtStreamBuilder, Status, Stream};

use super::{DecodeError, DecodeLimits, Input, Source, Step};

/// The first bytes of every xz stream (xz file format 2.1.1.1).
pub const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

enum Phase {
    /// Inside a stream.
    Stream,
    /// Behind a stream: padding, another stream, or the end. `zeros` is the length of the padding
    /// so far.
    Between { zeros: u64 },
}

/// An xz decoder at some place in a package.
pub struct Xz {
    stream: Stream,
    phase: Phase,
    limits: DecodeLimits,
    /// Offset at which the current stream began.
    began: u64,
    /// The decoder has given everything that the input so far amounts to.
    drained: bool,
}

impl Xz {
    /// # Errors
    /// No memory for the decoder itself.
    pub fn new(limits: &DecodeLimits) -> Result<Self, DecodeError> {
        let stream = make_stream(limits)?;
        Ok(Xz {
            stream,
            phase: Phase::Stream,
            limits: *limits,
            began: 0,
            drained: true,
        })
    }

    /// One call of liblzma, or one read, or both.
    ///
    /// # Errors
    /// As the package deserves.
    pub fn step<R: Input>(
        &mut self,
        source: &mut Source<R>,
        into: &mut [u8],
    ) -> Result<Step, DecodeError> {
        match self.phase {
            Phase::Stream => self.step_stream(source, into),
            Phase::Between { zeros } => self.step_between(source, zeros),
        }
    }

    fn step_stream<R: Input>(
        &mut self,
        source: &mut Source<R>,
        into: &mut [u8],
    ) -> Result<Step, DecodeError> {
        if source.pending().is_empty() && !source.ended && (self.drained || source.input.ready()) {
            source.fill()?;
            self.drained = false;
        }
        let action = if source.ended {
            Action::Finish
        } else {
            Action::Run
        };
        let (in_before, out_before) = (self.stream.total_in(), self.stream.total_out());
        let had_input = !source.pending().is_empty();
        let result = self.stream.process(source.pending(), into, action);
        let consumed = self.stream.total_in().saturating_sub(in_before);
        let produced = self.stream.total_out().saturating_sub(out_before);
        source.consume(usize::try_from(consumed).unwrap_or(usize::MAX));
        let status = match result {
            Ok(status) => status,
            Err(error) => return Err(self.refusal(error, source)),
        };
        if status == Status::StreamEnd {
            self.phase = Phase::Between { zeros: 0 };
        } else if consumed == 0 && produced == 0 {
            if source.ended && status == Status::MemNeeded {
                return Err(DecodeError::Truncated {
                    offset: source.consumed,
                });
            }
            self.drained = !had_input;
        }
        Ok(match usize::try_from(produced) {
            Ok(count) if count > 0 => Step::Output(count),
            _ => Step::Again,
        })
    }

    /// Stream padding is a multiple of four zero bytes (xz file format 2.2).
    fn step_between<R: Input>(
        &mut self,
        source: &mut Source<R>,
        zeros: u64,
    ) -> Result<Step, DecodeError> {
        if source.pending().is_empty() && !source.fill()? {
            if zeros.is_multiple_of(4) {
                return Ok(Step::End);
            }
            return Err(DecodeError::Trailing {
                offset: source.consumed,
            });
        }
        let run = source
            .pending()
            .iter()
            .take_while(|byte| **byte == 0)
            .count();
        source.consume(run);
        let zeros = zeros.saturating_add(run as u64);
        self.phase = Phase::Between { zeros };
        if source.pending().is_empty() {
            return Ok(Step::Again);
        }
        while source.pending().len() < MAGIC.len() && source.fill()? {}
        if !zeros.is_multiple_of(4) || !source.pending().starts_with(&MAGIC) {
            return Err(DecodeError::Trailing {
                offset: source.consumed,
            });
        }
        self.stream = make_stream(&self.limits)?;
        self.phase = Phase::Stream;
        self.began = source.consumed;
        Ok(Step::Again)
    }

    fn refusal<R>(&self, error: Error, source: &Source<R>) -> DecodeError {
        let offset = source.consumed;
        match error {
            Error::MemLimit => {
                let limit_bytes = self.limits.memory_bytes;
                let told = if self.began == 0 {
                    memory_of_first_block(&source.head)
                } else {
                    0
                };
                // A later block than the first was refused: all that is known is that it needs more
                // than there is.
                let needed_bytes = told.max(limit_bytes.saturating_add(1));
                DecodeError::Memory {
                    offset,
                    needed_bytes,
                    limit_bytes,
                }
            }
            Error::Format => DecodeError::Corrupt {
                offset,
                what: "not an xz stream",
            },
            Error::Data => DecodeError::Corrupt {
                offset,
                what: "corrupt xz data or wrong check",
            },
            Error::Options => DecodeError::Unsupported {
                offset,
                what: "an xz filter or option that is not supported",
            },
            Error::NoCheck | Error::UnsupportedCheck => DecodeError::Unsupported {
                offset,
                what: "an xz check that is not supported",
            },
            Error::Mem | Error::Program => DecodeError::Setup { decoder: "xz" },
        }
    }
}

fn make_stream(limits: &DecodeLimits) -> Result<Stream, DecodeError> {
    let made = if limits.threads > 1 {
        MtStreamBuilder::new()
            .threads(limits.threads)
            .memlimit_threading(limits.memory_bytes)
            .memlimit_stop(limits.memory_bytes)
            .decoder()
    } else {
        Stream::new_stream_decoder(limits.memory_bytes, 0)
    };
    made.map_err(|_| DecodeError::Setup { decoder: "xz" })
}

/// What the first block asks for, found by asking: a plain decoder refuses every limit below its
/// need once it has seen the block header. 0 when that is unknown.
fn memory_of_first_block(head: &[u8]) -> u64 {
    let Ok(mut stream) = Stream::new_stream_decoder(1, 0) else {
        return 0;
    };
    if !matches!(
        stream.process(head, &mut [0], Action::Run),
        Err(Error::MemLimit)
    ) {
        return 0;
    }
    let (mut refused, mut allowed) = (1_u64, 1_u64 << 40);
    while allowed.saturating_sub(refused) > 1 {
        let middle = refused.midpoint(allowed);
        if stream.set_memlimit(middle).is_ok() {
            allowed = middle;
        } else {
            refused = middle;
        }
    }
    allowed
}
