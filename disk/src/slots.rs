//! A slot as an area of a disk: an image is written from its start, read back from the medium, and
//! labelled at its end (`slot.md` 3).
//!
//! Chunks of an image go in, verified by their source. [`Writing`] puts them on the disk and keeps
//! count of them in the label; [`Writing::read_back`] flushes, has the whole image read from the
//! medium, and makes [`ReadBack`] only of one that has the wanted hash; and only a [`ReadBack`]
//! makes a label `complete`. A deploy and an update write a slot with this code, over a whole disk
//! or over the slot's partition alone. Where the disk has a [`Medium`], a thread reads back what
//! was written while more is written (`beside`); else all of it is read at the end, after every
//! cache was dropped. What is in memory is one chunk, and one piece of 4 MiB that is read back.

mod beside;
mod error;

use std::io;

use wire::label::{
    self, AREA_BYTES, IMAGE_UNIT, Label, LabelError, MANIFEST_AT, MANIFEST_MAX, SIGNATURE_AT,
    SIGNATURE_MAX, State, image_room_bytes, without_zeros,
};
use wire::manifest::Sha256;

use crate::disk::{Disk, DiskError, Medium};
use crate::sizes::MIB;

use beside::{Beside, Hashing};

pub use error::SlotError;

/// After so many bytes what was written is flushed, and the label says how far it came.
pub const FLUSH_BYTES: u64 = 64 * MIB;
/// Where a slot is read back beside its writing, so many bytes are handed over at once.
pub const WINDOW_BYTES: u64 = 4 * MIB;
/// What the disk is given to write at once meanwhile.
const BEGIN_BYTES: u64 = MIB;

/// What is to be in a slot, as its manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// SHA-256 of the manifest.
    pub digest: Sha256,
    /// Its counter.
    pub counter: u64,
    /// Length of the image.
    pub image_bytes: u64,
    /// Of the whole image.
    pub sha256: Sha256,
    /// Bytes of a chunk; the last one may be smaller.
    pub chunk_bytes: u32,
}

impl Image {
    /// How many chunks it has.
    #[must_use]
    pub const fn chunks(&self) -> u32 {
        if self.chunk_bytes == 0 {
            return 0;
        }
        let chunks = self.image_bytes.div_ceil(self.chunk_bytes as u64);
        // A manifest has at most 65,536.
        if chunks > u32::MAX as u64 {
            u32::MAX
        } else {
            chunks as u32
        }
    }

    const fn label(&self, state: State, next: u32) -> Label {
        Label {
            state,
            digest: self.digest,
            counter: self.counter,
            image_bytes: self.image_bytes,
            next,
        }
    }
}

/// Where a slot lies, in bytes of the [`Disk`] that it is reached through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotArea {
    /// Its first byte.
    pub offset_bytes: u64,
    /// Its length.
    pub len_bytes: u64,
}

impl SlotArea {
    /// A slot whose partition was opened by itself.
    #[must_use]
    pub fn whole(disk: &dyn Disk) -> Self {
        Self {
            offset_bytes: 0,
            len_bytes: disk.size_bytes(),
        }
    }

    /// Bytes that an image may have here.
    #[must_use]
    pub const fn room_bytes(&self) -> u64 {
        image_room_bytes(self.len_bytes)
    }

    /// Whether this image, manifest and signature have room here; nothing is read or written.
    ///
    /// # Errors
    /// What has not.
    pub fn check(&self, image: &Image, manifest: &[u8], signature: &[u8]) -> Result<(), SlotError> {
        let (image_bytes, room_bytes) = (image.image_bytes, self.room_bytes());
        if image_bytes > room_bytes {
            return Err(SlotError::TooLarge {
                image_bytes,
                room_bytes,
            });
        }
        if image_bytes == 0 || !image_bytes.is_multiple_of(IMAGE_UNIT) {
            return Err(SlotError::Unaligned { image_bytes });
        }
        within("manifest", manifest, MANIFEST_MAX)?;
        within("signature", signature, SIGNATURE_MAX)
    }

