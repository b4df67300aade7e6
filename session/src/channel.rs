//! The sealed channel behind a handshake (`protocol.md` 3.3): messages in, records on the wire, and
//! back.
//!
//! A record is `u16 length || ciphertext`, at most 65535 bytes of it. The plaintexts joined are a
//! stream of messages, which may span records. Each direction has its own key and counts its
//! records, so a record that was changed, repeated, left out or moved does not verify, and the
//! first one that does not ends the channel: nothing behind it is looked at.
//!
//! Records are sealed and opened in place: a plaintext is copied once on its way out, and a record
//! that lies within a message is read to where the message wants it.
//!
//! Memory: a [`Sealer`] holds one record, 64 KiB; an [`Opener`] one record and, in the caller's
//! buffer, one message, which is within its kind's limit before room is made for it (the longest
//! has 3 MiB and 1 KiB).

mod opener;
mod sealer;

use std::io;

use thiserror::Error;
use wire::message::{End, Kind, MessageError};
use wire::outcome::Outcome;

use crate::record_key::TAG_LEN;

pub use opener::Opener;
pub use sealer::Sealer;

/// Bytes of a record's length.
const LENGTH_LEN: usize = 2;
/// Longest ciphertext of a record, tag included.
const SEALED_MAX: usize = u16::MAX as usize;
/// Longest plaintext of a record.
pub const PLAIN_MAX: usize = SEALED_MAX - TAG_LEN;

/// Why a channel is over, or a message was not sent.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// The connection failed, or the peer is silent for longer than the reader's patience.
    #[error("{doing}")]
    Io {
        /// Reading or writing.
        doing: &'static str,
        /// The error of the reader or the writer.
        source: io::Error,
    },
    /// The peer closed between two messages.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer closed, or somebody cut the connection, in the middle of something.
    #[error("the connection ends in the middle of {of}")]
    Truncated {
        /// A record or a message.
        of: &'static str,
    },
    /// No record has this length.
    #[error("record {number} has {claimed} bytes; a record has {} to {SEALED_MAX}", TAG_LEN + 1)]
    RecordLength {
        /// From 0, in this direction.
        number: u64,
        /// Claimed on the wire, where nothing vouches for it.
        claimed: u16,
    },
    /// Somebody changed, repeated, left out or made up a record.
    #[error("record {number} is not what the peer sealed")]
    Record {
        /// From 0, in this direction.
        number: u64,
    },
    /// The peer sealed something that is no message, or this end wanted to.
    #[error("{doing}")]
    Message {
        /// Reading or writing.
        doing: &'static str,
        /// The rule of the message format that it breaks.
        source: MessageError,
    },
    /// A message from the wrong end.
    #[error("{kind} from the {}, who may not send it", match sender { End::Donor => "donor", End::Target => "target" })]
    Sender {
        /// The kind that only the other end may send.
        kind: Kind,
        /// The end that sent it, or wanted to.
        sender: End,
    },
    /// It failed before; what comes now cannot be trusted to belong to what came then.
    #[error("the channel has failed before")]
    Over,
    /// The counter is at its end, after 2^64 - 1 records.
    #[error("sealing record {number}, which is beyond the last one of a channel")]
    Seal {
        /// From 0, in this direction.
        number: u64,
    },
}

impl ChannelError {
    /// A fault that anybody on the network can cause is worth another try; a fault that the peer
    /// itself sealed is not.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            ChannelError::Io { .. }
            | ChannelError::Closed
            | ChannelError::Truncated { .. }
            | ChannelError::RecordLength { .. }
            | ChannelError::Record { .. }
            | ChannelError::Over
            | ChannelError::Seal { .. } => Outcome::Retry,
            ChannelError::Message { .. } | ChannelError::Sender { .. } => Outcome::Refuse,
        }
    }
}

#[cfg(test)]
mod tests;
