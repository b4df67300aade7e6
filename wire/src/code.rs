//! The code that names a waiting target: seven characters on its screen, typed at the donor.
//!
//! In: text a person typed, a peer's bytes, or random bytes. Out: a [`Code`], which is always seven
//! of `[a-z0-9]`. The code is public (`protocol.md` 1.2): it tells machines apart and proves
//! nothing.

use crate::outcome::Outcome;
use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// Length of a code in characters, which are bytes.
pub const CODE_LEN: usize = 7;

/// The alphabet of a code: lower-case letters and digits without `0`, `o`, `1` and `l`, which
/// are read for one another on a console. (`i` may stay once `1` and `l` are gone.) 32 characters,
/// so five random bits choose one without bias.
pub const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";

/// A target's code: seven of `[a-z0-9]`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code([u8; CODE_LEN]);

/// Why a text is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CodeError {
    /// Too short or too long.
    #[error("a code has {CODE_LEN} characters, this one has {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// A byte outside `[a-z0-9]`.
    #[error("a code is made of a-z and 0-9, but byte {at} is '{}'", byte.escape_ascii())]
    Character {
        /// Position, from 0.
        at: usize,
        /// The byte at that place.
        byte: u8,
    },
}

impl CodeError {
    /// The sender is to be ignored.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        Outcome::Refuse
    }
}

impl Code {
    /// Reads a code, exactly: neither upper case nor white space is forgiven here.
    ///
    /// # Errors
    /// Anything but seven of `[a-z0-9]`.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        Self::from_bytes(text.as_bytes())
    }

    /// The same for bytes of a datagram.
    ///
    /// # Errors
    /// Anything but seven of `[a-z0-9]`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodeError> {
        let code: [u8; CODE_LEN] = bytes
            .try_into()
            .map_err(|_| CodeError::Length { found: bytes.len() })?;
        match code
            .iter()
            .enumerate()
            .find(|(_, byte)| !is_code_byte(**byte))
        {
            Some((at, &byte)) => Err(CodeError::Character { at, byte }),
            None => Ok(Self(code)),
        }
    }

    /// A fresh code from seven random bytes. Each character takes the low five bits of one byte, so
    /// every code over [`ALPHABET`] is equally likely when the bytes are.
    #[must_use]
    pub fn draw(random: [u8; CODE_LEN]) -> Self {
        // The mask keeps the index below 32; the fallback is never taken.
        Self(random.map(|byte| {
            ALPHABET
                .get(usize::from(byte & 31))
                .copied()
                .unwrap_or(b'2')
        }))
    }

    /// The seven characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // ASCII by construction; the fallback is never taken.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The seven bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; CODE_LEN] {
        &self.0
    }
}

const fn is_code_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        Self::parse(text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{ALPHABET, Code, CodeError, is_code_byte};
    extern crate std;
    use std::collections::BTreeSet;
    use std::string::ToString;

    #[test]
    fn a_code_is_read_and_shown_unchanged() {
        for text in ["e13gts2", "0000000", "zzzzzzz", "lo10lo1"] {
            assert_eq!(Code::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_lengths_are_refused_with_their_length() {
        for text in ["", "a", "e13gts", "e13gts22"] {
            assert_eq!(
                Code::parse(text),
                Err(CodeError::Length { found: text.len() })
            );
        }
    }

    #[test]
    fn every_other_byte_is_refused_at_every_position() {
        for at in 0..7 {
            for byte in 0..=255u8 {
                let mut bytes = *b"e13gts2";
                bytes[at] = byte;
                let expected = if is_code_byte(byte) {
                    Ok(bytes)
                } else {
                    Err(CodeError::Character { at, byte })
                };
                assert_eq!(
                    Code::from_bytes(&bytes).map(|code| *code.as_bytes()),
                    expected
                );
            }
        }
    }

    #[test]
    fn drawing_is_unbiased_and_avoids_look_alikes() {
        let distinct: BTreeSet<u8> = ALPHABET.iter().copied().collect();
        assert_eq!(distinct.len(), 32);
        assert!(b"0o1l".iter().all(|byte| !distinct.contains(byte)));
        // Over all 256 values of a byte each character comes up exactly eight times, at each
        // position.
        for at in 0..7 {
            let mut seen = [0u32; 256];
            for value in 0..=255u8 {
                let mut random = [0u8; 7];
                random[at] = value;
                seen[usize::from(Code::draw(random).as_bytes()[at])] += 1;
            }
            for byte in 0..=255u8 {
                assert_eq!(
                    seen[usize::from(byte)],
                    if distinct.contains(&byte) { 8 } else { 0 }
                );
            }
        }
    }

    #[test]
    fn a_drawn_code_is_a_code() {
        let code = Code::draw([0, 31, 32, 255, 7, 100, 200]);
        assert_eq!(Code::parse(code.as_str()), Ok(code));
    }
}
