//! Reads the frames of an untrusted worker: bytes in, checked entries out.
//!
//! The worker reads bytes of strangers with libraries in C; an attacker who takes it over writes
//! this stream. So it says no more than an archive could: each field is checked as if it came from
//! one, and the policy of [`super`] stands behind it.
//!
//! The stream, numbers little-endian. An answer ends with its first `END` or `FAULT`; after it
//! nothing follows.
//!
//! ```text
//! ENTRY 1  kind 1, mode 2, length of path 2, of target 2, number of attributes 2, uid 4, gid 4,
//!          nanoseconds 4, seconds 8, offset of the entry in the tar 8, of its contents 8, their
//!          length 8, major 4, minor 4; path; target;
//!          each attribute: length of name 2, of value 4; name; value
//!          kind `s`: length of the file 8, number of segments 4; each: offset 8, length 8
//! DATA 2   length 4, at least 1; contents of the entry
//! END 3    length of the tar 8
//! FAULT 4  what 1, outcome 1, offset in the tar 8, length of path 2, of text 2; path; text
//! ```

mod relay;

use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use wire::outcome::Outcome;

use super::entry::{Entry, Kind, Map, Segment};
use super::member;
use super::name::{Name, NameFault, PATH_BYTES_MAX};
use super::pax::{self, Time, Xattr};
use super::sparse::SEGMENTS_MAX;
use super::{Content, Entries, Place, Refusal, UnpackError};
use crate::decode::DecodeError;

pub use relay::{fault, relay};

/// As much as is asked of the pipe at a time, and written to a file at a time.
const BUFFER_BYTES: usize = 256 << 10;

const ENTRY: u8 = 1;
const DATA: u8 = 2;
const END: u8 = 3;
const FAULT: u8 = 4;
/// Bytes of an `ENTRY` behind its first, up to the path.
const ENTRY_FIELDS: usize = 61;
/// The same of an attribute, up to its name.
const XATTR_FIELDS: usize = 6;
/// The lengths of the header of a sparse file's segments, and of each segment.
const MAP_FIELDS: usize = 12;
const SEGMENT_FIELDS: usize = 16;
/// The same of a `FAULT`, up to the path.
const FAULT_FIELDS: usize = 14;

const DIRECTORY: u8 = b'd';
const FILE: u8 = b'f';
const SPARSE: u8 = b's';
const HARD_LINK: u8 = b'h';
const SYMLINK: u8 = b'l';
const CHARACTER: u8 = b'c';
const BLOCK: u8 = b'b';
const FIFO: u8 = b'p';

/// A fault lies in the archive, or in what was to be decoded before it.
const IN_ARCHIVE: u8 = 0;
const IN_PACKAGE: u8 = 1;

/// Longest text of a fault: a chain of a few lines, with a path in it.
const TEXT_MAX: usize = 2048;

/// Entries out of the frames of one answer.
pub(super) struct Frames<'p, R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of tar that the answer has come to.
    offset: u64,
    /// The most that it may come to.
    cap: u64,
    progress: &'p AtomicU64,
    entry: Place,
    /// Contents of the entry that are still to come, and those of them that the current frame still
    /// has.
    left: u64,
    in_frame: usize,
    /// Length of the chunk lent last, still in the buffer.
    given: usize,
}

impl<'p, R: Read> Frames<'p, R> {
    pub fn new(input: R, cap: u64, progress: &'p AtomicU64) -> Self {
        Frames {
            input,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            offset: 0,
            cap,
            progress,
            entry: Place::default(),
            left: 0,
            in_frame: 0,
            given: 0,
        }
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// One read into the empty buffer. False at the end.
    fn fill(&mut self) -> Result<bool, UnpackError> {
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(got) => {
                    (self.start, self.end) = (0, got.min(self.buffer.len()));
                    return Ok(got > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.entry.unread(self.offset, source)),
            }
        }
    }

    /// Fills `into`, which the caller has bounded.
    fn take(&mut self, into: &mut [u8]) -> Result<(), UnpackError> {
        let mut done = 0;
        while let Some(room) = into.get_mut(done..).filter(|room| !room.is_empty()) {
            if self.pending().is_empty() && !self.fill()? {
                let cut = io::Error::from(ErrorKind::UnexpectedEof);
                return Err(self.entry.unread(self.offset, cut));
            }
            let len = room.len().min(self.pending().len());
            if let (Some(room), Some(bytes)) = (room.get_mut(..len), self.pending().get(..len)) {
                room.copy_from_slice(bytes);
            }
            self.consume(len);
            done = done.saturating_add(len);
        }
        Ok(())
    }

    fn fields<const LEN: usize>(&mut self) -> Result<Fields<LEN>, UnpackError> {
        let mut bytes = [0; LEN];
        self.take(&mut bytes)?;
        Ok(Fields { bytes, at: 0 })
    }

