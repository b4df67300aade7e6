//! The secret of a waiting target: nine characters that a person carries from its screen to the
//! donor (`protocol.md` 3.1).
//!
//! In: five random bytes, or what a person typed. Out: a [`Secret`], 40 bits as eight characters of
//! Crockford's base 32. The ninth character checks the others: a typing error is found at the
//! donor, where it costs no guess.

use crate::outcome::Outcome;
use core::fmt;
use core::str::FromStr;
use thiserror::Error;
use zeroize::Zeroize;

/// Characters of a secret that count, without the check character.
pub const SECRET_LEN: usize = 8;
/// Random bytes in a secret.
pub const RANDOM_LEN: usize = 5;
/// Crockford's base 32: digits and letters without `I`, `L`, `O` and `U`. The position is the
/// value.
pub const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The sum of all nine characters: not zero, so that nine zeros are no secret.
const SUM: u8 = 3;

/// Where a dash goes when a secret is shown.
const GROUP: usize = 4;

/// The secret that a target shows and a donor must know. It is shown by [`fmt::Display`], on the
/// target's own screen and nowhere else; [`fmt::Debug`] hides it, and dropping it wipes it.
#[derive(Clone)]
pub struct Secret([u8; SECRET_LEN]);

/// Why a text is no secret. Positions only, never what stands there: errors are logged, and this
/// text is nearly a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SecretError {
    /// Too short or too long.
    #[error("a secret has {} characters, this one has {found}", SECRET_LEN + 1)]
    Length {
        /// Characters found, dashes and blanks left out.
        found: usize,
    },
    /// None of the 32 characters, nor one that is read as such.
    #[error(
        "character {at} of the secret is neither a digit nor one of the letters in use (all but U)"
    )]
    Character {
        /// Position, from 1, dashes and blanks left out: it is a person who counts.
        at: usize,
    },
    /// The check character does not match the others.
    #[error(
        "the secret has a typing error: its last character, which checks the others, does not match them"
    )]
    Check,
}

impl SecretError {
    /// The person may type it again.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        Outcome::Refuse
    }
}

impl Secret {
    /// A fresh secret from five random bytes, most significant bits first. Every secret is equally
    /// likely when the bytes are.
    #[must_use]
    pub fn draw(random: [u8; RANDOM_LEN]) -> Self {
        let bits = random
            .into_iter()
            .fold(0u64, |bits, byte| bits << 8 | u64::from(byte));
        let mut characters = [0; SECRET_LEN];
        // The leftmost five of 40 bits first.
        for (character, shift) in characters.iter_mut().zip((0..=35).rev().step_by(5)) {
            *character = character_of((bits >> shift & 31) as u8);
        }
        Self(characters)
    }

    /// Reads what a person typed: capital or small letters, dashes and white space anywhere, `O`
    /// for `0`, `I` and `L` for `1`. The check character is looked at before anything is made of
    /// the others.
    ///
    /// # Errors
    /// Another number of characters, one that no secret has, or a typing error that the check
    /// character shows.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let typed = || {
            text.chars()
                .filter(|c| !matches!(c, '-' | '\u{2010}'..='\u{2015}') && !c.is_whitespace())
        };
        let found = typed().count();
        if found != SECRET_LEN + 1 {
            return Err(SecretError::Length { found });
        }
        let mut secret = Self([0; SECRET_LEN]);
        let mut claimed = 0;
        for (at, character) in typed().enumerate() {
            let value = value_of(character).ok_or(SecretError::Character {
                at: at.saturating_add(1),
            })?;
            match secret.0.get_mut(at) {
                Some(place) => *place = character_of(value),
                None => claimed = character_of(value),
            }
        }
        if secret.check_character() == claimed {
            Ok(secret)
        } else {
            Err(SecretError::Check)
        }
    }

    /// The eight characters in capitals, without dash and check character: what goes into the
    /// handshake.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SECRET_LEN] {
        &self.0
    }

    /// The ninth character.
    ///
    /// Values are elements of GF(32), x^5 + x^2 + 1; character i, from 0, weighs x^(8 - i), the
    /// check character weighs 1, and the sum is [`SUM`]. The weights differ, so every single wrong
    /// character and every two that changed places are found.
    fn check_character(&self) -> u8 {
        let sum = self.0.iter().fold(0, |sum, &character| {
            times_x(sum ^ value_of(char::from(character)).unwrap_or(0))
        });
        character_of(sum ^ SUM)
    }
}

/// `x * value` in GF(32).
const fn times_x(value: u8) -> u8 {
    let doubled = value << 1;
    if doubled & 32 == 0 {
        doubled
    } else {
        doubled ^ 0b10_0101
    }
}

fn character_of(value: u8) -> u8 {
    // The mask keeps the index below 32; the fallback is never taken.
    ALPHABET
        .get(usize::from(value & 31))
        .copied()
        .unwrap_or(b'0')
}

fn value_of(character: char) -> Option<u8> {
    let character = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let at = ALPHABET
        .iter()
        .position(|&known| char::from(known) == character)?;
    u8::try_from(at).ok()
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        Self::parse(text)
    }
}

/// As a screen shows it: `9D4T-X2WM-7`.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for (at, &character) in self.0.iter().enumerate() {
            if at == GROUP {
                f.write_char('-')?;
            }
            f.write_char(char::from(character))?;
        }
        write!(f, "-{}", char::from(self.check_character()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// In the same time wherever they differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let differs = self.0.iter().zip(&other.0).fold(0, |d, (a, b)| d | (a ^ b));
        differs == 0
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests;
