//! The selection of a disk: the value of `smv.disk=` and of `--disk` (`disk-gate.md` 1).
//!
//! Text in; a [`Selector`] out that a disk matches or does not. A term that is unknown, repeated or
//! has a bad value is an error that names it: a description that was half understood would fit more
//! disks than were meant.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use disk::size;
use thiserror::Error;

use crate::inventory::{Found, Transport, wwn};

/// One thing that is said of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    /// A value without a key: a serial number, or a name in the whole world.
    Name(String),
    Path(PathBuf),
    Serial(String),
    Wwn(String),
    Vendor(String),
    Model(String),
    Transport(Transport),
    Size(RangeInclusive<u64>),
}

/// The conditions that the disk has to match, all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    text: String,
    terms: Vec<Term>,
}

/// A description that cannot be followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SelectorError {
    /// Nothing, or what a terminal would act upon.
    #[error(
        "reading the disk {text:?}: expected a path, a serial number, or KEY=VALUE[,KEY=VALUE...]"
    )]
    Empty {
        /// As written.
        text: String,
    },
    /// No such key.
    #[error(
        "reading the disk {text:?}: unknown key {key:?}; there are path, serial, wwn, vendor, model, transport and size"
    )]
    Unknown {
        /// As written.
        text: String,
        /// The key.
        key: String,
    },
    /// The same key twice.
    #[error("reading the disk {text:?}: {key} is given twice")]
    Repeated {
        /// As written.
        text: String,
        /// The key.
        key: String,
    },
    /// A value that the key does not take.
    #[error("reading the disk {text:?}: {key}={value:?}: expected {expected}")]
    Value {
        /// As written.
        text: String,
        /// Of which key.
        key: String,
        /// The value.
        value: String,
        /// The expected form.
        expected: &'static str,
    },
}

impl Selector {
    /// The disk with this device node.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        Self {
            text: path.display().to_string(),
            terms: vec![Term::Path(path.to_owned())],
        }
    }

    /// Is all of it true of this disk?
    #[must_use]
    pub fn matches(&self, disk: &Found) -> bool {
        self.terms.iter().all(|term| term.matches(disk))
    }

    /// Does it name one disk, not a kind of disks?
    #[must_use]
    pub fn is_name(&self) -> bool {
        let is_name = |term: &Term| {
            matches!(
                term,
                Term::Name(_) | Term::Path(_) | Term::Serial(_) | Term::Wwn(_)
            )
        };
        self.terms.iter().any(is_name)
    }

    /// Does it say how the disk is attached?
    #[must_use]
    pub fn has_transport(&self) -> bool {
        let is_transport = |term: &Term| matches!(term, Term::Transport(_));
        self.terms.iter().any(is_transport)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Term {
    fn matches(&self, disk: &Found) -> bool {
        let is_wwn = |name: &str| wwn(name).is_some_and(|name| disk.wwn == Some(name));
        match self {
            Term::Name(name) => disk.serial.as_ref() == Some(name) || is_wwn(name),
            Term::Path(path) => disk.path == *path,
            Term::Serial(serial) => disk.serial.as_ref() == Some(serial),
            Term::Wwn(name) => is_wwn(name),
            Term::Vendor(pattern) => disk.vendor.as_ref().is_some_and(|text| fits(pattern, text)),
            Term::Model(pattern) => disk.model.as_ref().is_some_and(|text| fits(pattern, text)),
            Term::Transport(transport) => disk.transport == *transport,
            Term::Size(range) => range.contains(&disk.size_bytes),
        }
    }

    /// Two terms of one kind would contradict or repeat each other.
    fn key(&self) -> &'static str {
        match self {
            Term::Name(_) | Term::Serial(_) => "serial",
            Term::Path(_) => "path",
            Term::Wwn(_) => "wwn",
            Term::Vendor(_) => "vendor",
            Term::Model(_) => "model",
            Term::Transport(_) => "transport",
            Term::Size(_) => "size",
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let is_clean = text
            .chars()
            .all(|char| char.is_ascii_graphic() || char == ' ');
        if !is_clean || text.trim().is_empty() {
            return Err(SelectorError::Empty {
                text: text.to_owned(),
            });
        }
        let terms = if text.starts_with('/') {
            vec![Term::Path(text.into())]
        } else if text.contains('=') {
            described(text)?
        } else {
            vec![Term::Name(text.to_owned())]
        };
        Ok(Self {
            text: text.to_owned(),
            terms,
        })
    }
}

/// `KEY=VALUE[,KEY=VALUE...]`. There is no way to write a comma into a value: a pattern has `?` for
/// it.
fn described(text: &str) -> Result<Vec<Term>, SelectorError> {
    let mut terms: Vec<Term> = Vec::new();
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let term = term(text, key, value)?;
        if terms.iter().any(|other| other.key() == term.key()) {
            return Err(SelectorError::Repeated {
                text: text.to_owned(),
                key: key.to_owned(),
            });
        }
        terms.push(term);
    }
    Ok(terms)
}

