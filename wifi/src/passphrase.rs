//! The rule for passphrases, checked where one is typed, packed or used.

/// Is this one a passphrase? 8 to 63 printable characters of ASCII (IEEE 802.11-2020 J.4.1).
#[must_use]
pub fn is_passphrase(text: &str) -> bool {
    (8..=63).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::is_passphrase;

    #[test]
    fn eight_to_sixty_three_printable_characters() {
        for good in [
            "12345678",
            "  spaces  ",
            "\"quoted\"\\",
            &"x".repeat(63),
            "~~~~~~~~",
        ] {
            assert!(is_passphrase(good), "{good}");
        }
        for bad in [
            "",
            "1234567",
            &"x".repeat(64),
            "12345678\n",
            "tab\t12345",
            "pässword1",
            "1234567\x7f",
        ] {
            assert!(!is_passphrase(bad), "{bad:?}");
        }
    }
}
