//! The messages inside a session's sealed channel (`protocol.md` 3.3):
//! `kind (1) length (4) payload`.
//!
//! In: a header's five bytes, then a payload that its kind allows. Out: a [`Message`] that borrows
//! from it, or why not; and back as [`Emitted`]: a few bytes of fields, then the caller's own
//! bytes, nothing copied. What a peer claims is within the limits below before anybody makes room
//! for it.

mod disk;
mod emit;
mod error;
mod kind;
mod parse;
mod text;

use core::fmt;

use crate::stage::Stage;

pub use disk::{CONTENTS_MAX, Disk, MODEL_MAX, PATH_MAX, SERIAL_MAX, TRANSPORT_MAX};
pub use emit::Emitted;
pub use error::MessageError;
pub use kind::{End, Header, Kind};
pub use text::Text;

/// Bytes before a payload: kind and length.
pub const HEADER_LEN: usize = 5;
/// Longest manifest, in bytes.
pub const MANIFEST_MAX: usize = 1 << 20;
/// Longest signature: a whole `.minisig` file with its comments, in bytes.
pub const SIGNATURE_MAX: usize = 1024;
/// Chunks of all files of one manifest.
pub const CHUNKS_MAX: u32 = 65_536;
/// Bytes of one chunk's hash (SHA-256).
pub const HASH_LEN: usize = 32;
/// Longest chunk lists, all files together, in bytes.
pub const CHUNK_LISTS_MAX: usize = CHUNKS_MAX as usize * HASH_LEN;
/// Longest chunk, in bytes.
pub const CHUNK_MAX: usize = 1 << 20;
/// Longest reason in [`Message::Reject`], [`Message::Failed`] and [`Message::GiveUp`], in bytes.
pub const REASON_MAX: usize = 4096;
/// Longest line in [`Message::Log`], in bytes.
pub const LINE_MAX: usize = 1024;

/// Fields of [`Message::Accept`]: place, flags, size, and the length of each text but the last.
const ACCEPT_FIELDS: usize = 2 + 4 + 1 + 8 + 4 * 2;
/// Flag of [`Message::Accept`]: nothing of value is on the disk.
const BLANK: u8 = 1;
/// Flag of [`Message::Accept`]: nothing is written before the donor agrees.
const ASKS: u8 = 2;
/// Fields of [`Message::Data`] before the chunk's bytes.
const DATA_FIELDS: usize = 2 + 4 + 1;
/// Fields of [`Message::Progress`].
const PROGRESS_LEN: usize = 1 + 2 + 4 + 8 + 8;
/// Flag of [`Message::Data`]: the last chunk of its file.
const LAST: u8 = 1;

/// A place in what a manifest announces: this chunk is wanted next, everything before it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Next {
    /// Number of the file, from 0 in the manifest's order; as many as there are files: nothing is
    /// wanted any more.
    pub file: u16,
    /// Number of the chunk within it, from 0.
    pub chunk: u32,
}

/// Why a manifest is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum RejectCode {
    /// The manifest, its signature or its chunk lists.
    Manifest = 1,
    /// No disk may be taken, or none is large enough.
    NoDisk = 2,
    /// Another deploy took this one's place.
    Superseded = 3,
    /// A deploy is under way that cannot be given up any more.
    Busy = 4,
    /// The target itself is in trouble.
    Internal = 5,
    /// The target only shows what it would do.
    DryRun = 6,
}

impl RejectCode {
    /// Every code.
    pub const ALL: [RejectCode; 6] = [
        RejectCode::Manifest,
        RejectCode::NoDisk,
        RejectCode::Superseded,
        RejectCode::Busy,
        RejectCode::Internal,
        RejectCode::DryRun,
    ];
}

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something ended.
    Error = 1,
    /// It goes on with less.
    Warning = 2,
    /// For those who watch.
    Info = 3,
}

impl Level {
    /// Every level.
    pub const ALL: [Level; 3] = [Level::Error, Level::Warning, Level::Info];
}

/// The action of a machine after a deploy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum After {
    /// Straight into the installed kernel.
    Kexec = 1,
    /// Through the firmware into the disk.
    #[default]
    Reboot = 2,
    /// Off, for a machine that is deployed here and used elsewhere.
    Poweroff = 3,
}

impl After {
    /// Every choice.
    pub const ALL: [After; 3] = [After::Kexec, After::Reboot, After::Poweroff];

