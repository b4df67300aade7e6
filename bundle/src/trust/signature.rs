//! A minisign signature, taken strictly: what nobody has signed may not vary.
//!
//! minisign's format leaves room that the signature does not cover: its first line, line ends, what
//! follows the fourth line. Here a signature file is four lines that end in LF, and the first is
//! one of the two that the tools write by default. So no byte of it can be changed without being
//! noticed, and one signature has one form.

use minisign_verify::{Error, PublicKey, Signature};
use thiserror::Error;

/// What minisign(1) writes, and what the `minisign` crate does.
const FIRST_LINES: [&str; 2] = [
    "untrusted comment: signature from minisign secret key",
    "untrusted comment: signature from rsign secret key",
];
/// Lines of a signature file.
const LINES: usize = 4;

/// A signature vouches for nothing.
#[derive(Debug, Error)]
pub enum SignatureError {
    /// Not text.
    #[error("the signature is not text, at byte {at}")]
    NotText {
        /// Offset in bytes of the first one that is not UTF-8.
        at: usize,
    },
    /// Not four lines.
    #[error("the signature is not made of {LINES} lines that end in a line feed")]
    Lines,
    /// A comment that is neither signed nor expected.
    #[error("the signature's first line is not {:?}; sign without a comment of that kind (minisign -c)", FIRST_LINES[0])]
    Comment,
    /// Not a signature.
    #[error("decoding the signature")]
    Format(#[source] Error),
    /// A key that is not trusted.
    #[error("it was signed with none of the trusted keys")]
    UnknownKey,
    /// Of other bytes, of another form, or no signature at all.
    #[error("the signature does not belong to this manifest")]
    Wrong(#[source] Error),
}

/// The key, of those given, that has signed exactly these bytes.
pub(super) fn verify<'k, Name>(
    bytes: &[u8],
    signature: &[u8],
    keys: impl Iterator<Item = (&'k PublicKey, Name)>,
) -> Result<Name, SignatureError> {
    let text = std::str::from_utf8(signature).map_err(|error| SignatureError::NotText {
        at: error.valid_up_to(),
    })?;
    let is_whole = text.ends_with('\n') && !text.contains('\r');
    if !is_whole || text.bytes().filter(|byte| *byte == b'\n').count() != LINES {
        return Err(SignatureError::Lines);
    }
    if !text
        .lines()
        .next()
        .is_some_and(|line| FIRST_LINES.contains(&line))
    {
        return Err(SignatureError::Comment);
    }
    let signature = Signature::decode(text).map_err(SignatureError::Format)?;
    let mut reason = SignatureError::UnknownKey;
    for (key, name) in keys {
        // The older form, which signs the bytes and not their hash, is not allowed.
        match key.verify(bytes, &signature, false) {
            Ok(()) => return Ok(name),
            Err(Error::UnexpectedKeyId) => {}
            Err(error) => reason = SignatureError::Wrong(error),
        }
    }
    Err(reason)
}