fn term(text: &str, key: &str, value: &str) -> Result<Term, SelectorError> {
    let expect = |expected| SelectorError::Value {
        text: text.to_owned(),
        key: key.to_owned(),
        value: value.to_owned(),
        expected,
    };
    let given = |expected| match value.trim() {
        "" => Err(expect(expected)),
        _ => Ok(value.to_owned()),
    };
    Ok(match key {
        "path" if value.starts_with('/') => Term::Path(value.into()),
        "path" => return Err(expect("a path from /dev on")),
        "serial" => Term::Serial(given("the whole serial number")?),
        "wwn" if wwn(value).is_some() => Term::Wwn(value.to_owned()),
        "wwn" => return Err(expect("sixteen hexadecimal digits or more")),
        "vendor" => Term::Vendor(given("a name, with * and ? for what may be anything")?),
        "model" => Term::Model(given("a name, with * and ? for what may be anything")?),
        "transport" => {
            let known = Transport::ALL
                .into_iter()
                .find(|known| known.name() == value);
            Term::Transport(known.ok_or_else(|| {
                expect("virtio, nvme, sata, sas, fc, iscsi, usb, scsi, mmc or other")
            })?)
        }
        "size" => Term::Size(sizes(value).ok_or_else(|| {
            expect("MIN-MAX, MIN- or -MAX, in bytes or with K, M, G, T (1024) or KB, MB, GB, TB (1000)")
        })?),
        _ => {
            return Err(SelectorError::Unknown {
                text: text.to_owned(),
                key: key.to_owned(),
            });
        }
    })
}

/// A single size would have to be that of the disk to the byte, which nobody knows by heart.
fn sizes(value: &str) -> Option<RangeInclusive<u64>> {
    let (min, max) = value.split_once('-')?;
    let bytes = |text: &str, otherwise| match text {
        "" => Some(otherwise),
        text => size::parse(text),
    };
    let range = bytes(min, 0)?..=bytes(max, u64::MAX)?;
    (!range.is_empty() && value != "-").then_some(range)
}

/// Shell patterns with `*` and `?`, without regard to case. A star that turns out to have taken too
/// little takes one more.
fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    let mut star: Option<(&[u8], &[u8])> = None;
    while let Some((&char, rest)) = text.split_first() {
        match pattern.split_first() {
            Some((b'*', behind)) => {
                star = Some((behind, text));
                pattern = behind;
            }
            Some((&own, behind)) if own == b'?' || own.eq_ignore_ascii_case(&char) => {
                (pattern, text) = (behind, rest);
            }
            _ => {
                let Some((behind, from)) = star else {
                    return false;
                };
                let from = from.get(1..).unwrap_or_default();
                star = Some((behind, from));
                (pattern, text) = (behind, from);
            }
        }
    }
    pattern.iter().all(|&char| char == b'*')
}

#[cfg(test)]
mod tests {
    use super::{Selector, SelectorError, fits};
    use crate::inventory::{Found, Transport};
    use std::path::{Path, PathBuf};