    /// The word on command lines, on the console (`how=`) and in events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            After::Kexec => "kexec",
            After::Reboot => "reboot",
            After::Poweroff => "poweroff",
        }
    }

    /// Reads [`After::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|after| after.word() == word)
    }

    /// As an order on the wire; 0 leaves the choice to the target's own command line.
    const fn order(after: Option<Self>) -> u8 {
        match after {
            None => 0,
            Some(after) => after as u8,
        }
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The donor's answer to the disk it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Answer {
    /// A person is being asked.
    Asking = 0,
    /// The disk may be taken, whatever is on it.
    Yes = 1,
}

impl Answer {
    /// Every answer; who does not agree gives up.
    pub const ALL: [Answer; 2] = [Answer::Asking, Answer::Yes];
}

/// One message; see [`Kind`] for who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Unchecked: only `bundle::trust` may believe it.
    Manifest {
        /// Its exact bytes.
        manifest: &'a [u8],
        /// The whole `.minisig` file; empty when unsigned.
        signature: &'a [u8],
        /// [`HASH_LEN`] bytes for each chunk, file after file.
        chunk_lists: &'a [u8],
    },
    /// The target is ready.
    Accept {
        /// Where to begin, or go on.
        next: Next,
        /// The donor has to agree before anything is written; it has already when this is `false`.
        asks: bool,
        /// The disk that is taken.
        disk: Disk<'a>,
    },
    /// The target closes after it.
    Reject {
        /// For programs.
        code: RejectCode,
        /// For people.
        text: Text<'a>,
    },
    /// Unchecked bytes of a file.
    Data {
        /// The place that it claims.
        place: Next,
        /// Is it the last one of its file?
        is_last: bool,
        /// At most [`CHUNK_MAX`].
        bytes: &'a [u8],
    },
    /// Where the target is.
    Progress {
        /// The stage that it has entered.
        stage: Stage,
        /// All before it is acknowledged.
        next: Next,
        /// Bytes of packages since the deploy began.
        received_bytes: u64,
        /// Bytes unpacked from them.
        unpacked_bytes: u64,
    },
    /// One line.
    Log {
        /// How important.
        level: Level,
        /// The line.
        text: Text<'a>,
    },
    /// The target closes after it.
    Failed {
        /// The chain of reasons, outermost first.
        text: Text<'a>,
    },
    /// The disk is complete.
    Installed {
        /// SHA-256 of the manifest's bytes.
        manifest_sha256: [u8; HASH_LEN],
    },
    /// The donor's last word.
    Boot {
        /// The target's action now; `None`: as its command line says.
        after: Option<After>,
    },
    /// About the disk in [`Message::Accept`].
    Consent {
        /// Yes, or not yet.
        answer: Answer,
    },
    /// The target waits for another donor then.
    GiveUp {
        /// The reason, for a person.
        text: Text<'a>,
    },
}

impl<'a> Message<'a> {
    /// Reads the payload of a message of this kind.
    ///
    /// # Errors
    /// Anything that [`Message::emit`] would not have written.
    pub fn parse(kind: Kind, payload: &'a [u8]) -> Result<Self, MessageError> {
        parse::parse(kind, payload)
    }

    /// The type of the message.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Message::Manifest { .. } => Kind::Manifest,
            Message::Accept { .. } => Kind::Accept,
            Message::Reject { .. } => Kind::Reject,
            Message::Data { .. } => Kind::Data,
            Message::Progress { .. } => Kind::Progress,
            Message::Log { .. } => Kind::Log,
            Message::Failed { .. } => Kind::Failed,
            Message::Installed { .. } => Kind::Installed,
            Message::Boot { .. } => Kind::Boot,
            Message::Consent { .. } => Kind::Consent,
            Message::GiveUp { .. } => Kind::GiveUp,
        }
    }

    /// The message as it goes over the wire, header included. A text that is too long is cut.
    ///
    /// # Errors
    /// A manifest, signature, chunk list or chunk outside the limits.
    pub fn emit(&self) -> Result<Emitted<'a>, MessageError> {
        emit::emit(self)
    }
}

fn within(kind: Kind, field: &'static str, bytes: &[u8], max: usize) -> Result<(), MessageError> {
    if bytes.len() > max {
        return Err(MessageError::Part {
            kind,
            field,
            claimed: bytes.len(),
            max,
        });
    }
    Ok(())
}

fn check_manifest(manifest: &[u8], chunk_lists: &[u8]) -> Result<(), MessageError> {
    if manifest.is_empty() {
        return Err(MessageError::Empty {
            kind: Kind::Manifest,
            field: "manifest",
        });
    }
    if !chunk_lists.len().is_multiple_of(HASH_LEN) {
        return Err(MessageError::HalfHash {
            len_bytes: chunk_lists.len(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
