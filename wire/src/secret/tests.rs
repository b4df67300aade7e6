use super::{ALPHABET, SECRET_LEN, Secret, SecretError, times_x, value_of};
extern crate std;
use std::collections::BTreeSet;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const RANDOM: [u8; 5] = [0x4b, 0x49, 0xae, 0x8b, 0x94];

fn shown() -> String {
    Secret::draw(RANDOM).to_string()
}

/// The nine characters without dashes.
fn plain() -> Vec<char> {
    shown().chars().filter(|c| *c != '-').collect()
}

#[test]
fn bits_go_leftmost_first() {
    for (random, characters) in [
        ([0; 5], b"00000000"),
        ([0xff; 5], b"ZZZZZZZZ"),
        ([0x08, 0, 0, 0, 0], b"10000000"),
        ([0, 0, 0, 0, 1], b"00000001"),
        ([0x00, 0x44, 0x32, 0x14, 0xc7], b"01234567"),
        (RANDOM, b"9D4TX2WM"),
    ] {
        assert_eq!(Secret::draw(random).as_bytes(), characters);
    }
}

#[test]
fn a_drawn_secret_is_shown_and_read_back() {
    assert_eq!(shown(), "9D4T-X2WM-7");
    for byte in 0..=255u8 {
        let secret = Secret::draw([byte, byte.wrapping_mul(7), !byte, 0x55, byte ^ 0x33]);
        assert_eq!(Secret::parse(&secret.to_string()), Ok(secret));
    }
}

#[test]
fn every_random_bit_counts() {
    let mut seen = BTreeSet::new();
    for bit in 0..40 {
        let mut random = RANDOM;
        random[bit / 8] ^= 1 << (bit % 8);
        assert!(seen.insert(*Secret::draw(random).as_bytes()));
    }
    assert!(!seen.contains(Secret::draw(RANDOM).as_bytes()));
}

#[test]
fn what_people_type_is_understood() {
    let secret = Secret::draw(RANDOM);
    for text in [
        "9d4t-x2wm-7",
        "9D4TX2WM7",
        "  9d4 tx2 wm7\r\n",
        "--9D4T–X2WM–7",
    ] {
        assert_eq!(Secret::parse(text).as_ref(), Ok(&secret), "{text}");
    }
    let look_alikes = Secret::draw([0x08, 0x40, 0, 0, 0x01]);
    let text = look_alikes.to_string();
    assert!(text.starts_with("1100-0001-"), "{text}");
    for (one, zero) in [('I', 'O'), ('l', 'o'), ('i', 'O'), ('L', 'o')] {
        let typed = text
            .replace('1', &one.to_string())
            .replace('0', &zero.to_string());
        assert_eq!(Secret::parse(&typed).as_ref(), Ok(&look_alikes), "{typed}");
    }
}

#[test]
fn every_single_wrong_character_is_found() {
    for at in 0..=SECRET_LEN {
        for &other in ALPHABET {
            let mut typed = plain();
            if typed[at] == char::from(other) {
                continue;
            }
            typed[at] = char::from(other);
            assert_eq!(
                Secret::parse(&typed.iter().collect::<String>()),
                Err(SecretError::Check)
            );
        }
    }
}

#[test]
fn every_two_characters_that_changed_places_are_found() {
    for first in 0..=SECRET_LEN {
        for second in first + 1..=SECRET_LEN {
            let mut typed = plain();
            assert_ne!(
                typed[first], typed[second],
                "the sample has no repeated character"
            );
            typed.swap(first, second);
            assert_eq!(
                Secret::parse(&typed.iter().collect::<String>()),
                Err(SecretError::Check)
            );
        }
    }
}

#[test]
fn the_weights_of_the_check_differ() {
    let weights: BTreeSet<u8> = core::iter::successors(Some(1), |weight| Some(times_x(*weight)))
        .take(SECRET_LEN + 1)
        .collect();
    assert_eq!(weights.len(), SECRET_LEN + 1);
    assert!(weights.iter().all(|weight| (1..32).contains(weight)));
}

#[test]
fn nine_equal_characters_are_rarely_a_secret() {
    let taken = ALPHABET
        .iter()
        .filter(|&&c| Secret::parse(&char::from(c).to_string().repeat(SECRET_LEN + 1)).is_ok());
    assert!(taken.count() <= 1);
    assert_eq!(Secret::parse("000000000"), Err(SecretError::Check));
}

#[test]
fn other_lengths_are_refused() {
    for found in (0..30).filter(|found| *found != SECRET_LEN + 1) {
        let text = "7".repeat(found);
        assert_eq!(Secret::parse(&text), Err(SecretError::Length { found }));
    }
    assert_eq!(
        Secret::parse("9D4T-X2WM-"),
        Err(SecretError::Length { found: 8 })
    );
}

#[test]
fn other_characters_are_refused_with_their_place() {
    for wrong in ['U', 'u', '!', '\0', 'é', '９'] {
        for at in 0..=SECRET_LEN {
            let mut typed = plain();
            typed[at] = wrong;
            assert_eq!(
                Secret::parse(&typed.iter().collect::<String>()),
                Err(SecretError::Character { at: at + 1 })
            );
        }
    }
}

#[test]
fn neither_debug_nor_an_error_shows_a_secret() {
    let secret = Secret::draw(RANDOM);
    assert_eq!(format!("{secret:?}"), "Secret(..)");
    for typed in ["9D4TX2WM8", "9D4TX2W!7", "9D4TX2W"] {
        let error = Secret::parse(typed).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("9D4"), "{error}");
    }
}

#[test]
fn secrets_are_equal_only_when_all_of_them_is() {
    let secret = Secret::draw(RANDOM);
    assert_eq!(secret, secret.clone());
    for bit in 0..40 {
        let mut random = RANDOM;
        random[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(secret, Secret::draw(random));
    }
}

#[test]
fn the_alphabet_is_crockfords() {
    let distinct: BTreeSet<u8> = ALPHABET.iter().copied().collect();
    assert_eq!(distinct.len(), 32);
    assert!(b"ILOU".iter().all(|byte| !distinct.contains(byte)));
    for (value, &character) in ALPHABET.iter().enumerate() {
        assert_eq!(
            value_of(char::from(character)).map(usize::from),
            Some(value)
        );
    }
}
