//! Pinned keys: an X25519 key pair at each end, handed out before (`protocol.md` 3.1).
//!
//! In: the text of a key file. Out: [`PinnedKeys`], this end's private key and the other's public
//! one; and back. Two files belong together: one is for the donor, the other goes into the target's
//! image.
//!
//! ```text
//! # spk-visor: keys of the donor's end. Private: the holder of this file is this donor.
//! smechvisor-keys 1
//! end donor
//! private 0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20
//! peer 5714769d116bf76436ae74bc793d2c30ad1903c59ac5273805c7e2698b410c36
//! ```
//!
//! Lines that are empty or begin with `#` say nothing; keys are 32 bytes in hexadecimal.

use std::fmt::{self, Write as _};

use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use thiserror::Error;
use wire::message::End;
use wire::outcome::Outcome;
use zeroize::Zeroizing;

use crate::randomness::RandomError;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Longest key file that is worth reading, in bytes.
pub const FILE_MAX: usize = 4096;

/// The first line that says something.
pub const TITLE: &str = "smechvisor-keys 1";

/// A public key: everybody may see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; KEY_LEN]);

/// This end's private key and the other end's public one. [`fmt::Debug`] hides the private one,
/// dropping wipes it.
#[derive(Clone)]
pub struct PinnedKeys {
    end: End,
    private: Zeroizing<[u8; KEY_LEN]>,
    own: PublicKey,
    peer: PublicKey,
}

/// Why a text is no key file, or why none could be made. It never quotes the text, which may be a
/// private key.
#[derive(Clone, Copy, Debug, Error)]
pub enum KeysError {
    /// Another kind of file.
    #[error("this is no key file: its first line is not `{TITLE}`")]
    Title,
    /// A line is missing or another stands in its place.
    #[error("line {line} of the key file should be `{wanted}`")]
    Line {
        /// From 1; one more than there are when the file ends too early.
        line: usize,
        /// The expected text.
        wanted: &'static str,
    },
    /// Not 64 hexadecimal digits.
    #[error("the key in line {line} of the key file is not {} hexadecimal digits", KEY_LEN * 2)]
    Digits {
        /// From 1.
        line: usize,
    },
    /// A public key that did not come from a key file.
    #[error("a public key has {} hexadecimal digits", KEY_LEN * 2)]
    PublicKey,
    /// Lines behind the last one.
    #[error("line {line} of the key file is one too many")]
    Surplus {
        /// From 1.
        line: usize,
    },
    /// Private and public key belong to each other: both ends' files were mixed up.
    #[error("the peer's key in the key file is this end's own")]
    OwnPeer,
    /// The donor was given the target's file, or the reverse.
    #[error("this key file is for the {}, and the {}'s is needed", name(*found), name(*wanted))]
    OtherEnd {
        /// The end that they belong to.
        found: End,
        /// The end whose keys are needed.
        wanted: End,
    },
    /// No random numbers to make keys of.
    #[error("making keys")]
    Random(#[from] RandomError),
    /// The cryptography has no X25519: never in our own builds.
    #[error("making keys: no X25519")]
    NoCurve,
}

impl KeysError {
    /// A bad key file is refused: its owner has to give another one.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            KeysError::Random(_) | KeysError::NoCurve => Outcome::Fatal,
            _ => Outcome::Refuse,
        }
    }
}

const fn name(end: End) -> &'static str {
    match end {
        End::Donor => "donor",
        End::Target => "target",
    }
}

impl PublicKey {
    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl PinnedKeys {
    /// New keys for both ends: the donor's, and the target's.
    ///
    /// # Errors
    /// No random numbers.
    pub fn draw() -> Result<(Self, Self), KeysError> {
        let donor = draw_private()?;
        let target = draw_private()?;
        let donor_public = public_key(&donor)?;
        let target_public = public_key(&target)?;
        Ok((
            Self {
                end: End::Donor,
                private: donor,
                own: donor_public,
                peer: target_public,
            },
            Self {
                end: End::Target,
                private: target,
                own: target_public,
                peer: donor_public,
            },
        ))
    }

    /// Reads a key file of either end.
    ///
    /// # Errors
    /// The first line that is not as it should be.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut lines = Lines {
            rest: text.lines(),
            line: 0,
        };
        if lines.next().is_none_or(|line| line != TITLE) {
            return Err(KeysError::Title);
        }
        let end = match lines.value("end ", "end donor`, or `end target")? {
            "donor" => End::Donor,
            "target" => End::Target,
            _ => {
                return Err(KeysError::Line {
                    line: lines.line,
                    wanted: "end donor`, or `end target",
                });
            }
        };
        let private = lines.key("private ", "private KEY")?;
        let peer = PublicKey(*lines.key("peer ", "peer KEY")?);
        if lines.next().is_some() {
            return Err(KeysError::Surplus { line: lines.line });
        }
        let own = public_key(&private)?;
        if own == peer {
            return Err(KeysError::OwnPeer);
        }
        Ok(Self {
            end,
            private,
            own,
            peer,
        })
    }

    /// These keys, if they are those of this end.
    ///
    /// # Errors
    /// They are the other's.
    pub fn for_end(self, wanted: End) -> Result<Self, KeysError> {
        if self.end == wanted {
            Ok(self)
        } else {
            Err(KeysError::OtherEnd {
                found: self.end,
                wanted,
            })
        }
    }

    /// These keys with another peer's public key, in hexadecimal.
    ///
    /// # Errors
    /// It is not a public key, or it is this end's own.
    pub fn with_peer(self, digits: &str) -> Result<Self, KeysError> {
        let peer = PublicKey(*key(digits).ok_or(KeysError::PublicKey)?);
        if self.own == peer {
            return Err(KeysError::OwnPeer);
        }
        Ok(Self { peer, ..self })
    }

    /// The text of its key file, for a file that only its owner may read.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let end = name(self.end);
        // Room for all of it, so that no half copy stays behind where the text grew.
        let mut text = Zeroizing::new(String::with_capacity(FILE_MAX));
        text.push_str("# spk-visor: keys of the ");
        text.push_str(end);
        text.push_str("'s end. Private: the holder of this file is this ");
        text.push_str(end);
        text.push_str(".\n");
        text.push_str(TITLE);
        // Writing to a String does not fail.
        let _ = write!(text, "\nend {end}\nprivate ");
        for byte in self.private.iter() {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = writeln!(text, "\npeer {}", self.peer);
        text
    }

    /// The end that they belong to.
    #[must_use]
    pub const fn end(&self) -> End {
        self.end
    }

    /// This end's public key.
    #[must_use]
    pub const fn own(&self) -> &PublicKey {
        &self.own
    }

    /// The other end's.
    #[must_use]
    pub const fn peer(&self) -> &PublicKey {
        &self.peer
    }

    pub(crate) fn private(&self) -> &[u8; KEY_LEN] {
        &self.private
    }
}

