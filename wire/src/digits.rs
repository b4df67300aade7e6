//! Numbers and digests as the text formats write them, each in exactly one way.

use core::fmt;

use crate::manifest::Sha256;
use crate::message::HASH_LEN;

/// A number without sign and leading zeros.
pub(crate) fn decimal(word: &[u8]) -> Option<u64> {
    match word {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] => word.iter().try_fold(0_u64, |sum, byte| {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            sum.checked_mul(10)?.checked_add(u64::from(digit))
        }),
        _ => None,
    }
}

/// 64 small hexadecimal digits.
pub(crate) fn digest(word: &[u8]) -> Option<Sha256> {
    let mut digest = [0; HASH_LEN];
    let (pairs, rest) = word.as_chunks::<2>();
    if pairs.len() != HASH_LEN || !rest.is_empty() {
        return None;
    }
    for (to, [high, low]) in digest.iter_mut().zip(pairs) {
        *to = (nibble(*high)? << 4) | nibble(*low)?;
    }
    Some(digest)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A digest in small hexadecimal digits.
#[derive(Debug)]
pub struct Hex<'a>(pub &'a Sha256);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
