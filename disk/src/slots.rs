//! A slot as an area of a disk: an image is written from its start, read back from the medium, and
//! labelled at its end (`slot.md` 3).
//!
//! Chunks of an image go in, verified by their source. [`Writing`] puts them on the disk and keeps
//! count of them in the label; [`Writing::read_back`] flushes, drops every cache, reads the image
//! from the medium and makes [`ReadBack`] only of one that has the wanted hash; and only a
//! [`ReadBack`] makes a label `complete`. A deploy and an update write a slot with this code, over
//! a whole disk or over the slot's partition alone. What is in memory is one chunk.

mod error;

use std::io;

use sha2::{Digest, Sha256 as Hasher};
use wire::label::{
    self, AREA_BYTES, IMAGE_UNIT, Label, LabelError, MANIFEST_AT, MANIFEST_MAX, SIGNATURE_AT,
    SIGNATURE_MAX, State, image_room_bytes, without_zeros,
};
use wire::manifest::Sha256;

use crate::disk::{Disk, DiskError};
use crate::sizes::MIB;

pub use error::SlotError;

/// After so many bytes what was written is flushed, and the label says how far it came.
pub const FLUSH_BYTES: u64 = 64 * MIB;
/// Read at once when an image is read back.
const READ_BYTES: u64 = MIB;

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
        };
        writing.note()?;
        Ok(writing)
    }

    /// SHA-256 of the first so many bytes, as the medium has them. `seen` hears after every MiB how
    /// many were read.
    ///
    /// # Errors
    /// The disk failed.
    pub fn hash(
        &self,
        disk: &mut dyn Disk,
        image_bytes: u64,
        seen: &mut dyn FnMut(u64),
    ) -> Result<Sha256, SlotError> {
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; usize::try_from(READ_BYTES).unwrap_or(0)];
        let mut done = 0_u64;
        self.at(disk, 0, |disk, _| disk.forget_cache())?;
        while done < image_bytes {
            let len = image_bytes.saturating_sub(done).min(READ_BYTES);
            let piece = buffer.get_mut(..usize::try_from(len).unwrap_or(0));
            let piece = piece.unwrap_or_default();
            self.at(disk, done, |disk, at| disk.read_at(at, piece))?;
            hasher.update(piece);
            done = done.saturating_add(len);
            seen(done);
        }
        Ok(hasher.finalize().into())
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

/// An image on its way into a slot.
pub struct Writing<'d> {
    area: SlotArea,
    disk: &'d mut dyn Disk,
    image: Image,
    next: u32,
    unflushed_bytes: u64,
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
        self.area
            .at(self.disk, at, |disk, at| disk.write_at(at, bytes))?;
        self.next = self.next.saturating_add(1);
        self.unflushed_bytes = self.unflushed_bytes.saturating_add(len);
        if self.unflushed_bytes >= FLUSH_BYTES {
            self.unflushed_bytes = 0;
            self.area.at(self.disk, 0, |disk, _| disk.flush())?;
            self.note()?;
        }
        Ok(())
    }

    /// The label says how far it came: what lies before `next` was flushed.
    fn note(&mut self) -> Result<(), SlotError> {
        let label = self.image.label(State::Writing, self.next);
        self.area.write_label(self.disk, &label)
    }

    /// Puts everything on the medium and reads the whole image from there. `seen` hears after every
    /// MiB how many bytes were read.
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
        self.area.at(self.disk, 0, |disk, _| disk.flush())?;
        let (area, image) = (self.area, self.image);
        let found = area.hash(self.disk, image.image_bytes, seen)?;
        if found != image.sha256 {
            // What was wrong may be anywhere.
            self.next = 0;
            self.note()?;
            return Err(SlotError::ReadBack {
                disk: self.disk.name().to_owned(),
                found,
                expected: image.sha256,
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
