//! The four messages before a session's channel (`protocol.md` 3.2): fixed fields in, fixed fields
//! out.
//!
//! In: M1 and M2 as a stranger claims them. Out: [`M1`] and [`M2`] with every field within its
//! limits, or why not; and back. This file does not judge what the fields prove; M3 and M4
//! are opaque, and here are only their lengths.

use crate::code::{CODE_LEN, Code};
use crate::outcome::Outcome;
use crate::stream::SESSION_MAGIC;
use core::fmt;
use heapless::{String, Vec};
use thiserror::Error;

/// Version of the session, in M1 and M2.
pub const VERSION: u8 = 2;
/// Random bytes that each end adds, new for each connection.
pub const NONCE_LEN: usize = 32;
/// A SPAKE2 message: a letter for the side and a point. Zeros under [`Policy::Pinned`].
pub const SPAKE_LEN: usize = 33;
/// All of M1.
pub const M1_LEN: usize = 4 + 1 + 1 + CODE_LEN + NONCE_LEN + SPAKE_LEN;
/// M2 up to and with the length of its info.
pub const M2_HEAD_LEN: usize = 4 + 1 + 1 + 1 + NONCE_LEN + 2;
/// Longest info in M2, in bytes.
pub const INFO_MAX: usize = 512;
/// Longest M2.
pub const M2_MAX: usize = M2_HEAD_LEN + INFO_MAX + SPAKE_LEN;
/// All of M3: a Noise message without payload, an ephemeral key and a tag.
pub const M3_LEN: usize = 32 + 16;
/// All of M4, likewise.
pub const M4_LEN: usize = 32 + 16;

const _: () = assert!(M1_LEN == 78 && M2_HEAD_LEN == 41);

/// The SPAKE2 field of a policy that has none.
pub const NO_SPAKE: [u8; SPAKE_LEN] = [0; SPAKE_LEN];

/// How the ends of a session know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Policy {
    /// A secret that a person carries from one screen to the other.
    Secret = 1,
    /// Keys that were handed out before.
    Pinned = 2,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Policy; 2] = [Policy::Secret, Policy::Pinned];

    /// The byte on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// As command lines call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Policy::Secret => "secret",
            Policy::Pinned => "pinned",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The cryptographic primitives. The donor chooses; M2 repeats it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Suite {
    /// `25519_ChaChaPoly_SHA256`.
    #[default]
    ChaChaPoly = 1,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Suite; 1] = [Suite::ChaChaPoly];

    /// The byte on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// Why bytes are not an M1 or M2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HelloError {
    /// The original stream, or anything else.
    #[error("the peer begins with '{}', not with SMV2", found.escape_ascii())]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A session of another time.
    #[error("the peer speaks version {found} of the session, this end version {VERSION}")]
    Version {
        /// Claimed.
        found: u8,
    },
    /// Not among [`Suite::ALL`].
    #[error("suite {found}, which there is not")]
    Suite {
        /// Claimed.
        found: u8,
    },
    /// Not among [`Policy::ALL`].
    #[error("policy {found}, which there is not")]
    Policy {
        /// Claimed.
        found: u8,
    },
    /// A byte that no code has.
    #[error("the peer asks for '{}', which is no code", found.escape_ascii())]
    Code {
        /// Claimed.
        found: [u8; CODE_LEN],
    },
    /// More than [`INFO_MAX`].
    #[error("info of {claimed} bytes; {INFO_MAX} is the most")]
    InfoLength {
        /// Claimed, or that of the text that was to be sent.
        claimed: usize,
    },
    /// Not printable ASCII.
    #[error("info has '{}' at byte {at}, which is not printable ASCII", byte.escape_ascii())]
    InfoByte {
        /// Position, from 0.
        at: usize,
        /// The byte at that place.
        byte: u8,
    },
    /// Shorter or longer than its head says.
    #[error("M2 of {found} bytes instead of {wanted}")]
    M2Length {
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        wanted: usize,
    },
}

impl HelloError {
    /// The sender is refused; its connection is closed.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        Outcome::Refuse
    }
}

/// Donor to target: whom it looks for, and its half of the key exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct M1 {
    /// The suite that the donor chooses.
    pub suite: Suite,
    /// The target it means.
    pub code: Code,
    /// Its share of this connection's randomness.
    pub nonce: [u8; NONCE_LEN],
    /// SPAKE2 message of side A, or [`NO_SPAKE`]. Unchecked.
    pub spake: [u8; SPAKE_LEN],
}

impl M1 {
    /// Reads M1.
    ///
    /// # Errors
    /// The first field that is invalid.
    pub fn parse(bytes: &[u8; M1_LEN]) -> Result<Self, HelloError> {
        let mut fields = Fields(bytes);
        let suite = fields.opening()?;
        let found = fields.array();
        Ok(Self {
            suite,
            code: Code::from_bytes(&found).map_err(|_| HelloError::Code { found })?,
            nonce: fields.array(),
            spake: fields.array(),
        })
    }

    /// The same as bytes.
    #[must_use]
    pub fn emit(&self) -> [u8; M1_LEN] {
        let mut bytes = [0; M1_LEN];
        fill(
            &mut bytes,
            &[
                &SESSION_MAGIC,
                &[VERSION, self.suite.number()],
                self.code.as_bytes(),
                &self.nonce,
                &self.spake,
            ],
        );
        bytes
    }
}

