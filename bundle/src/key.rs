//! Which key has signed something: minisign's own number of it, out of a public key or a signature.
//!
//! The number alone proves nothing. It names a key that [`trust`](crate::trust) has verified a
//! signature with, or says whose floor to look up.

use ct_codecs::{Base64, Decoder};
use wire::ledger::KeyId;

/// Bytes in front of the number: the algorithm.
const ALGORITHM_LEN: usize = 2;
/// Longest of the two structures: a signature of 64 bytes with algorithm and number.
const LEN_MAX: usize = ALGORITHM_LEN + 8 + 64;

/// Of a public key in base64, one line.
#[must_use]
pub fn of_public_key(base64: &str) -> Option<KeyId> {
    let mut bytes = [0; LEN_MAX];
    let bytes = Base64::decode(&mut bytes, base64, None).ok()?;
    let number = bytes.get(ALGORITHM_LEN..)?.first_chunk::<8>()?;
    Some(KeyId(u64::from_le_bytes(*number)))
}

/// The key that a signature file claims to be made with. Nothing is verified.
#[must_use]
pub fn claimed_by_signature(file: &[u8]) -> Option<KeyId> {
    let text = str::from_utf8(file).ok()?;
    of_public_key(text.lines().nth(1)?)
}

#[cfg(test)]
mod tests {
    use super::{claimed_by_signature, of_public_key};
    use wire::ledger::KeyId;

    const SIGNATURE: &[u8] = include_bytes!("../tests/golden/signed.manifest.minisig");
    const PUBLIC: &str = include_str!("../tests/golden/signed.manifest.pub");

    #[test]
    fn key_and_signature_have_the_number_that_minisign_shows() {
        let key = PUBLIC.lines().last().unwrap();
        let id = of_public_key(key).unwrap();
        assert_eq!(claimed_by_signature(SIGNATURE), Some(id));
        let comment = PUBLIC.lines().next().unwrap();
        assert!(comment.ends_with(&id.to_string()), "{comment}: {id}");
    }

    #[test]
    fn anything_else_names_no_key() {
        for text in ["", "RWQ", "not base64!", "RWQAAAAA"] {
            assert_eq!(of_public_key(text), None, "{text}");
        }
        for file in [&b""[..], b"one line\n", b"\xFF\n\xFF\n"] {
            assert_eq!(claimed_by_signature(file), None);
        }
        assert_eq!(of_public_key("RWQAAAAAAAAAAA=="), Some(KeyId(0)));
    }
}