    /// The label, which says what it says and proves nothing.
    ///
    /// # Errors
    /// The outer one: the disk failed. The inner one: there is no label.
    pub fn label(&self, disk: &mut dyn Disk) -> Result<Result<Label, LabelError>, SlotError> {
        let mut bytes = [0; label::LEN];
        self.at_label(disk, |disk, at| disk.read_at(at, &mut bytes))?;
        Ok(Label::parse(&bytes))
    }

    /// Manifest and signature of what was written here last: bytes to be verified. The signature
    /// is empty where there was none.
    ///
    /// # Errors
    /// The disk failed.
    pub fn raw_release(&self, disk: &mut dyn Disk) -> Result<(Vec<u8>, Vec<u8>), SlotError> {
        let mut bytes = vec![0; RELEASE_LEN];
        self.at_label(disk, |disk, at| {
            disk.read_at(at.saturating_add(MANIFEST_AT as u64), &mut bytes)
        })?;
        let (manifest, signature) = bytes.split_at_checked(MANIFEST_MAX).unwrap_or_default();
        let signature = signature.get(..SIGNATURE_MAX).unwrap_or_default();
        Ok((
            without_zeros(manifest).to_vec(),
            without_zeros(signature).to_vec(),
        ))
    }

    /// Fills `buf` from this byte of the slot on: perhaps a chunk that a new image has too.
    ///
    /// # Errors
    /// The disk failed, or the slot ends before.
    pub fn read(&self, disk: &mut dyn Disk, within: u64, buf: &mut [u8]) -> Result<(), SlotError> {
        let room = self.len_bytes.checked_sub(within);
        let is_inside = room.is_some_and(|room| buf.len() as u64 <= room);
        self.at(disk, within, |disk, at| match is_inside {
            true => disk.read_at(at, buf),
            false => Err(DiskError {
                action: "reading",
                disk: disk.name().to_owned(),
                offset: at,
                len: buf.len(),
                source: io::ErrorKind::UnexpectedEof.into(),
            }),
        })
    }

    /// Begins to write this image, or goes on where the label says that its writing was
    /// interrupted. From here on the slot holds nothing that may be started.
    ///
    /// # Errors
    /// It does not fit, or the disk failed.
    pub fn begin<'d>(
        &self,
        disk: &'d mut dyn Disk,
        image: &Image,
    ) -> Result<Writing<'d>, SlotError> {
        self.check(image, &[], &[])?;
        let next = match self.label(disk)? {
            Ok(found) if found == image.label(State::Writing, found.next) => found.next,
            _ => 0,
        };
        let mut writing = Writing {
            area: *self,
            disk,
            image: *image,
            next: next.min(image.chunks()),
            unflushed_bytes: 0,
            beside: None,
        };
        writing.note()?;
        writing.beside = self.beside(writing.disk)?;
        writing.hand_over()?;
        Ok(writing)
    }

    /// The thread that reads back, where there is another way to the medium. Where none can be
    /// started, all is read at the end.
    fn beside(&self, disk: &mut dyn Disk) -> Result<Option<Beside>, SlotError> {
        let mut medium = None;
        self.at(disk, 0, |disk, _| {
            medium = disk.medium()?;
            Ok(())
        })?;
        Ok(medium.and_then(|medium| Beside::begin(medium, self.offset_bytes).ok()))
    }

    /// SHA-256 of the first so many bytes, as the medium has them. `seen` hears after each piece of
    /// 4 MiB how many were read.
    ///
    /// # Errors
    /// The disk failed.
    pub fn hash(
        &self,
        disk: &mut dyn Disk,
        image_bytes: u64,
        seen: &mut dyn FnMut(u64),
    ) -> Result<Sha256, SlotError> {
        let mut hashing = Hashing::new(self.offset_bytes);
        let mut tell = |done| {
            seen(done);
            true
        };
        self.at(disk, 0, |disk, _| {
            match disk.medium()? {
                Some(mut medium) => hashing.go_on(&mut *medium, image_bytes, &mut tell),
                None => {
                    disk.forget_cache()?;
                    let mut medium = Forgetful(disk, Vec::new());
                    hashing.go_on(&mut medium, image_bytes, &mut tell)
                }
            }
            .map(drop)
        })?;
        Ok(hashing.end())
    }

    /// Returns when everything that was written is on the medium.
    ///
    /// # Errors
    /// The disk failed.
    pub fn flush(&self, disk: &mut dyn Disk) -> Result<(), SlotError> {
        self.at(disk, 0, |disk, _| disk.flush())
    }

    /// Something at the label.
    fn at_label(
        &self,
        disk: &mut dyn Disk,
        work: impl FnOnce(&mut dyn Disk, u64) -> Result<(), DiskError>,
    ) -> Result<(), SlotError> {
        self.at(disk, self.len_bytes.saturating_sub(AREA_BYTES), work)
    }

    /// Something at this byte of the slot.
    fn at(
        &self,
        disk: &mut dyn Disk,
        within: u64,
        work: impl FnOnce(&mut dyn Disk, u64) -> Result<(), DiskError>,
    ) -> Result<(), SlotError> {
        let at = self.offset_bytes.saturating_add(within);
        work(disk, at).map_err(|source| SlotError::Disk {
            disk: disk.name().to_owned(),
            offset: self.offset_bytes,
            source,
        })
    }

    fn write_label(&self, disk: &mut dyn Disk, label: &Label) -> Result<(), SlotError> {
        self.at_label(disk, |disk, at| {
            disk.write_at(at, &label.emit())?;
            disk.flush()
        })
    }
}

