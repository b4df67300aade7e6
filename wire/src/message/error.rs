//! Why a message is none.

use thiserror::Error;

use super::{HASH_LEN, Kind};
use crate::outcome::Outcome;

/// Why a message is none, or cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// No message has this number.
    #[error("a message of kind {number}, which there is not")]
    Kind {
        /// Claimed by the peer.
        number: u8,
    },
    /// Longer than the kind allows.
    #[error("{kind} of {claimed} bytes; {} is the most", kind.payload_max())]
    Length {
        /// Which.
        kind: Kind,
        /// Claimed by the peer.
        claimed: u32,
    },
    /// Shorter than its own fields.
    #[error("{kind} ends after {len_bytes} bytes, before its {field}")]
    Short {
        /// Which.
        kind: Kind,
        /// Its payload.
        len_bytes: usize,
        /// What is missing.
        field: &'static str,
    },
    /// Bytes behind its last field.
    #[error("{kind} goes on behind its last field, {left} bytes")]
    Long {
        /// Which.
        kind: Kind,
        /// How many.
        left: usize,
    },
    /// A part that may be no longer.
    #[error("the {field} of {kind} has {claimed} bytes; {max} is the most")]
    Part {
        /// Which.
        kind: Kind,
        /// Of what.
        field: &'static str,
        /// Its length.
        claimed: usize,
        /// The limit.
        max: usize,
    },
    /// A number with no meaning.
    #[error("the {field} of {kind} is {value}, which means nothing")]
    Value {
        /// Which.
        kind: Kind,
        /// Of what.
        field: &'static str,
        /// What stands there.
        value: u32,
    },
    /// A part that may not be empty.
    #[error("the {field} of {kind} is empty")]
    Empty {
        /// Which.
        kind: Kind,
        /// Of what.
        field: &'static str,
    },
    /// Chunk lists are made of whole hashes.
    #[error("chunk lists of {len_bytes} bytes are not made of hashes of {HASH_LEN}")]
    HalfHash {
        /// Their length.
        len_bytes: usize,
    },
    /// Not UTF-8.
    #[error("the text of {kind} is not UTF-8 at byte {at}")]
    NotText {
        /// Which.
        kind: Kind,
        /// Where in the text.
        at: usize,
    },
}

impl MessageError {
    /// Whoever sends it is refused; its connection is closed.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        Outcome::Refuse
    }
}