impl fmt::Debug for PinnedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedKeys")
            .field("end", &self.end)
            .field("own", &self.own)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Whether a key file lies somewhere in `bytes`: in an unpacked image, or in a text that writes one
/// (indented, with comments between its lines, as a string with `\n`). Programs that know the
/// format have its words in them, but no key behind them.
#[must_use]
pub fn holds_private_key(bytes: &[u8]) -> bool {
    let is_key = |text: &[u8]| -> Option<bool> {
        let text = next_line(text)?.strip_prefix(b"end ")?;
        let text = [&b"donor"[..], b"target"]
            .iter()
            .find_map(|end| text.strip_prefix(*end))?;
        let text = next_line(text)?.strip_prefix(b"private ")?;
        Some(text.get(..KEY_LEN * 2)?.iter().all(u8::is_ascii_hexdigit))
    };
    let mut rest = bytes;
    while let Some(behind) = behind_title(rest) {
        if is_key(behind) == Some(true) {
            return true;
        }
        rest = behind;
    }
    false
}

/// The text behind the first [`TITLE`]. Boyer, Moore and Horspool's search: it looks at one byte
/// in ten, for packing a system has all of its files searched.
fn behind_title(bytes: &[u8]) -> Option<&[u8]> {
    let title = TITLE.as_bytes();
    let (last, before) = title.split_last()?;
    let mut rest = bytes;
    loop {
        let end = *rest.get(before.len())?;
        if end == *last && rest.starts_with(before) {
            return rest.get(title.len()..);
        }
        // To the last place in the title where this byte could stand.
        let shift = before.iter().rev().position(|byte| *byte == end);
        rest = rest.get(shift.map_or(title.len(), |shift| shift.saturating_add(1))..)?;
    }
}

/// The start of the next line with content; empty if it is still the same line.
fn next_line(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_ascii_start();
        rest = if let Some(behind) = trimmed.strip_prefix(b"\\n") {
            behind
        } else if let Some(behind) = trimmed.strip_prefix(b"\\r") {
            behind
        } else if trimmed.starts_with(b"#") {
            let end = trimmed
                .iter()
                .take(FILE_MAX)
                .position(|byte| *byte == b'\n')?;
            trimmed.get(end..)?
        } else {
            return (trimmed.len() < text.len()).then_some(trimmed);
        }
    }
}

fn draw_private() -> Result<Zeroizing<[u8; KEY_LEN]>, KeysError> {
    let mut private = Zeroizing::new([0; KEY_LEN]);
    getrandom::fill(private.as_mut()).map_err(RandomError)?;
    Ok(private)
}

/// The public key that belongs to a private one.
pub(crate) fn public_key(private: &[u8; KEY_LEN]) -> Result<PublicKey, KeysError> {
    let mut dh = DefaultResolver
        .resolve_dh(&DHChoice::Curve25519)
        .ok_or(KeysError::NoCurve)?;
    dh.set(private);
    let public = dh.pubkey().try_into().map_err(|_| KeysError::NoCurve)?;
    Ok(PublicKey(public))
}

/// The lines of a key file that say something, with their numbers.
struct Lines<'a> {
    rest: std::str::Lines<'a>,
    line: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.line = self.line.saturating_add(1);
            let line = self.rest.next()?.trim_end();
            if !line.is_empty() && !line.starts_with('#') {
                return Some(line);
            }
        }
    }

    fn value(&mut self, field: &str, wanted: &'static str) -> Result<&'a str, KeysError> {
        self.next()
            .and_then(|line| line.strip_prefix(field))
            .ok_or(KeysError::Line {
                line: self.line,
                wanted,
            })
    }

    fn key(
        &mut self,
        field: &str,
        wanted: &'static str,
    ) -> Result<Zeroizing<[u8; KEY_LEN]>, KeysError> {
        let digits = self.value(field, wanted)?;
        key(digits).ok_or(KeysError::Digits { line: self.line })
    }
}

fn key(digits: &str) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != KEY_LEN {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    for (byte, [high, low]) in key.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(key)
}

fn nibble(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests;
