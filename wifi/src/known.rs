//! The network that an image brings along, for machines that nobody stands in front of.
//!
//! A text file in, the network to join out, or the line that is wrong:
//!
//! ```text
//! # as typed
//! ssid=Workshop
//! passphrase=correct horse battery
//! ```
//!
//! UTF-8, one `key=value` a line, everything behind the `=` belongs to the value. Empty lines and
//! lines that begin with `#` say nothing. `ssid=`, or `ssid-hex=` with two digits a byte where the
//! name is no text; `passphrase=` unless the network is open; `hidden=yes` where it does not
//! announce its name. An error never repeats what it read: it may be the passphrase.

use thiserror::Error;

use crate::passphrase::is_passphrase;
use crate::report::{Join, SSID_MAX, Ssid};

/// Where an image has it.
pub const PATH: &str = "/etc/smv/wifi";
/// No file that says so little is longer.
pub const LEN_MAX: usize = 4096;

/// The networks in the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Known {
    /// The network.
    pub ssid: Ssid,
    /// None for an open network.
    pub passphrase: Option<String>,
    /// It does not announce its name.
    pub is_hidden: bool,
}

/// Without the passphrase.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known")
            .field("ssid", &self.ssid)
            .field("is_hidden", &self.is_hidden)
            .finish_non_exhaustive()
    }
}

impl Known {
    /// To be joined by this card.
    #[must_use]
    pub fn join(&self, interface: &str) -> Join {
        Join {
            interface: interface.to_owned(),
            ssid: self.ssid.clone(),
            passphrase: self.passphrase.clone(),
            is_hidden: self.is_hidden,
        }
    }
}

/// The fault of the file, and its line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KnownError {
    /// Too much.
    #[error("a known network takes at most {LEN_MAX} bytes, not {0}")]
    Len(usize),
    /// Not UTF-8.
    #[error("a known network is written in UTF-8")]
    Text,
    /// No key.
    #[error("line {0} of a known network has no key=")]
    Key(usize),
    /// A key that means nothing, or one for the second time.
    #[error("line {0} of a known network has an unknown key, or one that was there before")]
    Unexpected(usize),
    /// The name.
    #[error("line {0} of a known network has no name of 1 to {SSID_MAX} bytes")]
    Ssid(usize),
    /// The passphrase.
    #[error(
        "line {0} of a known network has no passphrase of 8 to 63 printable characters of ASCII"
    )]
    Passphrase(usize),
    /// Neither yes nor no.
    #[error("line {0} of a known network says neither yes nor no")]
    Hidden(usize),
    /// It has no name.
    #[error("a known network has no ssid= and no ssid-hex=")]
    NoSsid,
}

/// Reads the file.
///
/// # Errors
/// Anything that is not exactly as above.
pub fn parse(bytes: &[u8]) -> Result<Known, KnownError> {
    if bytes.len() > LEN_MAX {
        return Err(KnownError::Len(bytes.len()));
    }
    let text = str::from_utf8(bytes).map_err(|_| KnownError::Text)?;
    let (mut ssid, mut passphrase, mut hidden) = (None, None, None);
    for (line, number) in text.lines().zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').ok_or(KnownError::Key(number))?;
        match key {
            "ssid" | "ssid-hex" if ssid.is_none() => {
                let bytes = match key {
                    "ssid" => Some(value.as_bytes().to_vec()),
                    _ => unhex(value),
                };
                let read = bytes.and_then(|bytes| Ssid::new(&bytes));
                ssid = Some(read.ok_or(KnownError::Ssid(number))?);
            }
            "passphrase" if passphrase.is_none() => {
                if !is_passphrase(value) {
                    return Err(KnownError::Passphrase(number));
                }
                passphrase = Some(value.to_owned());
            }
            "hidden" if hidden.is_none() => {
                hidden = Some(match value {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(KnownError::Hidden(number)),
                });
            }
            _ => return Err(KnownError::Unexpected(number)),
        }
    }
    Ok(Known {
        ssid: ssid.ok_or(KnownError::NoSsid)?,
        passphrase,
        is_hidden: hidden.unwrap_or_default(),
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|char| char.to_digit(16)).collect();
    let (pairs, []) = digits.as_deref()?.as_chunks::<2>() else {
        return None;
    };
    let byte = |[high, low]: &[u32; 2]| u8::try_from(high << 4 | low).ok();
    pairs.iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::{Known, KnownError, LEN_MAX, parse};
    use crate::report::Ssid;

    fn known(ssid: &[u8], passphrase: Option<&str>, is_hidden: bool) -> Known {
        Known {
            ssid: Ssid::new(ssid).unwrap(),
            passphrase: passphrase.map(str::to_owned),
            is_hidden,
        }
    }

    #[test]
    fn a_file_says_what_to_join() {
        for (text, expected) in [
            ("ssid=Workshop\n", known(b"Workshop", None, false)),
            (
                "# ours\n\nssid= a=b \npassphrase= with spaces=# \nhidden=yes",
                known(b" a=b ", Some(" with spaces=# "), true),
            ),
            (
                "passphrase=\"quoted\"\r\nssid-hex=00Ff20\r\nhidden=no\r\n",
                known(&[0, 255, 32], Some("\"quoted\""), false),
            ),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        let long = format!("ssid=x\n{}", "#".repeat(LEN_MAX));
        for (text, expected) in [
            ("", KnownError::NoSsid),
            ("passphrase=12345678", KnownError::NoSsid),
            ("ssid=", KnownError::Ssid(1)),
            (
                "\nssid=123456789012345678901234567890123",
                KnownError::Ssid(2),
            ),
            ("ssid-hex=123", KnownError::Ssid(1)),
            ("ssid-hex=1x", KnownError::Ssid(1)),
            ("ssid-hex=1é", KnownError::Ssid(1)),
            ("ssid=a\nssid-hex=62", KnownError::Unexpected(2)),
            ("ssid=a\npassphrase=1234567", KnownError::Passphrase(2)),
            ("ssid=a\nhidden=maybe", KnownError::Hidden(2)),
            ("ssid=a\nhidden=no\nhidden=yes", KnownError::Unexpected(3)),
            ("ssid=a\nsecret", KnownError::Key(2)),
            ("SSID=a", KnownError::Unexpected(1)),
            (&long, KnownError::Len(LEN_MAX + 7)),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(expected), "{text}");
        }
        assert_eq!(parse(b"ssid=\xff"), Err(KnownError::Text));
    }

    #[test]
    fn nobody_prints_a_passphrase_by_accident() {
        let known = parse(b"ssid=a\npassphrase=do not show").unwrap();
        assert!(!format!("{known:?}{:?}", known.join("wlan0")).contains("do not"));
        let error = parse(b"ssid=a\npassphrase=do not\x07").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("do not"));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_read_or_refused() {
        let text = b"#x\nssid-hex=41\npassphrase=12345678\nhidden=yes\n";
        for len in 0..text.len() {
            let _ = parse(&text[..len]); // returns
            for byte in 0..=255 {
                let mut changed = text.to_vec();
                changed[len] = byte;
                if let Ok(known) = parse(&changed) {
                    assert!(!known.ssid.as_bytes().is_empty());
                }
            }
        }
    }
}
