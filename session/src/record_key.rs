//! ChaCha20-Poly1305 as Noise numbers it (Noise 12.3), over `ring`: plaintext in, ciphertext and
//! tag out, in the same place.
//!
//! The two keys of a channel are of this type, and `noise` hands the same cipher to snow for the
//! handshake.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Bytes of a tag.
pub(crate) const TAG_LEN: usize = 16;
/// Bytes of a key.
pub(crate) const KEY_LEN: usize = 32;

/// The key of one direction. It seals each number once, which its caller sees to by counting.
pub(crate) struct RecordKey(LessSafeKey);

impl RecordKey {
    /// `None` only if `ring` refuses a key of 32 bytes, which it does not.
    pub(crate) fn new(bytes: &[u8; KEY_LEN]) -> Option<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// The keys that a finished handshake ends in: donor to target, target to donor.
    pub(crate) fn pair(state: &mut snow::HandshakeState) -> Option<(Self, Self)> {
        if !state.is_handshake_finished() {
            return None;
        }
        let (from_donor, from_target) = state.dangerously_get_raw_split();
        let from_donor = Zeroizing::new(from_donor);
        let from_target = Zeroizing::new(from_target);
        Some((Self::new(&from_donor)?, Self::new(&from_target)?))
    }

    /// Encrypts `text` in place; the tag belongs behind it. `None` for the last number, which Noise
    /// reserves (Noise 5.1), and for more text than the cipher takes.
    pub(crate) fn seal(
        &self,
        number: u64,
        authenticated: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; TAG_LEN]> {
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce(number)?, Aad::from(authenticated), text)
            .ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts a text in place that has its tag behind it. `None` if it was not sealed with this
    /// key under this number; what is in the buffer then means nothing.
    pub(crate) fn open<'a>(
        &self,
        number: u64,
        authenticated: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        let aad = Aad::from(authenticated);
        let opened = self.0.open_in_place(nonce(number)?, aad, sealed);
        opened.ok().map(|plain| &*plain)
    }
}

/// 32 bits of zeros, then the number with its lowest byte first (Noise 12.3).
fn nonce(number: u64) -> Option<Nonce> {
    if number == u64::MAX {
        return None;
    }
    let mut bytes = [0; 12];
    let (_, counter) = bytes.split_last_chunk_mut::<8>()?;
    *counter = number.to_le_bytes();
    Some(Nonce::assume_unique_for_key(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 8439 have nonces that Noise never makes. These bytes are those of
    /// Python's `cryptography` 46 (OpenSSL) for key 00..1f and nonce 00000000 0700000000000000.
    #[test]
    fn same_bytes_as_another_implementation() {
        let bytes: Vec<u8> = (0..32).collect();
        let key = RecordKey::new(&bytes.try_into().unwrap()).unwrap();
        let mut text = *b"a record of the channel";
        let tag = key.seal(7, b"", &mut text).unwrap();
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        assert_eq!(hex(&text), "902ff62d418708ed4259281388e075ba51f5c32f9f8865");
        assert_eq!(hex(&tag), "4c361e2d7066a44aa1317fe13a7bd09f");
    }

    #[test]
    fn the_last_number_is_never_used() {
        let key = RecordKey::new(&[1; KEY_LEN]).unwrap();
        assert!(key.seal(u64::MAX, b"", &mut [0; 4]).is_none());
        assert!(key.open(u64::MAX, b"", &mut [0; 20]).is_none());
        assert!(key.seal(u64::MAX - 1, b"", &mut [0; 4]).is_some());
    }

    #[test]
    fn another_number_key_or_byte_does_not_open() {
        let key = RecordKey::new(&[1; KEY_LEN]).unwrap();
        let mut sealed = b"text".to_vec();
        let tag = key.seal(3, b"with", &mut sealed).unwrap();
        sealed.extend_from_slice(&tag);
        let opens = |key: &RecordKey, number, with: &[u8], sealed: &[u8]| {
            let mut copy = sealed.to_vec();
            key.open(number, with, &mut copy).map(<[u8]>::to_vec)
        };
        assert_eq!(opens(&key, 3, b"with", &sealed).unwrap(), b"text");
        assert_eq!(opens(&key, 4, b"with", &sealed), None);
        assert_eq!(opens(&key, 3, b"", &sealed), None);
        let other = RecordKey::new(&[2; KEY_LEN]).unwrap();
        assert_eq!(opens(&other, 3, b"with", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(opens(&key, 3, b"with", &changed), None, "byte {at}");
        }
        for len in 0..sealed.len() {
            assert_eq!(opens(&key, 3, b"with", &sealed[..len]), None, "{len} bytes");
        }
    }
}
