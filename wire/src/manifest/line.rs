//! One line of a manifest, word by word.

use super::{
    CHUNK_SIZE_MAX, CHUNK_SIZE_MIN, Content, Fault, File, ManifestError, Role, Sha256, Shown,
    Unpacked, WORD_MAX,
};
use crate::digits::{decimal, digest};
use crate::stream::{DATA_MAX, PackageName};

/// The lines that are left.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    /// Of the line that was given out last.
    number: u32,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            number: 0,
        }
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next line; `wanted` is what belongs there.
    pub(super) fn next(&mut self, wanted: &'static str) -> Result<Line<'a>, ManifestError> {
        self.number = self.number.saturating_add(1);
        let fault = |fault| Err(ManifestError::new(self.number, fault));
        if self.rest.is_empty() {
            return fault(Fault::Ended(wanted));
        }
        let Some(at) = self.rest.iter().position(|byte| *byte == b'\n') else {
            return fault(Fault::NoLineFeed(Shown::of(self.rest)));
        };
        let (line, rest) = self.rest.split_at(at);
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(Line {
            bytes: line,
            words: Some(line),
            number: self.number,
        })
    }

    /// The next line, which must be this field.
    pub(super) fn field(&mut self, name: &'static str) -> Result<Line<'a>, ManifestError> {
        let mut line = self.next(name)?;
        line.keyword(name)?;
        Ok(line)
    }
}

/// One line, without its line end.
pub(super) struct Line<'a> {
    bytes: &'a [u8],
    /// The unread rest; `None` behind the last word.
    words: Option<&'a [u8]>,
    number: u32,
}

