//! Plain tar in, a package out: xz in blocks, or zstd, on several threads. The number of threads
//! never changes the bytes.
//!
//! For the receiver's sake: an xz block is 8 MiB, its size stands in its header, so a receiver with
//! cores to spare decodes blocks in parallel; the dictionary is 8 MiB, so one with 64 MiB of memory
//! decodes them one after the other. zstd's window is 4 MiB, below that of any receiver.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use liblzma::stream::{Check, MtStreamBuilder};
use liblzma::write::XzEncoder;
use sys::meminfo;
use zstd::stream::write::Encoder as ZstEncoder;

/// Of the plain archive. 1 % larger than with blocks of 24 MiB on a Debian root.
const BLOCK_BYTES: u64 = 8 << 20;
/// 8 MiB of dictionary.
const XZ_PRESET: u32 = 6;
/// 4 MiB.
const ZST_WINDOW_LOG: u32 = 22;
/// Memory that is taken when the machine does not say how much it has.
const MEMORY_BYTES: u64 = 256 << 20;

/// How a package is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Small.
    Xz,
    /// Fast, and a fifth larger.
    Zst,
    /// Fast enough for the network: a third larger.
    QuickZst,
}

impl Format {
    /// The end of a package's file name.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Format::Xz => ".tar.xz",
            Format::Zst | Format::QuickZst => ".tar.zst",
        }
    }
}

/// Takes plain bytes; what comes out goes to `W`.
pub enum Encoder<W: Write> {
    /// xz.
    Xz(XzEncoder<W>),
    /// zstd.
    Zst(ZstEncoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    /// `threads` at most; fewer where memory is short, as each takes about 120 MiB for xz.
    ///
    /// # Errors
    /// No memory.
    pub fn new(out: W, format: Format, threads: u32) -> io::Result<Self> {
        let level = match format {
            Format::Xz => return Self::xz(out, threads),
            Format::Zst => 12,
            Format::QuickZst => 3,
        };
        let mut encoder = ZstEncoder::new(out, level)?;
        encoder.include_checksum(true)?;
        encoder.window_log(ZST_WINDOW_LOG)?;
        // Even one: without workers zstd cuts its input elsewhere and the bytes would be others.
        encoder.multithread(threads.max(1))?;
        Ok(Encoder::Zst(encoder))
    }

    fn xz(out: W, threads: u32) -> io::Result<Self> {
        let memory = memory_bytes();
        let mut builder = MtStreamBuilder::new();
        builder
            .preset(XZ_PRESET)
            .check(Check::Crc64)
            .block_size(BLOCK_BYTES);
        let mut threads = threads.max(1);
        while builder.threads(threads).memusage() > memory && threads > 1 {
            threads = threads.saturating_sub(1);
        }
        let stream = builder.encoder().map_err(io::Error::other)?;
        Ok(Encoder::Xz(XzEncoder::new_stream(out, stream)))
    }

    /// Writes what is still inside.
    ///
    /// # Errors
    /// Those of `W`.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Encoder::Xz(encoder) => encoder.finish(),
            Encoder::Zst(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::Xz(encoder) => encoder.write(bytes),
            Encoder::Zst(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Xz(encoder) => encoder.flush(),
            Encoder::Zst(encoder) => encoder.flush(),
        }
    }
}

/// As many threads as processors.
#[must_use]
pub fn default_threads() -> u32 {
    let count = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(count).unwrap_or(1)
}

/// Half of what the machine can give without swapping (proc(5), MemAvailable): it has other work.
fn memory_bytes() -> u64 {
    meminfo::bytes(&meminfo::read(), "MemAvailable").map_or(MEMORY_BYTES, |bytes| bytes / 2)
}

/// Counts what goes through, for somebody who looks on.
#[derive(Debug)]
pub struct Counting<W> {
    out: W,
    bytes: Arc<AtomicU64>,
}

impl<W> Counting<W> {
    /// Adds to `bytes`.
    pub fn new(out: W, bytes: Arc<AtomicU64>) -> Self {
        Counting { out, bytes }
    }

    /// The writer behind it.
    pub fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoder, Format};
    use bundle::decode::{DecodeLimits, decode};
    use std::io::{Read, Write};

    fn packed(content: &[u8], format: Format, threads: u32) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new(), format, threads).unwrap();
        for chunk in content.chunks(100_000) {
            encoder.write_all(chunk).unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn a_small_machine_decodes_what_any_number_of_threads_has_made() {
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        // Three blocks, and two jobs of zstd.
        let content = noise.take(128 << 10).collect::<Vec<u8>>().repeat(136);
        for format in [Format::Xz, Format::Zst, Format::QuickZst] {
            let one = packed(&content, format, 1);
            assert!(packed(&content, format, 3) == one, "{format:?}");
            let limits = DecodeLimits {
                memory_bytes: 12 << 20,
                threads: 2,
                output_cap: 1 << 30,
            };
            let mut decoded = Vec::new();
            let mut decoder = decode(&one[..], limits).unwrap();
            decoder.read_to_end(&mut decoded).unwrap();
            assert!(decoded == content, "{format:?}");
        }
    }
}