    fn bytes(&mut self, len: usize, most: usize) -> Result<Vec<u8>, UnpackError> {
        if len > most {
            return Err(self.wrong("a text that is too long"));
        }
        let mut bytes = vec![0; len];
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    fn wrong(&self, what: &'static str) -> UnpackError {
        self.entry.refuse_at(self.offset, Refusal::Answer(what))
    }

    /// The tar has come to here, never backwards and never beyond the cap.
    fn come_to(&mut self, offset: u64) -> Result<(), UnpackError> {
        let Some(more) = offset.checked_sub(self.offset) else {
            return Err(self.wrong("an offset that goes backwards"));
        };
        if offset > self.cap {
            return Err(self.wrong("more bytes than the package may have"));
        }
        self.offset = offset;
        self.progress.fetch_add(more, Ordering::Relaxed);
        Ok(())
    }

    fn entry(&mut self) -> Result<Entry, UnpackError> {
        let mut fields = self.fields::<ENTRY_FIELDS>()?;
        let kind = fields.u8();
        let mode = fields.u16();
        let (path_len, target_len, xattrs) = (fields.u16(), fields.u16(), fields.u16());
        let (uid, gid, nanoseconds) = (fields.u32(), fields.u32(), fields.u32());
        let seconds = fields.i64();
        let (offset, content, len) = (fields.u64(), fields.u64(), fields.u64());
        let (major, minor) = (fields.u32(), fields.u32());
        self.come_to(offset)?;
        self.entry.offset = offset;
        self.entry.path = self.bytes(path_len.into(), PATH_BYTES_MAX)?;
        self.come_to(content)?;
        let target = self.bytes(target_len.into(), PATH_BYTES_MAX)?;
        let xattrs = self.xattrs(xattrs.into())?;
        let is_plain = matches!(kind, FILE | SPARSE) || len == 0;
        let is_number = mode <= 0o7777 && nanoseconds < 1_000_000_000 && is_id(uid) && is_id(gid);
        if !is_plain || !is_number || major > member::MAJOR_MAX || minor > member::MINOR_MAX {
            return Err(self.wrong("a number that is out of range"));
        }
        let map = match kind {
            SPARSE => Some(self.map(len)?),
            _ => None,
        };
        let refused = |reason| self.entry.refuse(reason);
        let kind = match kind {
            DIRECTORY => Kind::Directory,
            FILE => Kind::File { len },
            SPARSE => Kind::Sparse(map.unwrap_or_default()),
            HARD_LINK => Kind::HardLink(hard_link(&target).map_err(refused)?),
            SYMLINK => Kind::Symlink(
                member::symlink_target(Ok(target))
                    .map_err(|fault| refused(Refusal::SymbolicLink(fault)))?,
            ),
            CHARACTER => Kind::Character { major, minor },
            BLOCK => Kind::Block { major, minor },
            FIFO => Kind::Fifo,
            _ => return Err(self.wrong("an entry of an unknown kind")),
        };
        let path = if self.entry.path.is_empty() {
            Name::default()
        } else {
            Name::parse(&self.entry.path).map_err(|fault| refused(Refusal::Path(fault)))?
        };
        if path.is_root() && kind != Kind::Directory {
            return Err(refused(Refusal::NamedLikeADirectory));
        }
        self.left = len;
        Ok(Entry {
            path,
            kind,
            mode: mode.into(),
            uid,
            gid,
            mtime: Time {
                seconds,
                nanoseconds,
            },
            xattrs,
        })
    }

    fn xattrs(&mut self, count: usize) -> Result<Vec<Xattr>, UnpackError> {
        if count > pax::XATTRS_MAX {
            return Err(self.wrong("too many extended attributes"));
        }
        let mut room = usize::try_from(pax::HEADER_BYTES_MAX).unwrap_or(0);
        let mut xattrs = Vec::with_capacity(count);
        for _ in 0..count {
            let mut fields = self.fields::<XATTR_FIELDS>()?;
            let (name_len, value_len) = (fields.u16(), fields.u32());
            let name = self.bytes(name_len.into(), pax::XATTR_NAME_MAX)?;
            if name.is_empty() || name.contains(&0) {
                return Err(self.wrong("an extended attribute without a name"));
            }
            let value = self.bytes(usize::try_from(value_len).unwrap_or(usize::MAX), room)?;
            room = room.saturating_sub(value.len());
            xattrs.push(Xattr { name, value });
        }
        Ok(xattrs)
    }

    /// Where the `stored` bytes of a sparse file belong.
    fn map(&mut self, stored: u64) -> Result<Map, UnpackError> {
        let mut fields = self.fields::<MAP_FIELDS>()?;
        let (len, count) = (fields.u64(), fields.u32());
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > SEGMENTS_MAX {
            return Err(self.wrong("a sparse file in too many segments"));
        }
        let mut map = Map {
            stored,
            len,
            segments: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let mut fields = self.fields::<SEGMENT_FIELDS>()?;
            let (at, len) = (fields.u64(), fields.u64());
            map.segments.push(Segment { at, len });
        }
        match map.fits() {
            true => Ok(map),
            false => Err(self.entry.refuse(Refusal::SparseMap)),
        }
    }

    /// Nothing follows.
    fn close(&mut self) -> Result<(), UnpackError> {
        if !self.pending().is_empty() || self.fill()? {
            return Err(self.wrong("something behind its end"));
        }
        Ok(())
    }

    fn fault(&mut self) -> Result<UnpackError, UnpackError> {
        let mut fields = self.fields::<FAULT_FIELDS>()?;
        let (what, outcome) = (fields.u8(), fields.u8());
        let offset = fields.u64();
        let (path_len, text_len) = (fields.u16(), fields.u16());
        let path = self.bytes(path_len.into(), PATH_BYTES_MAX)?;
        let text = self.bytes(text_len.into(), TEXT_MAX)?;
        self.close()?;
        // It goes to a console: no line breaks, nothing that moves a cursor.
        let text = String::from_utf8_lossy(&text).replace(char::is_control, "?");
        self.entry.path = path;
        let outcome = match outcome {
            0 => Outcome::Refuse,
            1 => Outcome::Retry,
            2 => Outcome::Fatal,
            _ => return Err(self.wrong("an unknown outcome")),
        };
        match what {
            IN_ARCHIVE => Ok(self.entry.refuse_at(offset, Refusal::Reported(text))),
            IN_PACKAGE => {
                let error = DecodeError::Reported { text, outcome };
                Ok(self.entry.unread(offset, io::Error::other(error)))
            }
            _ => Err(self.wrong("an unknown fault")),
        }
    }
}

const fn is_id(id: u32) -> bool {
    id != u32::MAX
}

fn hard_link(target: &[u8]) -> Result<Name, Refusal> {
    match Name::parse(target) {
        Ok(name) if name.is_root() => Err(Refusal::HardLink(NameFault::Root)),
        Ok(name) => Ok(name),
        Err(fault) => Err(Refusal::HardLink(fault)),
    }
}

impl<R: Read> Content for Frames<'_, R> {
    fn next_chunk(&mut self) -> Result<Option<&[u8]>, UnpackError> {
        let given = std::mem::take(&mut self.given);
        self.consume(given);
        if given > 0 {
            self.come_to(self.offset.saturating_add(given as u64))?;
        }
        if self.left == 0 {
            return Ok(None);
        }
        if self.in_frame == 0 {
            match self.fields::<1>()?.u8() {
                DATA => {}
                FAULT => {
                    let fault = self.fault()?;
                    return Err(fault);
                }
                _ => return Err(self.wrong("no contents where there should be some")),
            }
            self.in_frame = usize::try_from(self.fields::<4>()?.u32()).unwrap_or(usize::MAX);
            if self.in_frame == 0 || self.in_frame as u64 > self.left {
                return Err(self.wrong("contents of another length"));
            }
        }
        if self.pending().is_empty() && !self.fill()? {
            let cut = io::Error::from(ErrorKind::UnexpectedEof);
            return Err(self.entry.unread(self.offset, cut));
        }
        let len = self.pending().len().min(self.in_frame);
        self.in_frame = self.in_frame.saturating_sub(len);
        self.left = self.left.saturating_sub(len as u64);
        self.given = len;
        Ok(self.pending().get(..len))
    }
}