/// Manifest and signature, each with the zeros behind it; whole sectors of every disk.
const RELEASE_LEN: usize = SIGNATURE_AT - MANIFEST_AT + label::LEN;

const fn within(part: &'static str, bytes: &[u8], max: usize) -> Result<(), SlotError> {
    if bytes.len() > max {
        return Err(SlotError::TooLong {
            part,
            len_bytes: bytes.len(),
            max,
        });
    }
    Ok(())
}

/// A disk that has just forgotten its cache, as the way to its medium.
struct Forgetful<'d>(&'d mut dyn Disk, Vec<u8>);

impl Medium for Forgetful<'_> {
    fn read(&mut self, offset: u64, len: usize) -> Result<&[u8], DiskError> {
        self.1.resize(len, 0);
        self.0.read_at(offset, &mut self.1)?;
        Ok(&self.1)
    }
}

/// An image on its way into a slot.
pub struct Writing<'d> {
    area: SlotArea,
    disk: &'d mut dyn Disk,
    image: Image,
    next: u32,
    unflushed_bytes: u64,
    beside: Option<Beside>,
}

impl<'d> Writing<'d> {
    /// The chunk that is wanted next; not 0 where an interrupted update goes on.
    #[must_use]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// Writes the next chunk, which its source has verified.
    ///
    /// # Errors
    /// It has not the length of that chunk, or the disk failed.
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<(), SlotError> {
        let chunk_bytes = u64::from(self.image.chunk_bytes);
        let at = u64::from(self.next).saturating_mul(chunk_bytes);
        let expected = self.image.image_bytes.saturating_sub(at).min(chunk_bytes);
        let len = bytes.len() as u64;
        if len != expected || len == 0 {
            return Err(SlotError::Chunk {
                chunk: self.next,
                found: bytes.len(),
                expected,
            });
        }
        let write = |disk: &mut dyn Disk, at| disk.write_at(at, bytes);
        self.area.at(self.disk, at, write)?;
        self.next = self.next.saturating_add(1);
        self.unflushed_bytes = self.unflushed_bytes.saturating_add(len);
        if self.beside.is_some() {
            self.read_beside(at.saturating_add(len), len)?;
        }
        if self.unflushed_bytes >= FLUSH_BYTES {
            self.area.flush(self.disk)?;
            self.unflushed_bytes = 0;
            self.note()?;
        }
        Ok(())
    }

