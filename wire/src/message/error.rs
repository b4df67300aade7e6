//! Why bytes are not a message.

use thiserror::Error;

use super::{HASH_LEN, Kind};
use crate::outcome::Outcome;

/// Why bytes are not a message, or a message cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)] // `kind` and `field`: the message and the part of it that is wrong
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
        kind: Kind,
        /// Claimed by the peer.
        claimed: u32,
    },
    /// Shorter than its own fields.
    #[error("{kind} ends after {len_bytes} bytes, before its {field}")]
    Short {
        kind: Kind,
        /// Of its payload.
        len_bytes: usize,
        field: &'static str,
    },
    /// Bytes behind its last field.
    #[error("{kind} goes on behind its last field, {left} bytes")]
    Long {
        kind: Kind,
        /// Bytes behind that field.
        left: usize,
    },
    /// A part that may be no longer.
    #[error("the {field} of {kind} has {claimed} bytes; {max} is the most")]
    Part {
        kind: Kind,
        field: &'static str,
        /// Its length.
        claimed: usize,
        /// The limit.
        max: usize,
    },
    /// A number with no meaning.
    #[error("the {field} of {kind} is {value}, which means nothing")]
    Value {
        kind: Kind,
        field: &'static str,
        /// As the peer sent it.
        value: u32,
    },
    /// A part that may not be empty.
    #[error("the {field} of {kind} is empty")]
    Empty { kind: Kind, field: &'static str },
    /// Chunk lists are made of whole hashes.
    #[error("chunk lists of {len_bytes} bytes are not made of hashes of {HASH_LEN}")]
    HalfHash {
        /// Their length.
        len_bytes: usize,
    },
    /// Not UTF-8.
    #[error("the text of {kind} is not UTF-8 at byte {at}")]
    NotText {
        kind: Kind,
        /// Where in the text.
        at: usize,
    },
}

impl MessageError {
    /// The sender is refused; its connection is closed.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        Outcome::Refuse
    }
}
