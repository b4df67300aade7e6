//! SHA-256 of files and of their chunks, both in one reading.
//!
//! In: an open file. Out: its hash and one for each chunk; memory is two chunks whatever its
//! length.

use std::fmt::Write;
use std::io::{self, Read};
use std::thread;

use sha2::{Digest, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];

/// The hash of these bytes.
#[must_use]
pub fn of(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// As people compare it.
#[must_use]
pub fn hex(hash: &Hash) -> String {
    let mut text = String::with_capacity(64);
    for byte in hash {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The result of a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Of all bytes.
    pub whole: Hash,
    /// Of each chunk.
    pub chunks: Vec<Hash>,
    /// Bytes of every chunk but the last.
    pub chunk_bytes: u32,
    /// How many bytes there were.
    pub len_bytes: u64,
}

/// Reads to the end; `step` receives the number of bytes of every chunk.
///
/// Every byte is hashed twice, for the file and for its chunk; the two go to two processors, which
/// halves the wait on those that have no instruction for it.
///
/// # Errors
/// Those of reading, and the byte they came at.
pub fn file(
    mut from: impl Read,
    chunk_bytes: u32,
    step: &mut dyn FnMut(u64),
) -> Result<Hashed, (u64, io::Error)> {
    let mut whole = Sha256::new();
    let (mut chunks, mut len_bytes) = (Vec::new(), 0u64);
    let mut bytes = Vec::with_capacity(chunk_bytes as usize);
    loop {
        bytes.clear();
        (&mut from)
            .take(u64::from(chunk_bytes))
            .read_to_end(&mut bytes)
            .map_err(|error| (len_bytes, error))?;
        if bytes.is_empty() {
            return Ok(Hashed {
                whole: whole.finalize().into(),
                chunks,
                chunk_bytes,
                len_bytes,
            });
        }
        let chunk = thread::scope(|scope| {
            let other = scope.spawn(|| whole.update(&bytes));
            let chunk = of(&bytes);
            other.join().map(|()| chunk)
        });
        // The other thread has nothing to panic about.
        chunks.push(chunk.map_err(|_| (len_bytes, io::Error::other("hashing panicked")))?);
        len_bytes = len_bytes.saturating_add(bytes.len() as u64);
        step(bytes.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::{file, hex, of};

    #[test]
    fn hashes_are_those_of_sha256sum() {
        // printf abcdefgh | sha256sum; printf abcde | sha256sum; printf fgh | sha256sum
        let mut steps = Vec::new();
        let hashed = file(&b"abcdefgh"[..], 5, &mut |bytes| steps.push(bytes)).unwrap();
        assert_eq!(
            hex(&hashed.whole),
            "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab"
        );
        assert_eq!(hashed.chunks, [of(b"abcde"), of(b"fgh")]);
        assert_eq!(
            hex(&of(b"abcde")),
            "36bbe50ed96841d10443bcb670d6554f0a34b761be67ec9c4a8ad2c0c44ca42c"
        );
        assert_eq!((hashed.len_bytes, steps), (8, vec![5, 3]));
    }

    #[test]
    fn nothing_has_no_chunks() {
        let hashed = file(&b""[..], 5, &mut |_| ()).unwrap();
        assert_eq!((hashed.chunks.len(), hashed.whole), (0, of(b"")));
    }
}
