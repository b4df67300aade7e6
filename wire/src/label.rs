//! The label of a slot: what was written there last, and how far (`slot.md` 3).
//!
//! In: the first 4096 of the last [`AREA_BYTES`] of a slot. Out: a [`Label`], or why there is none;
//! and back. A label is a hint and never authority: what counts is what the boot record, the
//! signature and the bytes themselves say. There is exactly one way to write a label, and all of
//! its text lies in the first 512 bytes, so that a disk writes it whole or not at all.

use core::fmt::{self, Write};

use heapless::String;
use thiserror::Error;

use crate::digits::{Hex, decimal, digest};
use crate::manifest::Sha256;
use crate::message::{self, CHUNKS_MAX};
use crate::stream::DATA_MAX;

/// Bytes at the end of a slot that no image reaches: label, manifest and signature.
pub const AREA_BYTES: u64 = 64 << 10;
/// Bytes of a label, zeros behind its text included. Manifest and signature stand behind it.
pub const LEN: usize = 4096;
/// Where the manifest begins, in bytes from the start of the area; zeros behind its end.
pub const MANIFEST_AT: usize = LEN;
/// Longest manifest of a slot, in bytes: one file, so a fraction of what a stream may have.
pub const MANIFEST_MAX: usize = 32 << 10;
/// Where the signature begins, likewise.
pub const SIGNATURE_AT: usize = MANIFEST_AT + MANIFEST_MAX;
/// Longest signature, in bytes.
pub const SIGNATURE_MAX: usize = message::SIGNATURE_MAX;
/// An image ends on a multiple of this.
pub const IMAGE_UNIT: u64 = 4096;

const FIRST_LINE: &str = "smechvisor-slot-label 1";
/// The sector that is written whole on every disk.
const TEXT_MAX: usize = 512;

/// How far the writing of a slot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It began. Nothing may start this slot.
    Writing,
    /// The whole image was read back from the medium and had the signed hash.
    Complete,
}

impl State {
    /// As it stands in a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            State::Writing => "writing",
            State::Complete => "complete",
        }
    }
}

/// What a slot holds, by its own account.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// How far it came.
    pub state: State,
    /// SHA-256 of the manifest's bytes: the name of this version.
    pub digest: Sha256,
    /// The manifest's counter.
    pub counter: u64,
    /// Length of the image: a multiple of [`IMAGE_UNIT`], at least one of it.
    pub image_bytes: u64,
    /// Chunks from the start that were on the medium when the label was written: where to go on, as
    /// a hint. All of them, once complete.
    pub next: u32,
}

/// Why there is no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LabelError {
    /// Only zeros: nobody has written an image there.
    #[error("the slot has no label")]
    Blank,
    /// Not the bytes that a label has.
    #[error("a slot's label has {LEN} bytes, these are {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// A line that is missing or is written in another way.
    #[error("line {line} of the slot's label: expected {expected}")]
    Line {
        /// From 1.
        line: u8,
        /// What belongs there.
        expected: &'static str,
    },
    /// Something behind the last line.
    #[error("byte {at} of the slot's label, behind its last line, is not zero")]
    Behind {
        /// Bytes from the start.
        at: usize,
    },
}

impl Label {
    /// Reads a label.
    ///
    /// # Errors
    /// No label, or one that [`emit`](Self::emit) would write in another way.
    pub fn parse(bytes: &[u8]) -> Result<Self, LabelError> {
        if bytes.len() != LEN {
            return Err(LabelError::Length { found: bytes.len() });
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(LabelError::Blank);
        }
        let mut lines = Lines {
            rest: bytes,
            line: 0,
        };
        lines.next(FIRST_LINE, FIRST_LINE, nothing)?;
        let label = Self {
            state: lines.next("state writing or complete", "state ", state)?,
            digest: lines.next("digest and 64 hexadecimal digits", "digest ", digest)?,
            counter: lines.next("counter and a number", "counter ", decimal)?,
            image_bytes: lines.next("image and a multiple of 4096", "image ", image)?,
            next: lines.next("next and a number of chunks", "next ", next)?,
        };
        lines.next("end", "end", nothing)?;
        match lines.rest.iter().position(|byte| *byte != 0) {
            None => Ok(label),
            Some(at) => Err(LabelError::Behind {
                at: LEN.saturating_sub(lines.rest.len()).saturating_add(at),
            }),
        }
    }

    /// The label with the zeros behind it.
    #[must_use]
    pub fn emit(&self) -> [u8; LEN] {
        let Self {
            state,
            digest,
            counter,
            image_bytes,
            next,
        } = self;
        let mut text = String::<TEXT_MAX>::new();
        // 203 bytes with the longest numbers.
        let _ = write!(
            text,
            "{FIRST_LINE}\nstate {}\ndigest {}\ncounter {counter}\nimage {image_bytes}\nnext {next}\nend\n",
            state.name(),
            Hex(digest)
        );
        let mut bytes = [0; LEN];
        for (to, from) in bytes.iter_mut().zip(text.as_bytes()) {
            *to = *from;
        }
        bytes
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} counter {} image {} next {}",
            self.state.name(),
            Hex(&self.digest),
            self.counter,
            self.image_bytes,
            self.next
        )
    }
}

/// Bytes that an image may have in a slot of this size: what the area at its end leaves.
#[must_use]
pub const fn image_room_bytes(slot_bytes: u64) -> u64 {
    slot_bytes.saturating_sub(AREA_BYTES)
}

/// A manifest or signature out of its place in the area: what stands before the zeros.
#[must_use]
pub fn without_zeros(place: &[u8]) -> &[u8] {
    let mut rest = place;
    while let [head @ .., 0] = rest {
        rest = head;
    }
    rest
}

struct Lines<'a> {
    rest: &'a [u8],
    line: u8,
}

impl<'a> Lines<'a> {
    fn next<T>(
        &mut self,
        expected: &'static str,
        key: &str,
        value: impl FnOnce(&'a [u8]) -> Option<T>,
    ) -> Result<T, LabelError> {
        self.line = self.line.saturating_add(1);
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let found = end.and_then(|end| {
            let (line, rest) = self.rest.split_at_checked(end)?;
            let value = value(line.strip_prefix(key.as_bytes())?)?;
            Some((value, rest.get(1..)?))
        });
        let (value, rest) = found.ok_or(LabelError::Line {
            line: self.line,
            expected,
        })?;
        self.rest = rest;
        Ok(value)
    }
}

fn nothing(rest: &[u8]) -> Option<()> {
    rest.is_empty().then_some(())
}

fn state(word: &[u8]) -> Option<State> {
    let mut states = [State::Writing, State::Complete].into_iter();
    states.find(|state| state.name().as_bytes() == word)
}

fn image(word: &[u8]) -> Option<u64> {
    let is_image = |bytes: &u64| (1..=DATA_MAX).contains(bytes) && bytes.is_multiple_of(IMAGE_UNIT);
    decimal(word).filter(is_image)
}

fn next(word: &[u8]) -> Option<u32> {
    let next = u32::try_from(decimal(word)?).ok()?;
    (next <= CHUNKS_MAX).then_some(next)
}

const _: () = assert!(SIGNATURE_AT + LEN <= AREA_BYTES as usize && SIGNATURE_MAX <= LEN);
const _: () = assert!(MANIFEST_MAX < message::MANIFEST_MAX);

#[cfg(test)]
mod tests;
