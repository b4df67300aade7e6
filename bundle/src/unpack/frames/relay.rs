//! A plain tar in, frames out: the side of the worker. What the archive itself gives away as wrong
//! ends the answer here.

use std::error::Error;
use std::io::{self, Read, Write};
use std::sync::atomic::AtomicU64;

use wire::chain::chain;
use wire::outcome::Outcome;

use super::{
    BLOCK, CHARACTER, DATA, DIRECTORY, END, ENTRY, FAULT, FIFO, FILE, HARD_LINK, IN_ARCHIVE,
    IN_PACKAGE, SPARSE, SYMLINK, TEXT_MAX,
};
use crate::decode::DecodeError;
use crate::unpack::blocks::Blocks;
use crate::unpack::entry::{Entry, Kind, Map};
use crate::unpack::name::PATH_BYTES_MAX;
use crate::unpack::{Content, Entries, UnpackError};

/// Written at once, where as much is at hand.
const WRITE_BYTES: usize = 256 << 10;

/// Answers with the entries of `tar`, or with what is wrong with it.
///
/// # Errors
/// Nobody takes the answer.
pub fn relay(tar: impl Read, output: impl Write) -> io::Result<()> {
    let progress = AtomicU64::new(0);
    let mut blocks = Blocks::new(tar, &progress);
    let mut frames = Emitter::new(output);
    match run(&mut blocks, &mut frames) {
        Ok(()) => {}
        Err(Stop::Output(error)) => return Err(error),
        Err(Stop::Package(error)) => frames.fault(&error, &blocks.place().path)?,
    }
    frames.flush()
}

/// Answers that there is no tar.
///
/// # Errors
/// Nobody takes the answer.
pub fn fault(error: DecodeError, output: impl Write) -> io::Result<()> {
    let mut frames = Emitter::new(output);
    let error = crate::unpack::Place::default().unread(0, io::Error::other(error));
    frames.fault(&error, &[])?;
    frames.flush()
}

/// Why an answer ends early.
enum Stop {
    Output(io::Error),
    Package(UnpackError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Output(error)
    }
}

impl From<UnpackError> for Stop {
    fn from(error: UnpackError) -> Self {
        Stop::Package(error)
    }
}

fn run<R: Read, W: Write>(blocks: &mut Blocks<'_, R>, frames: &mut Emitter<W>) -> Result<(), Stop> {
    while let Some(entry) = blocks.next_entry()? {
        frames.entry(&entry, blocks.place().offset, blocks.offset())?;
        while let Some(chunk) = blocks.next_chunk()? {
            frames.data(chunk)?;
            if blocks.is_drained() {
                frames.flush()?;
            }
        }
        blocks.skip_rest()?;
        if blocks.is_drained() {
            frames.flush()?; // before a read that may have to wait
        }
    }
    frames.end(blocks.offset())?;
    Ok(())
}

/// Frames on their way out.
struct Emitter<W> {
    output: W,
    buffer: Vec<u8>,
}

impl<W: Write> Emitter<W> {
    fn new(output: W) -> Self {
        Emitter {
            output,
            buffer: Vec::with_capacity(WRITE_BYTES),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len().saturating_add(bytes.len()) > WRITE_BYTES {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// A length that its field holds: the parser has bounded what is measured here.
    fn put_len16(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes())
    }

    fn put_len32(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes())
    }

    fn entry(&mut self, entry: &Entry, offset: u64, content: u64) -> io::Result<()> {
        let (kind, target, (major, minor)) = match &entry.kind {
            Kind::Directory => (DIRECTORY, &[][..], (0, 0)),
            Kind::File { .. } => (FILE, &[][..], (0, 0)),
            Kind::Sparse(_) => (SPARSE, &[][..], (0, 0)),
            Kind::HardLink(target) => (HARD_LINK, target.as_bytes(), (0, 0)),
            Kind::Symlink(target) => (SYMLINK, &target[..], (0, 0)),
            Kind::Character { major, minor } => (CHARACTER, &[][..], (*major, *minor)),
            Kind::Block { major, minor } => (BLOCK, &[][..], (*major, *minor)),
            Kind::Fifo => (FIFO, &[][..], (0, 0)),
        };
        let path = entry.path.as_bytes();
        let count = u16::try_from(entry.xattrs.len()).unwrap_or(u16::MAX);
        self.put(&[ENTRY, kind])?;
        self.put(&u16::try_from(entry.mode).unwrap_or(0).to_le_bytes())?;
        self.put_len16(path)?;
        self.put_len16(target)?;
        self.put(&count.to_le_bytes())?;
        for number in [entry.uid, entry.gid, entry.mtime.nanoseconds] {
            self.put(&number.to_le_bytes())?;
        }
        self.put(&entry.mtime.seconds.to_le_bytes())?;
        for number in [offset, content, entry.kind.content_bytes()] {
            self.put(&number.to_le_bytes())?;
        }
        self.put(&major.to_le_bytes())?;
        self.put(&minor.to_le_bytes())?;
        self.put(path)?;
        self.put(target)?;
        for xattr in &entry.xattrs {
            self.put_len16(&xattr.name)?;
            self.put_len32(&xattr.value)?;
            self.put(&xattr.name)?;
            self.put(&xattr.value)?;
        }
        match &entry.kind {
            Kind::Sparse(map) => self.map(map),
            _ => Ok(()),
        }
    }

    fn map(&mut self, map: &Map) -> io::Result<()> {
        let count = u32::try_from(map.segments.len()).unwrap_or(u32::MAX);
        self.put(&map.len.to_le_bytes())?;
        self.put(&count.to_le_bytes())?;
        for segment in &map.segments {
            self.put(&segment.at.to_le_bytes())?;
            self.put(&segment.len.to_le_bytes())?;
        }
        Ok(())
    }

    fn data(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.put(&[DATA])?;
        self.put_len32(chunk)?;
        self.put(chunk)
    }

    fn end(&mut self, len: u64) -> io::Result<()> {
        self.put(&[END])?;
        self.put(&len.to_le_bytes())
    }

    fn fault(&mut self, error: &UnpackError, path: &[u8]) -> io::Result<()> {
        let (what, offset) = match error {
            UnpackError::Input { offset, .. } => (IN_PACKAGE, *offset),
            UnpackError::Refused { offset, .. }
            | UnpackError::NoSpace { offset, .. }
            | UnpackError::Target { offset, .. } => (IN_ARCHIVE, *offset),
        };
        let outcome = match error.outcome() {
            Outcome::Refuse => 0,
            Outcome::Retry => 1,
            Outcome::Fatal => 2,
        };
        let mut text = error
            .source()
            .map_or_else(String::new, |cause| chain(cause).to_string());
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        let path = path.get(..PATH_BYTES_MAX).unwrap_or(path);
        self.put(&[FAULT, what, outcome])?;
        self.put(&offset.to_le_bytes())?;
        self.put_len16(path)?;
        self.put_len16(text.as_bytes())?;
        self.put(path)?;
        self.put(text.as_bytes())
    }
}
