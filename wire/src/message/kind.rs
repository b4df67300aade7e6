//! The kinds of messages: their numbers, who says them, how long they may be; and the header that
//! names one.

use core::fmt;

use super::MessageError;
use super::disk::{CONTENTS_MAX, MODEL_MAX, PATH_MAX, SERIAL_MAX, TRANSPORT_MAX};
use super::{
    ACCEPT_FIELDS, CHUNK_LISTS_MAX, CHUNK_MAX, DATA_FIELDS, HASH_LEN, HEADER_LEN, LINE_MAX,
    MANIFEST_MAX, PROGRESS_LEN, REASON_MAX, SIGNATURE_MAX,
};

/// One end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Sends an image.
    Donor,
    /// Takes it.
    Target,
}

/// The kinds of messages; the numbers go on where the handshake's M1 to M4 end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The manifest of the image to come.
    Manifest = 5,
    /// It will be taken, from this chunk on.
    Accept = 6,
    /// It will not.
    Reject = 7,
    /// One chunk.
    Data = 8,
    /// Where the target is.
    Progress = 9,
    /// A line for the donor's terminal.
    Log = 10,
    /// The deploy failed.
    Failed = 11,
    /// The deploy is committed.
    Installed = 12,
    /// The order for the action after the deploy.
    Boot = 13,
    /// The donor agrees to this disk, or is still making up its mind.
    Consent = 14,
    /// The donor will send no more, ever.
    GiveUp = 15,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Kind; 11] = [
        Kind::Manifest,
        Kind::Accept,
        Kind::Reject,
        Kind::Data,
        Kind::Progress,
        Kind::Log,
        Kind::Failed,
        Kind::Installed,
        Kind::Boot,
        Kind::Consent,
        Kind::GiveUp,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The end that may send it.
    #[must_use]
    pub const fn sender(self) -> End {
        match self {
            Kind::Manifest | Kind::Data | Kind::Boot | Kind::Consent | Kind::GiveUp => End::Donor,
            Kind::Accept
            | Kind::Reject
            | Kind::Progress
            | Kind::Log
            | Kind::Failed
            | Kind::Installed => End::Target,
        }
    }

    /// Longest payload, in bytes.
    #[must_use]
    pub const fn payload_max(self) -> usize {
        match self {
            Kind::Manifest => 4 + MANIFEST_MAX + 2 + SIGNATURE_MAX + CHUNK_LISTS_MAX,
            Kind::Accept => {
                ACCEPT_FIELDS + PATH_MAX + SERIAL_MAX + MODEL_MAX + TRANSPORT_MAX + CONTENTS_MAX
            }
            Kind::Reject => 2 + REASON_MAX,
            Kind::Data => DATA_FIELDS + CHUNK_MAX,
            Kind::Progress => PROGRESS_LEN,
            Kind::Log => 1 + LINE_MAX,
            Kind::Failed => REASON_MAX,
            Kind::Installed => HASH_LEN,
            Kind::Boot | Kind::Consent => 1,
            Kind::GiveUp => REASON_MAX,
        }
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A message's kind and the length of the payload that follows, which its kind allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kind of the message that follows.
    pub kind: Kind,
    /// Bytes of payload, at most [`Kind::payload_max`].
    pub len_bytes: usize,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// No such kind, or longer than the kind allows.
    pub fn parse(field: [u8; HEADER_LEN]) -> Result<Self, MessageError> {
        let [number, length @ ..] = field;
        let kind = Kind::of(number).ok_or(MessageError::Kind { number })?;
        let claimed = u32::from_be_bytes(length);
        let len_bytes = usize::try_from(claimed).unwrap_or(usize::MAX);
        if len_bytes > kind.payload_max() {
            return Err(MessageError::Length { kind, claimed });
        }
        Ok(Self { kind, len_bytes })
    }
}
