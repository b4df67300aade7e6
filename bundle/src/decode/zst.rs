//! zstd through libzstd: frame after frame, skippable ones skipped, every content checksum
//! verified.

use zstd::zstd_safe::{DCtx, DParameter, ErrorCode, InBuffer, OutBuffer};

use super::{DecodeError, DecodeLimits, Input, Source, Step};

/// Beside the window: the input and output blocks and the tables (RFC 8878 3.1.1.2.4: a block is at
/// most 128 KiB).
const BESIDE_WINDOW_BYTES: u64 = 1 << 20;
/// libzstd's own bounds of the window's logarithm on 64-bit machines.
const WINDOW_LOG: std::ops::RangeInclusive<u32> = 10..=31;

// libzstd numbers its errors in zstd_errors.h; these are declared stable there.
const PREFIX_UNKNOWN: usize = 10;
const WINDOW_TOO_LARGE: usize = 16;
const CHECKSUM_WRONG: usize = 22;
const MEMORY_ALLOCATION: usize = 64;

/// The magic of a frame (RFC 8878 3.1.1) or of a skippable frame (3.1.2), both little-endian.
#[must_use]
pub fn is_magic(bytes: &[u8]) -> bool {
    match bytes.first_chunk::<4>() {
        Some([0x28, 0xb5, 0x2f, 0xfd]) => true,
        Some([low, 0x2a, 0x4d, 0x18]) => low & 0xf0 == 0x50,
        _ => false,
    }
}

/// A zstd decoder at some place in a package.
pub struct Zst {
    context: DCtx<'static>,
    limits: DecodeLimits,
    /// The last frame is complete; nothing of the next one has been seen.
    between_frames: bool,
    /// A first frame was completed.
    any_frame: bool,
    /// The decoder filled the buffer it was given, so it may hold more.
    may_hold_output: bool,
}

impl Zst {
    /// # Errors
    /// No memory for the decoder itself.
    pub fn new(limits: &DecodeLimits) -> Result<Self, DecodeError> {
        let setup = || DecodeError::Setup { decoder: "zstd" };
        let mut context = DCtx::try_create().ok_or_else(setup)?;
        let window = limits
            .memory_bytes
            .saturating_sub(BESIDE_WINDOW_BYTES)
            .max(1);
        let log = window.ilog2().clamp(*WINDOW_LOG.start(), *WINDOW_LOG.end());
        context
            .set_parameter(DParameter::WindowLogMax(log))
            .map_err(|_| setup())?;
        Ok(Zst {
            context,
            limits: *limits,
            between_frames: false,
            any_frame: false,
            may_hold_output: false,
        })
    }

    /// One call of libzstd, after a read where it needs one.
    ///
    /// # Errors
    /// As the package deserves.
    pub fn step<R: Input>(
        &mut self,
        source: &mut Source<R>,
        into: &mut [u8],
    ) -> Result<Step, DecodeError> {
        if source.pending().is_empty()
            && !self.may_hold_output
            && (source.ended || !source.fill()?)
        {
            return if self.between_frames {
                Ok(Step::End)
            } else {
                Err(DecodeError::Truncated {
                    offset: source.consumed,
                })
            };
        }
        let room = into.len();
        let mut input = InBuffer::around(source.pending());
        let mut output = OutBuffer::around(into);
        let result = self.context.decompress_stream(&mut output, &mut input);
        let (consumed, produced) = (input.pos, output.pos());
        source.consume(consumed);
        match result {
            // The hint is 0 exactly when a frame is complete and all of it was given out.
            Ok(hint) => {
                self.between_frames = hint == 0;
                self.any_frame |= self.between_frames;
                self.may_hold_output = produced == room && hint != 0;
            }
            Err(code) => return Err(self.refusal(code, source)),
        }
        Ok(if produced > 0 {
            Step::Output(produced)
        } else {
            Step::Again
        })
    }

    fn refusal<R>(&self, code: ErrorCode, source: &Source<R>) -> DecodeError {
        let offset = source.consumed;
        // ZSTD_getErrorCode: an error is its number, negated, as a size_t.
        match 0_usize.wrapping_sub(code) {
            WINDOW_TOO_LARGE => {
                let limit_bytes = self.limits.memory_bytes;
                let told = if self.any_frame {
                    0
                } else {
                    memory_of_first_frame(&source.head)
                };
                let needed_bytes = told.max(limit_bytes.saturating_add(1));
                DecodeError::Memory {
                    offset,
                    needed_bytes,
                    limit_bytes,
                }
            }
            PREFIX_UNKNOWN if self.any_frame => DecodeError::Trailing { offset },
            CHECKSUM_WRONG => DecodeError::Corrupt {
                offset,
                what: "wrong zstd checksum",
            },
            MEMORY_ALLOCATION => DecodeError::Setup { decoder: "zstd" },
            _ => DecodeError::Corrupt {
                offset,
                what: "corrupt zstd data",
            },
        }
    }
}

/// The window of the first frame and what is needed beside it, from its header (RFC 8878 3.1.1.1).
/// 0 when it is not there.
fn memory_of_first_frame(head: &[u8]) -> u64 {
    let window = match (head.get(4), head.get(5)) {
        // Single_Segment_flag: the window is the content, whose size follows the dictionary id.
        (Some(descriptor), _) if descriptor & 0x20 != 0 => {
            let skip = [0_usize, 1, 2, 4]
                .get(usize::from(descriptor & 3))
                .map_or(5, |id| id.saturating_add(5));
            let width = [1_usize, 2, 4, 8]
                .get(usize::from(descriptor >> 6))
                .copied()
                .unwrap_or(1);
            let field = head
                .get(skip..skip.saturating_add(width))
                .unwrap_or_default();
            let size = field
                .iter()
                .rev()
                .fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
            if width == 2 {
                size.saturating_add(256)
            } else {
                size
            }
        }
        (Some(_), Some(window)) => {
            let base = 1_u64 << (10_u32.saturating_add(u32::from(window >> 3)));
            base.saturating_add((base >> 3).saturating_mul(u64::from(window & 7)))
        }
        _ => return 0,
    };
    window.saturating_add(BESIDE_WINDOW_BYTES)
}
