//! Why a slot was not written.

use thiserror::Error;
use wire::digits::Hex;
use wire::label::IMAGE_UNIT;
use wire::manifest::Sha256;
use wire::outcome::Outcome;

use crate::disk::DiskError;
use crate::sizes::MIB;

/// Writing a slot failed.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SlotError {
    /// The disk.
    #[error("writing the slot at byte {offset} of {disk}")]
    Disk {
        disk: String,
        /// Where the slot begins.
        offset: u64,
        #[source]
        source: DiskError,
    },
    /// Larger than the slot.
    #[error(
        "the image has {image_bytes} bytes ({} MiB); the slot has room for {room_bytes} ({} MiB)",
        image_bytes.div_ceil(MIB), room_bytes / MIB
    )]
    TooLarge {
        image_bytes: u64,
        /// What the slot has in front of its label.
        room_bytes: u64,
    },
    /// Not whole blocks.
    #[error("the image has {image_bytes} bytes, which is not a multiple of {IMAGE_UNIT}")]
    Unaligned { image_bytes: u64 },
    /// A manifest or signature that its place does not hold.
    #[error("the {part} has {len_bytes} bytes; a slot has room for {max}")]
    TooLong {
        /// `manifest` or `signature`.
        part: &'static str,
        len_bytes: usize,
        max: usize,
    },
    /// A chunk that is not the next piece of this image.
    #[error("chunk {chunk} of the image has {found} bytes, {expected} belong there")]
    Chunk {
        /// From 0.
        chunk: u32,
        found: usize,
        /// 0 behind the last one.
        expected: u64,
    },
    /// The medium does not hold what was written.
    #[error(
        "the slot at byte {offset} of {disk} does not hold the image: the SHA-256 of its \
         {image_bytes} bytes, read back, is {}, expected {}",
        Hex(found),
        Hex(expected)
    )]
    ReadBack {
        disk: String,
        /// Where the slot begins.
        offset: u64,
        image_bytes: u64,
        found: Box<Sha256>,
        expected: Box<Sha256>,
    },
}

impl SlotError {
    /// An image that does not fit is its sender's fault, a disk that fails the machine's.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            SlotError::TooLarge { .. }
            | SlotError::Unaligned { .. }
            | SlotError::TooLong { .. }
            | SlotError::Chunk { .. } => Outcome::Refuse,
            SlotError::Disk { .. } | SlotError::ReadBack { .. } => Outcome::Fatal,
        }
    }
}