/// The target's description of itself in M2: `key=value` words. An allegation until M4 was
/// verified, and harmless to print.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info(String<INFO_MAX>);

impl Info {
    /// Takes printable ASCII of at most [`INFO_MAX`] bytes.
    ///
    /// # Errors
    /// Too long, or the first byte that does not belong.
    pub fn parse(bytes: &[u8]) -> Result<Self, HelloError> {
        let claimed = bytes.len();
        let mut info = String::new();
        for (at, &byte) in bytes.iter().enumerate() {
            if !matches!(byte, b' '..=b'~') {
                return Err(HelloError::InfoByte { at, byte });
            }
            info.push(char::from(byte))
                .map_err(|_| HelloError::InfoLength { claimed })?;
        }
        Ok(Self(info))
    }

    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of `key=`, in the first word that begins so.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0
            .split(' ')
            .filter_map(|word| word.split_once('='))
            .find_map(|(name, value)| (name == key).then_some(value))
    }
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Target to donor: who it says it is, and its half of the key exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct M2 {
    /// That of M1.
    pub suite: Suite,
    /// The policy that the target demands; there is no choice.
    pub policy: Policy,
    /// Its share of this connection's randomness.
    pub nonce: [u8; NONCE_LEN],
    /// The target's description of itself.
    pub info: Info,
    /// SPAKE2 message of side B, or [`NO_SPAKE`]. Unchecked.
    pub spake: [u8; SPAKE_LEN],
}

/// How many bytes of M2 follow its head, which is checked as far as it goes.
///
/// # Errors
/// The first field that is invalid.
pub fn m2_rest_len(head: &[u8; M2_HEAD_LEN]) -> Result<usize, HelloError> {
    let (.., info_len) = m2_head(&mut Fields(head))?;
    Ok(info_len.saturating_add(SPAKE_LEN))
}

fn m2_head(fields: &mut Fields<'_>) -> Result<(Suite, Policy, [u8; NONCE_LEN], usize), HelloError> {
    let suite = fields.opening()?;
    let [found] = fields.array();
    let policy = Policy::ALL
        .into_iter()
        .find(|policy| policy.number() == found)
        .ok_or(HelloError::Policy { found })?;
    let nonce = fields.array();
    let claimed = usize::from(u16::from_be_bytes(fields.array()));
    if claimed > INFO_MAX {
        return Err(HelloError::InfoLength { claimed });
    }
    Ok((suite, policy, nonce, claimed))
}

impl M2 {
    /// Reads all of M2.
    ///
    /// # Errors
    /// The first field that is invalid, or another length than its head says.
    pub fn parse(bytes: &[u8]) -> Result<Self, HelloError> {
        let found = bytes.len();
        let too_short = HelloError::M2Length {
            found,
            wanted: M2_HEAD_LEN.saturating_add(SPAKE_LEN),
        };
        let (head, rest) = bytes.split_first_chunk::<M2_HEAD_LEN>().ok_or(too_short)?;
        let (suite, policy, nonce, info_len) = m2_head(&mut Fields(head))?;
        let wrong = || HelloError::M2Length {
            found,
            wanted: M2_HEAD_LEN
                .saturating_add(info_len)
                .saturating_add(SPAKE_LEN),
        };
        let (info, spake) = rest.split_at_checked(info_len).ok_or_else(wrong)?;
        let spake = spake.try_into().map_err(|_| wrong())?;
        Ok(Self {
            suite,
            policy,
            nonce,
            info: Info::parse(info)?,
            spake,
        })
    }

    /// The same as bytes.
    #[must_use]
    pub fn emit(&self) -> Vec<u8, M2_MAX> {
        let info = self.info.as_str().as_bytes();
        let info_len = u16::try_from(info.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut bytes = Vec::new();
        for part in [
            &SESSION_MAGIC[..],
            &[VERSION, self.suite.number(), self.policy.number()],
            &self.nonce,
            &info_len,
            info,
            &self.spake,
        ] {
            // M2_MAX is the sum of the longest parts; it cannot fail.
            let _ = bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// Bytes of known length, read from their beginning. A field that is not there reads as zeros;
/// callers have checked the sum.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk::<N>() else {
            return [0; N];
        };
        self.0 = rest;
        *field
    }

    /// Magic, version and suite, which M1 and M2 begin with.
    fn opening(&mut self) -> Result<Suite, HelloError> {
        let found = self.array();
        if found != SESSION_MAGIC {
            return Err(HelloError::Magic { found });
        }
        let [version, suite] = self.array();
        if version != VERSION {
            return Err(HelloError::Version { found: version });
        }
        Suite::ALL
            .into_iter()
            .find(|known| known.number() == suite)
            .ok_or(HelloError::Suite { found: suite })
    }
}

/// Writes the parts one behind the other; together they are as long as `bytes`.
fn fill(bytes: &mut [u8], parts: &[&[u8]]) {
    let from = parts.iter().copied().flatten();
    for (to, from) in bytes.iter_mut().zip(from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests;