    fn disk() -> Found {
        Found {
            path: PathBuf::from("/dev/nvme0n1"),
            size_bytes: 480_103_981_056,
            sector_bytes: 512,
            transport: Transport::Nvme,
            is_removable: false,
            is_read_only: false,
            serial: Some("S3X 0042".to_owned()),
            vendor: Some("SAMSUNG".to_owned()),
            model: Some("Samsung SSD 980, 480 GB".to_owned()),
            wwn: Some("00255845a1b2c3d4".to_owned()),
        }
    }

    fn matches(text: &str) -> bool {
        text.parse::<Selector>().unwrap().matches(&disk())
    }

    #[test]
    fn everything_said_has_to_be_true() {
        for text in [
            "/dev/nvme0n1",
            "S3X 0042",
            "eui.00255845A1B2C3D4",
            "path=/dev/nvme0n1",
            "serial=S3X 0042",
            "wwn=0x00255845a1b2c3d4",
            "vendor=samsung",
            "model=samsung ssd 980*",
            "model=*980? 480*",
            "transport=nvme",
            "size=400G-500G",
            "size=480GB-481GB",
            "size=1G-",
            "size=-1T",
            "transport=nvme,size=400GB-500GB,model=*980*,vendor=SAM*,serial=S3X 0042",
        ] {
            assert!(matches(text), "{text}");
        }
        for text in [
            "/dev/nvme0n2",
            "/dev/nvme0n1p1",
            "S3X",
            "3X 0042",
            "s3x 0042",
            "serial=00255845a1b2c3d4",
            "wwn=0x00255845a1b2c3d5",
            "model=Samsung SSD 980",
            "transport=sata",
            "size=480GB-480GB",
            "size=-480GB",
            "size=1T-",
            "transport=nvme,size=-1G",
        ] {
            assert!(!matches(text), "{text}");
        }
    }

    #[test]
    fn a_name_is_distinguished_from_a_description() {
        for (text, is_name, has_transport) in [
            ("/dev/sda", true, false),
            ("X1", true, false),
            ("size=1G-,wwn=5000c500a1b2c3d4", true, false),
            ("transport=usb", false, true),
            ("size=1G-,model=x", false, false),
            ("transport=usb,serial=X", true, true),
        ] {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(
                (selector.is_name(), selector.has_transport()),
                (is_name, has_transport),
                "{text}"
            );
            assert_eq!(selector.to_string(), text);
        }
        let path = Path::new("/srv/disk.img");
        assert_eq!(Selector::of_path(path), "/srv/disk.img".parse().unwrap());
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        for (text, says) in [
            ("", "expected a path"),
            ("  ", "expected a path"),
            ("a\u{1b}b", "expected a path"),
            ("seriall=X", "unknown key \"seriall\""),
            ("serial=X,", "unknown key \"\""),
            ("serial=X,Y", "unknown key \"Y\""),
            ("Serial=X", "unknown key \"Serial\""),
            ("serial=", "serial=\"\": expected the whole"),
            ("serial=X,serial=Y", "serial is given twice"),
            ("path=sda", "expected a path from /dev on"),
            ("wwn=12", "sixteen"),
            ("transport=NVMe", "expected virtio, nvme"),
            ("size=480G", "expected MIN-MAX"),
            ("size=-", "expected MIN-MAX"),
            ("size=2G-1G", "expected MIN-MAX"),
            ("size=1-2-3", "expected MIN-MAX"),
            ("model=", "expected a name"),
        ] {
            let error = text.parse::<Selector>().unwrap_err();
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
        assert!(matches!(
            "a=b".parse::<Selector>(),
            Err(SelectorError::Unknown { .. })
        ));
    }

    #[test]
    fn a_disk_that_does_not_tell_is_never_meant() {
        let mut silent = disk();
        (silent.serial, silent.wwn, silent.model, silent.vendor) = (None, None, None, None);
        for text in [
            "model=*",
            "vendor=*",
            "X",
            "serial=X",
            "wwn=5000c500a1b2c3d4",
        ] {
            let selector: Selector = text.parse().unwrap();
            assert!(!selector.matches(&silent), "{text}");
        }
    }

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("*ab", "aab", true),
            ("**x**", "x", true),
            ("a?c", "ABC", true),
            ("a", "ab", false),
            (
                "*a*a*a*a*a*a*a*b",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                false,
            ),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
