//! One partition as a seekable stream, with a few chunks of it in memory.
//!
//! The FAT code reads and writes in pieces of a cluster or less and goes back and forth between the
//! tables, a directory and the data: each of these finds its chunk still here. A chunk that has to
//! make room is written to the disk.
//!
//! The first failure of the disk is the last thing that happens here: everything after it fails
//! too. fatfs closes files in its destructors, which have nobody to tell of an error, and a later
//! success would hide it.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};

use crate::disk::{Disk, DiskError};
use crate::layout::{Layout, Partition};

/// The size of one read from or write to the disk.
const CHUNK: u64 = 64 * 1024;
/// Both tables, the sector that counts free clusters, a directory, the data; and some to spare.
const CHUNKS: usize = 8;

pub(super) struct Slice<'a> {
    disk: &'a mut dyn Disk,
    start: u64,
    len: u64,
    position: u64,
    /// The most recently used is the last.
    chunks: Vec<Chunk>,
    /// The text of the disk's error.
    fault: Option<String>,
}

struct Chunk {
    /// Offset in the slice, a multiple of [`CHUNK`].
    at: u64,
    bytes: Vec<u8>,
    is_dirty: bool,
}

impl<'a> Slice<'a> {
    pub(super) fn new(disk: &'a mut dyn Disk, layout: &Layout, partition: &Partition) -> Self {
        Self {
            disk,
            start: layout.offset_bytes(partition),
            len: layout.len_bytes(partition),
            position: 0,
            chunks: Vec::new(),
            fault: None,
        }
    }

    /// Writes every changed chunk to the disk, in the order of their places.
    pub(super) fn write_back(&mut self) -> io::Result<()> {
        self.chunks.sort_by_key(|chunk| chunk.at);
        let mut chunks = std::mem::take(&mut self.chunks);
        let stored = chunks.iter_mut().try_for_each(|chunk| self.store(chunk));
        self.chunks = chunks;
        stored
    }

    fn store(&mut self, chunk: &mut Chunk) -> io::Result<()> {
        if chunk.is_dirty {
            let offset = self.start.saturating_add(chunk.at);
            self.attempt(|disk| disk.write_at(offset, &chunk.bytes))?;
            chunk.is_dirty = false;
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        work: impl FnOnce(&mut dyn Disk) -> Result<(), DiskError>,
    ) -> io::Result<()> {
        if let Some(fault) = &self.fault {
            return Err(io::Error::other(fault.clone()));
        }
        work(self.disk).map_err(|error| {
            self.fault = Some(format!("{error}: {}", error.source));
            io::Error::other(error)
        })
    }

    /// The chunk of the position, and the position's offset in it.
    fn here(&mut self) -> io::Result<(&mut Chunk, usize)> {
        let at = self.position / CHUNK * CHUNK;
        let chunk = match self.chunks.iter().position(|chunk| chunk.at == at) {
            Some(index) => self.chunks.remove(index),
            None => self.load(at)?,
        };
        self.chunks.push(chunk);
        let from = usize::try_from(self.position.saturating_sub(at)).unwrap_or(usize::MAX);
        let chunk = self.chunks.last_mut().ok_or(ErrorKind::NotFound)?;
        Ok((chunk, from))
    }

    fn load(&mut self, at: u64) -> io::Result<Chunk> {
        let mut bytes = if self.chunks.len() < CHUNKS {
            Vec::new()
        } else {
            let mut oldest = self.chunks.remove(0);
            self.store(&mut oldest)?;
            oldest.bytes
        };
        let len = CHUNK.min(self.len.saturating_sub(at));
        bytes.resize(usize::try_from(len).unwrap_or(0), 0);
        if len > 0 {
            let offset = self.start.saturating_add(at);
            self.attempt(|disk| disk.read_at(offset, &mut bytes))?;
        }
        Ok(Chunk {
            at,
            bytes,
            is_dirty: false,
        })
    }
}

impl Read for Slice<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (chunk, from) = self.here()?;
        let len = chunk.bytes.get(from..).unwrap_or_default().read(buf)?;
        self.position = self.position.saturating_add(len as u64);
        Ok(len)
    }
}

impl Write for Slice<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let (chunk, from) = self.here()?;
        let len = chunk.bytes.get_mut(from..).unwrap_or_default().write(buf)?;
        chunk.is_dirty = chunk.is_dirty || len > 0;
        self.position = self.position.saturating_add(len as u64);
        Ok(len)
    }

    /// Called after every file, so that what was written there can be believed; durable after the
    /// disk's own flush.
    fn flush(&mut self) -> io::Result<()> {
        self.write_back()
    }
}

impl Seek for Slice<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position
            .filter(|at| *at <= self.len)
            .ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
