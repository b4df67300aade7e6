//! What a passphrase can be: the one rule for where it is typed, where it is packed, and where it is used.

use thiserror::Error;

/// Shortest and longest passphrase, in characters (IEEE 802.11-2020 J.4.1).
pub const PASSPHRASE_LEN: std::ops::RangeInclusive<usize> = 8..=63;

/// Why a text is no passphrase. Never what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PassphraseError {
    /// Too short or too long.
    #[error("a passphrase has 8 to 63 characters, this one has {found}")]
    Length {
        /// Characters found.
        found: usize,
    },
    /// Not a printable character of ASCII.
    #[error(
        "character {at} of the passphrase is not one that Wi-Fi knows: letters without accents, digits, signs and blanks"
    )]
    Character {
        /// Position, from 1: it is a person who counts.
        at: usize,
    },
}

/// Can this be a passphrase? WPA3 would take more characters (RFC 8265), but hardly an access point does.
///
/// # Errors
/// It cannot.
pub fn check(text: &str) -> Result<(), PassphraseError> {
    let is_known = |char: char| char == ' ' || char.is_ascii_graphic();
    if let Some(at) = text.chars().position(|char| !is_known(char)) {
        let at = at.saturating_add(1);
        return Err(PassphraseError::Character { at });
    }
    let found = text.len(); // ASCII by now
    if PASSPHRASE_LEN.contains(&found) {
        Ok(())
    } else {
        Err(PassphraseError::Length { found })
    }
}

#[cfg(test)]
mod tests {
    use super::{PassphraseError, check};

    #[test]
    fn lengths_and_characters_are_those_of_the_standard() {
        for (text, expected) in [
            (String::new(), Err(PassphraseError::Length { found: 0 })),
            ("x".repeat(7), Err(PassphraseError::Length { found: 7 })),
            ("x".repeat(8), Ok(())),
            (" !\"\\~'$%".to_owned(), Ok(())),
            ("x".repeat(63), Ok(())),
            ("x".repeat(64), Err(PassphraseError::Length { found: 64 })),
            (
                "pässwort".to_owned(),
                Err(PassphraseError::Character { at: 2 }),
            ),
            (
                "passwor\t".to_owned(),
                Err(PassphraseError::Character { at: 8 }),
            ),
            (
                "passwor\u{7f}".to_owned(),
                Err(PassphraseError::Character { at: 8 }),
            ),
        ] {
            assert_eq!(check(&text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_error_does_not_tell_what_was_typed() {
        let error = check("hunt€r2").unwrap_err().to_string();
        assert!(
            error.contains("character 5") && !error.contains("hunt"),
            "{error}"
        );
    }
}