impl<R: Read> Entries for Frames<'_, R> {
    fn next_entry(&mut self) -> Result<Option<Entry>, UnpackError> {
        match self.fields::<1>()?.u8() {
            ENTRY => self.entry().map(Some),
            END => {
                let len = self.fields::<8>()?.u64();
                self.come_to(len)?;
                self.close()?;
                Ok(None)
            }
            FAULT => {
                let fault = self.fault()?;
                Err(fault)
            }
            _ => Err(self.wrong("a frame of an unknown kind")),
        }
    }

    fn skip_rest(&mut self) -> Result<(), UnpackError> {
        while self.next_chunk()?.is_some() {}
        Ok(())
    }

    fn place(&self) -> &Place {
        &self.entry
    }

    fn offset(&self) -> u64 {
        self.offset
    }
}

/// Fixed fields, one after the other.
struct Fields<const LEN: usize> {
    bytes: [u8; LEN],
    at: usize,
}

impl<const LEN: usize> Fields<LEN> {
    /// The sum of what is taken is `LEN`: beyond it there are zeros.
    fn next<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.at.saturating_add(COUNT);
        rest.first_chunk().copied().unwrap_or([0; COUNT])
    }

    fn u8(&mut self) -> u8 {
        let [byte] = self.next();
        byte
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.next())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.next())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.next())
    }

    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.next())
    }
}

#[cfg(test)]
mod tests;