    /// The disk writes, and is read, while the next chunks are fetched: each time that these last
    /// bytes, up to `end`, have completed a MiB and a window.
    fn read_beside(&mut self, end: u64, last_bytes: u64) -> Result<(), SlotError> {
        let (now, before) = (
            self.unflushed_bytes,
            self.unflushed_bytes.saturating_sub(last_bytes),
        );
        if now / BEGIN_BYTES != before / BEGIN_BYTES {
            let begin = before / BEGIN_BYTES * BEGIN_BYTES;
            let len = now.saturating_sub(begin);
            let begin = end.saturating_sub(len);
            self.area.at(self.disk, begin, |disk, at| {
                disk.begin_flush(at, len);
                Ok(())
            })?;
        }
        match now / WINDOW_BYTES == before / WINDOW_BYTES {
            true => Ok(()),
            false => self.hand_over(),
        }
    }

    /// What lies before `next` was written.
    fn hand_over(&mut self) -> Result<(), SlotError> {
        let chunks = u64::from(self.next);
        let end = chunks.saturating_mul(u64::from(self.image.chunk_bytes));
        let end = end.min(self.image.image_bytes);
        match &self.beside {
            Some(beside) if !beside.goes_on(end) => self.end_beside(&mut |_| {}).map(drop),
            _ => Ok(()),
        }
    }

    /// The hash of what the thread has read, if there is one.
    fn end_beside(&mut self, seen: &mut dyn FnMut(u64)) -> Result<Option<Sha256>, SlotError> {
        let Some(beside) = self.beside.take() else {
            return Ok(None);
        };
        let mut found = None;
        self.area.at(self.disk, 0, |_, _| {
            found = Some(beside.end(seen)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The label says how far it came: what lies before `next` was flushed.
    fn note(&mut self) -> Result<(), SlotError> {
        let label = self.image.label(State::Writing, self.next);
        self.area.write_label(self.disk, &label)
    }

    /// Puts everything on the medium and returns when the whole image was read from there. `seen`
    /// hears after each piece of 4 MiB how many bytes were read.
    ///
    /// # Errors
    /// Chunks are missing; what is on the medium has another hash; the disk failed. The label then
    /// says that a next attempt begins at the first chunk.
    pub fn read_back(mut self, seen: &mut dyn FnMut(u64)) -> Result<ReadBack<'d>, SlotError> {
        if self.next < self.image.chunks() {
            return Err(SlotError::Chunk {
                chunk: self.next,
                found: 0,
                expected: u64::from(self.image.chunk_bytes),
            });
        }
        let (area, image) = (self.area, self.image);
        area.flush(self.disk)?;
        self.hand_over()?;
        let found = match self.end_beside(seen)? {
            Some(found) => found,
            None => area.hash(self.disk, image.image_bytes, seen)?,
        };
        if found != image.sha256 {
            // What was wrong may be anywhere.
            self.next = 0;
            self.note()?;
            return Err(SlotError::ReadBack {
                disk: self.disk.name().to_owned(),
                offset: area.offset_bytes,
                image_bytes: image.image_bytes,
                found: Box::new(found),
                expected: Box::new(image.sha256),
            });
        }
        Ok(ReadBack {
            area,
            disk: self.disk,
            image,
        })
    }
}

/// An image that is on the medium, to the last byte.
pub struct ReadBack<'d> {
    area: SlotArea,
    disk: &'d mut dyn Disk,
    image: Image,
}

impl ReadBack<'_> {
    /// Puts the manifest, its signature and then the label `complete` at the end of the slot, each
    /// durable before the next.
    ///
    /// # Errors
    /// They are too long, or the disk failed.
    pub fn complete(self, manifest: &[u8], signature: &[u8]) -> Result<Label, SlotError> {
        self.area.check(&self.image, manifest, signature)?;
        let mut release = vec![0; RELEASE_LEN];
        for (part, at) in [(manifest, 0), (signature, SIGNATURE_AT - MANIFEST_AT)] {
            let place = release.get_mut(at..).unwrap_or_default();
            for (to, from) in place.iter_mut().zip(part) {
                *to = *from;
            }
        }
        self.area.at_label(self.disk, |disk, at| {
            disk.write_at(at.saturating_add(MANIFEST_AT as u64), &release)?;
            disk.flush()
        })?;
        let label = self.image.label(State::Complete, self.image.chunks());
        self.area.write_label(self.disk, &label)?;
        Ok(label)
    }
}

#[cfg(test)]
mod tests;
