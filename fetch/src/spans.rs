//! Files of an image as spans of what can be read anywhere: which chunk was asked for in, its bytes
//! out.
//!
//! One span holds one file, whole, and has the file's length as the manifest has it. Several may
//! lie in one medium (a bundle file) or each in its own (a directory).

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bundle::verify::{ChunkError, ChunkSource, IsLast};
use wire::outcome::Outcome;

use crate::{Chunks, of_io_in_the_middle};

/// What can be read at any offset, without a position of its own.
pub trait ReadAt: Send + Sync {
    /// Up to `buf.len()` bytes at this offset; 0 is the end.
    ///
    /// # Errors
    /// Those of the medium.
    fn read_at(&self, buf: &mut [u8], offset_bytes: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buf: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buf, offset_bytes)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        let at = usize::try_from(offset_bytes).unwrap_or(usize::MAX);
        io::Read::read(&mut self.get(at..).unwrap_or_default(), buf)
    }
}

/// One file of an image.
#[derive(Clone)]
#[allow(missing_docs)] // the fields name themselves
pub struct Span {
    pub medium: Arc<dyn ReadAt>,
    /// For messages.
    pub path: PathBuf,
    /// Where the file begins in its medium.
    pub offset_bytes: u64,
    /// Its length, at least 1.
    pub size_bytes: u64,
    pub chunk_size: u32,
}

impl Span {
    /// Where a chunk begins in its file; `None` behind the last one.
    fn begin(&self, chunk: u32) -> Option<u64> {
        let begin = u64::from(chunk).checked_mul(u64::from(self.chunk_size))?;
        (begin < self.size_bytes).then_some(begin)
    }
}

/// The files of an image, in its order.
pub struct Spans(pub Vec<Span>);

impl Spans {
    fn span(&self, file: u16, chunk: u32) -> Option<(&Span, u64)> {
        let span = self.0.get(usize::from(file))?;
        Some((span, span.begin(chunk)?))
    }
}

impl ChunkSource for Spans {
    fn chunk(&mut self, file: u16, chunk: u32, buf: &mut Vec<u8>) -> Result<IsLast, ChunkError> {
        let Some((span, begin)) = self.span(file, chunk) else {
            return Err(ChunkError::Missing {
                what: format!("there is no chunk {chunk} of file {file}"),
                outcome: Outcome::Fatal,
                source: None,
            });
        };
        let left = span.size_bytes.saturating_sub(begin);
        let len = left.min(u64::from(span.chunk_size));
        buf.resize(usize::try_from(len).unwrap_or(0), 0);
        let read = fill(&*span.medium, buf, span.offset_bytes.saturating_add(begin));
        read.map_err(|source| ChunkError::Missing {
            what: format!("reading {}", self.place(file, chunk)),
            outcome: of_io_in_the_middle(&source),
            source: Some(Box::new(source)),
        })?;
        Ok(IsLast(left == len))
    }
}

impl Chunks for Spans {
    fn place(&self, file: u16, chunk: u32) -> String {
        match self.span(file, chunk) {
            Some((span, begin)) => {
                let at = span.offset_bytes.saturating_add(begin);
                format!("byte {at} of {}", span.path.display())
            }
            None => format!("chunk {chunk} of file {file}"),
        }
    }
}

/// All of `buf`.
fn fill(medium: &dyn ReadAt, buf: &mut [u8], offset_bytes: u64) -> io::Result<()> {
    let mut at = 0;
    while let Some(rest) = buf.get_mut(at..).filter(|rest| !rest.is_empty()) {
        match medium.read_at(rest, offset_bytes.saturating_add(at as u64)) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, ENDED_EARLY)),
            Ok(got) => at = at.saturating_add(got),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// For people: there is nothing more where more had to come.
pub(crate) const ENDED_EARLY: &str = "it ends there";
