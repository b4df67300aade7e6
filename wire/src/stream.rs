//! The original package stream, donor to target (`protocol.md` 2):
//! `[4: name length][name][8: data length][data]` for each package, then four zero bytes.
//!
//! In: header fields as a peer claims them. Out: values within the limits below, or why not. The
//! caller reads the bytes; this file never sees a package's data, so it holds nothing that a peer
//! can make large.

use crate::outcome::Outcome;
use core::fmt;
use core::num::NonZeroU8;
use heapless::{String, Vec};
use thiserror::Error;

/// Bytes of a name length.
pub const NAME_LEN_BYTES: usize = 4;
/// Bytes of a data length.
pub const DATA_LEN_BYTES: usize = 8;
/// Longest name, in bytes.
pub const NAME_MAX: usize = 255;
/// Longest package, in bytes: 1 TiB.
pub const DATA_MAX: u64 = 1 << 40;
/// Longest header: both lengths and a name of [`NAME_MAX`].
pub const HEADER_MAX: usize = NAME_LEN_BYTES + NAME_MAX + DATA_LEN_BYTES;
/// A name length of zero ends the stream.
pub const TERMINATOR: [u8; NAME_LEN_BYTES] = [0; NAME_LEN_BYTES];
/// First four bytes of an authenticated session (`protocol.md` 3): as a name length they would be
/// far above [`NAME_MAX`].
pub const SESSION_MAGIC: [u8; 4] = *b"SMV2";
/// A peer that moves no byte for this long is given up, in seconds. Both ends use it while packages
/// are sent.
pub const STALL_SECONDS: u64 = 30;
/// A target whose donor is gone waits this long for it to come back, in seconds
/// (`protocol.md` 3.6).
pub const RESUME_SECONDS: u64 = 1800;

/// The protocol that the first four bytes of a connection announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// An authenticated session (`protocol.md` 3).
    Session,
    /// The original stream; the first package's name has this many bytes.
    Package(NonZeroU8),
    /// The original stream, and it is over already.
    Terminator,
}

impl Opening {
    /// Tells the two protocols apart. There is no negotiation: these four bytes decide.
    ///
    /// # Errors
    /// Neither protocol begins like this.
    pub fn of(first: [u8; 4]) -> Result<Self, StreamError> {
        if first == SESSION_MAGIC {
            return Ok(Self::Session);
        }
        Ok(name_len(first)?.map_or(Self::Terminator, Self::Package))
    }
}

/// Why a stream is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StreamError {
    /// A name is 1 to 255 bytes long.
    #[error("the stream claims a package name of {claimed} bytes; {NAME_MAX} is the most")]
    NameLength {
        /// Claimed by the peer.
        claimed: u64,
    },
    /// A name of no bytes, which the wire could not tell from the end of the stream.
    #[error("a package name is empty")]
    NameEmpty,
    /// A byte that no name may have there.
    #[error("a package name has '{}' at byte {at}; names are [A-Za-z0-9][A-Za-z0-9._+-]*", byte.escape_ascii())]
    NameByte {
        /// Position, from 0.
        at: usize,
        /// The byte at that place.
        byte: u8,
    },
    /// A package of no bytes.
    #[error("a package has no data")]
    DataEmpty,
    /// More than [`DATA_MAX`].
    #[error("a package of {claimed} bytes; {DATA_MAX} is the most")]
    DataLength {
        /// Claimed by the peer.
        claimed: u64,
    },
}

impl StreamError {
    /// This donor is refused; nothing has happened to a disk because of its header.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        Outcome::Refuse
    }
}

/// Length of the name that follows; `None` is the end of the stream.
///
/// # Errors
/// More than [`NAME_MAX`].
pub fn name_len(field: [u8; NAME_LEN_BYTES]) -> Result<Option<NonZeroU8>, StreamError> {
    let claimed = u32::from_be_bytes(field);
    let len = u8::try_from(claimed).map_err(|_| StreamError::NameLength {
        claimed: u64::from(claimed),
    })?;
    Ok(NonZeroU8::new(len))
}

/// Length of the data that follows, in bytes.
///
/// # Errors
/// Zero, or more than [`DATA_MAX`].
pub fn data_len(field: [u8; DATA_LEN_BYTES]) -> Result<u64, StreamError> {
    match u64::from_be_bytes(field) {
        0 => Err(StreamError::DataEmpty),
        claimed if claimed > DATA_MAX => Err(StreamError::DataLength { claimed }),
        len => Ok(len),
    }
}

/// A package's name: 1 to 255 bytes of `[A-Za-z0-9._+-]`, the first a letter or a digit. So it is a
/// plain file name, never a path, an option or a hidden file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String<NAME_MAX>);

impl PackageName {
    /// Reads a name.
    ///
    /// # Errors
    /// Its length or the first byte that does not belong.
    pub fn parse(bytes: &[u8]) -> Result<Self, StreamError> {
        if bytes.is_empty() {
            return Err(StreamError::NameEmpty);
        }
        let too_long = || StreamError::NameLength {
            claimed: bytes.len() as u64,
        };
        let mut name = String::new();
        for (at, &byte) in bytes.iter().enumerate() {
            if !(byte.is_ascii_alphanumeric() || (at > 0 && b"._+-".contains(&byte))) {
                return Err(StreamError::NameByte { at, byte });
            }
            name.push(char::from(byte)).map_err(|_| too_long())?;
        }
        Ok(Self(name))
    }

    /// As it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The package it names: without `.tar.xz` or `.tar.zst`. Names that differ only there are the
    /// same package, and a second one of those is a repeated name.
    #[must_use]
    pub fn package(&self) -> &str {
        let name = self.as_str();
        let package = name
            .strip_suffix(".tar.xz")
            .or_else(|| name.strip_suffix(".tar.zst"));
        package
            .filter(|package| !package.is_empty())
            .unwrap_or(name)
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackageName({})", self.as_str())
    }
}

/// The header before a package's data: name length, name, data length.
///
/// # Errors
/// `len_bytes` is zero or more than [`DATA_MAX`].
pub fn header(name: &PackageName, len_bytes: u64) -> Result<Vec<u8, HEADER_MAX>, StreamError> {
    let len_field = len_bytes.to_be_bytes();
    data_len(len_field)?;
    let name_bytes = name.as_str().as_bytes();
    let name_field = u32::try_from(name_bytes.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    // A PackageName fits by construction; the error is never returned.
    let too_long = |_| StreamError::NameLength {
        claimed: name_bytes.len() as u64,
    };
    let mut bytes = Vec::new();
    for part in [&name_field[..], name_bytes, &len_field[..]] {
        bytes.extend_from_slice(part).map_err(too_long)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
