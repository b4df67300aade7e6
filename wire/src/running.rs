//! `/run/smv/boot`: which slot this boot runs from, for the programs of the system that runs
//! (`slot.md 5.4`). slot-init writes it once, before that system starts.
//!
//! In: the text. Out: a [`Running`], or the line that is wrong; and the other way round. There is
//! one way to write it.

use crate::digits::Hex;
use crate::field::{FieldError, Fields};
use crate::manifest::Sha256;
use crate::record::{ATTEMPTS, Left, Slot};
use core::fmt;

/// Where the text is.
pub const PATH: &str = "/run/smv/boot";
/// Longest text, in bytes.
pub const LEN_MAX: usize = 1024;
/// Longest name of a device, in bytes.
pub const DEVICE_MAX: usize = 64;
const FIRST_LINE: &str = "smechvisor-boot 1";
const WHAT: &str = "/run/smv/boot";
/// For a value that there is not.
const NONE: &str = "-";

/// What runs, and how it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running<'a> {
    /// Whose root is mounted.
    pub slot: Slot,
    /// From the description in the initramfs.
    pub product: &'a str,
    /// Likewise.
    pub version: &'a str,
    /// Likewise.
    pub counter: u64,
    /// SHA-256 of the manifest, by which versions are compared; `None` when the slot has no
    /// complete label. A label is a hint (`slot.md 3`).
    pub digest: Option<Sha256>,
    /// The root of the hash tree that every read of the root is checked against: proven.
    pub hash: Sha256,
    /// How many starts are left behind this one when this is a trial; `None` when the slot is the
    /// good one.
    pub trial: Option<Left>,
    /// Does it run in place of the good slot, which did not start?
    pub fell: bool,
    /// The whole disk: `/dev/vda`.
    pub disk: &'a str,
    /// The watchdog that was started and has to be fed: `/dev/watchdog0`.
    pub watchdog: Option<&'a str>,
}

impl<'a> Running<'a> {
    /// Reads the text.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::new(bytes, LEN_MAX, WHAT)?;
        fields.exactly(FIRST_LINE)?;
        let slot = match fields.value("slot")? {
            b"a" => Slot::A,
            b"b" => Slot::B,
            _ => return Err(fields.not("a or b")),
        };
        let product = fields.word("product")?;
        let version = fields.word("version")?;
        let counter = fields.number("counter", u64::MAX)?;
        let digest = fields.digest_or_none("digest")?;
        let hash = fields.digest("hash")?;
        let is_trial = fields.flag("trial")?;
        let left = fields.number("left", u64::from(ATTEMPTS))?;
        let left = u8::try_from(left).ok().and_then(Left::new);
        let trial = match (is_trial, left) {
            (true, left) => left,
            (false, Some(Left::NONE)) => None,
            (false, _) => return Err(fields.not("0, as there is no trial")),
        };
        let fell = fields.flag("fell")?;
        fields.value("disk")?;
        let disk = device(&fields)?;
        let watchdog = match fields.value("watchdog")? {
            b"-" => None,
            _ => Some(device(&fields)?),
        };
        fields.end()?;
        Ok(Self {
            slot,
            product,
            version,
            counter,
            digest,
            hash,
            trial,
            fell,
            disk,
            watchdog,
        })
    }
}

/// `/dev/` and a name, up to [`DEVICE_MAX`] bytes.
fn device<'a>(fields: &Fields<'a>) -> Result<&'a str, FieldError> {
    let value = fields.last();
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+!/-".contains(byte);
    let name = value.strip_prefix(b"/dev/").unwrap_or_default();
    let is_device = (1..=DEVICE_MAX).contains(&value.len()) && !name.is_empty();
    match core::str::from_utf8(value) {
        Ok(path) if is_device && name.iter().all(is_good) => Ok(path),
        _ => Err(fields.not("/dev/ and a name of [A-Za-z0-9._+!/-]")),
    }
}

impl fmt::Display for Running<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slot,
            product,
            version,
            counter,
            digest,
            hash,
            trial,
            fell,
            disk,
            watchdog,
        } = self;
        writeln!(f, "{FIRST_LINE}\nslot {slot}\nproduct {product}")?;
        writeln!(f, "version {version}\ncounter {counter}")?;
        match digest {
            Some(digest) => writeln!(f, "digest {}", Hex(digest))?,
            None => writeln!(f, "digest {NONE}")?,
        }
        writeln!(f, "hash {}", Hex(hash))?;
        let left = trial.unwrap_or(Left::NONE).get();
        writeln!(f, "trial {}\nleft {left}", u8::from(trial.is_some()))?;
        writeln!(f, "fell {}\ndisk {disk}", u8::from(*fell))?;
        writeln!(f, "watchdog {}\nend", watchdog.unwrap_or(NONE))
    }
}

#[cfg(test)]
mod tests;