impl<'a> Line<'a> {
    pub(super) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) const fn line_number(&self) -> u32 {
        self.number
    }

    pub(super) fn shown(&self) -> Shown {
        Shown::of(self.bytes)
    }

    pub(super) const fn fault(&self, fault: Fault) -> ManifestError {
        ManifestError::new(self.number, fault)
    }

    /// The last word of a file's line, which is a name by now.
    pub(super) fn name(&self) -> &'a str {
        let start = self.bytes.iter().rposition(|byte| *byte == b' ');
        let name = start.and_then(|blank| self.bytes.get(blank + 1..));
        core::str::from_utf8(name.unwrap_or_default()).unwrap_or_default()
    }

    pub(super) fn keyword(&mut self, name: &'static str) -> Result<(), ManifestError> {
        if self.peek() != Some(name.as_bytes()) {
            return Err(self.fault(Fault::Field {
                wanted: name,
                found: self.shown(),
            }));
        }
        self.word(name).map(drop)
    }

    fn peek(&self) -> Option<&'a [u8]> {
        self.words?.split(|byte| *byte == b' ').next()
    }

    fn word(&mut self, what: &'static str) -> Result<&'a [u8], ManifestError> {
        let Some(words) = self.words else {
            return Err(self.fault(Fault::Short(what)));
        };
        let at = words.iter().position(|byte| *byte == b' ');
        let (word, rest) = words.split_at(at.unwrap_or(words.len()));
        self.words = at.map(|_| rest.get(1..).unwrap_or_default());
        Ok(word)
    }

    fn ends(&self) -> Result<(), ManifestError> {
        match self.words {
            None => Ok(()),
            Some(rest) => Err(self.fault(Fault::Long(Shown::of(rest)))),
        }
    }

    pub(super) fn role(&mut self) -> Result<Role, ManifestError> {
        let word = self.word("role")?;
        self.ends()?;
        let found = Role::ALL
            .into_iter()
            .find(|role| role.name().as_bytes() == word);
        found.ok_or_else(|| self.fault(Fault::Role(Shown::of(word))))
    }

    /// One word of `[A-Za-z0-9._+-]`.
    pub(super) fn only_word(&mut self) -> Result<&'a str, ManifestError> {
        let word = self.word("value")?;
        self.ends()?;
        good_word(word).ok_or_else(|| self.fault(Fault::Word(Shown::of(word))))
    }

    pub(super) fn only_number(&mut self, max: u64) -> Result<u64, ManifestError> {
        let number = self.number("value", max)?;
        self.ends()?;
        Ok(number)
    }

    /// `2026-11-20T00:00:00Z`, by its shape and the range of each number; no calendar.
    pub(super) fn only_time(&mut self) -> Result<&'a str, ManifestError> {
        let word = self.word("time")?;
        self.ends()?;
        if !is_time(word) {
            return Err(self.fault(Fault::Time(Shown::of(word))));
        }
        Ok(core::str::from_utf8(word).unwrap_or_default())
    }

    fn number(&mut self, what: &'static str, max: u64) -> Result<u64, ManifestError> {
        let word = self.word(what)?;
        decimal(word)
            .filter(|number| *number <= max)
            .ok_or_else(|| {
                self.fault(Fault::Number {
                    found: Shown::of(word),
                    max,
                })
            })
    }

    fn digest(&mut self, what: &'static str) -> Result<Sha256, ManifestError> {
        let word = self.word(what)?;
        digest(word).ok_or_else(|| self.fault(Fault::Digest(Shown::of(word))))
    }

    /// The file a line describes; `None` when it describes none.
    pub(super) fn file(&mut self) -> Result<Option<File>, ManifestError> {
        let content = match self.peek() {
            Some(b"file") => {
                self.keyword("file")?;
                Some(self.hashed()?)
            }
            Some(b"live") => {
                self.keyword("live")?;
                None
            }
            _ => return Ok(None),
        };
        let chunk_size = self.chunk_size()?;
        let content = match content {
            None => Content::Live,
            Some((sha256, size_bytes, unpacked)) => Content::Hashed {
                sha256,
                size_bytes,
                unpacked,
                chunk_list_sha256: self.digest("chunk list's SHA-256")?,
            },
        };
        let word = self.word("name")?;
        self.ends()?;
        let name = PackageName::parse(word).map_err(|source| {
            self.fault(Fault::Name {
                found: Shown::of(word),
                source,
            })
        })?;
        Ok(Some(File {
            name,
            chunk_size,
            content,
        }))
    }

    fn hashed(&mut self) -> Result<(Sha256, u64, Option<Unpacked>), ManifestError> {
        let sha256 = self.digest("SHA-256")?;
        let size_bytes = self.number("size", DATA_MAX)?;
        if size_bytes == 0 {
            return Err(self.fault(Fault::NoBytes));
        }
        let unpacked_bytes = self.number("unpacked size", DATA_MAX)?;
        let entries = self.number("number of entries", u64::from(u32::MAX))?;
        let unpacked = match (unpacked_bytes, u32::try_from(entries).unwrap_or(u32::MAX)) {
            (0, 0) => None,
            (0, _) => return Err(self.fault(Fault::EntriesOnly)),
            (size_bytes, entries) => Some(Unpacked {
                size_bytes,
                entries,
            }),
        };
        Ok((sha256, size_bytes, unpacked))
    }

    fn chunk_size(&mut self) -> Result<u32, ManifestError> {
        let claimed = self.number("chunk size", u64::from(u32::MAX))?;
        u32::try_from(claimed)
            .ok()
            .filter(|size| size.is_power_of_two())
            .filter(|size| (CHUNK_SIZE_MIN..=CHUNK_SIZE_MAX).contains(size))
            .ok_or_else(|| self.fault(Fault::ChunkSize(claimed)))
    }
}

/// 1 to [`WORD_MAX`] of `[A-Za-z0-9._+-]`.
pub(crate) fn good_word(word: &[u8]) -> Option<&str> {
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+-".contains(byte);
    if !(1..=WORD_MAX).contains(&word.len()) || !word.iter().all(is_good) {
        return None;
    }
    core::str::from_utf8(word).ok()
}

fn is_time(word: &[u8]) -> bool {
    /// `d` stands for a digit.
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        shape => byte == shape,
    };
    let part = |at: usize, range: core::ops::RangeInclusive<u8>| {
        let two = word.get(at..at + 2).and_then(|two| match two {
            [tens, ones] => Some((tens - b'0') * 10 + (ones - b'0')),
            _ => None,
        });
        two.is_some_and(|number| range.contains(&number))
    };
    word.len() == SHAPE.len()
        && word.iter().zip(SHAPE).all(fits)
        && part(5, 1..=12)
        && part(8, 1..=31)
        && part(11, 0..=23)
        && part(14, 0..=59)
        // A leap second is a second.
        && part(17, 0..=60)
}
