//! One line of a ledger, word by word, and what can be wrong with it.

use super::{Failed, Floor, KeyId, LEN_MAX, Version, Word};
use crate::digits::{decimal, digest};
use thiserror::Error;

/// Where a ledger is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("reading line {line} of the ledger")]
pub struct LedgerError {
    /// From 1; 0 is the ledger as a whole.
    pub line: u16,
    /// The rule that this line breaks.
    #[source]
    pub fault: LedgerFault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LedgerFault {
    /// More than [`LEN_MAX`].
    #[error("it has {0} bytes; {LEN_MAX} is the most")]
    TooLong(usize),
    /// The ledger ends before this field, or the field's line has no line feed.
    #[error("the ledger ends before the end of its line {0:?}")]
    Ended(&'static str),
    /// Another line.
    #[error("it is not the line {0:?}")]
    Field(&'static str),
    /// A word is missing or not of its form.
    #[error("it has no valid {0}")]
    Word(&'static str),
    /// Something follows the last word.
    #[error("something follows its last word")]
    Long,
    /// A key or attempts, and no version.
    #[error("it has a key or attempts, and no version")]
    NothingTried,
    /// Floors out of order, or two of a key.
    #[error("its key does not follow the one of the line above")]
    Order,
    /// A second failure of a version.
    #[error("its version stands in a line above")]
    Repeated,
    /// More lines of a kind than there may be.
    #[error("more than {0} of such lines")]
    TooMany(usize),
    /// Something behind the last line.
    #[error("{0} bytes follow the ledger's end")]
    BehindTheEnd(usize),
}

/// The lines that are left.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    /// Of the line that was given out last.
    number: u16,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, LedgerError> {
        if bytes.len() > LEN_MAX {
            let fault = LedgerFault::TooLong(bytes.len());
            return Err(LedgerError { line: 0, fault });
        }
        Ok(Self {
            rest: bytes,
            number: 0,
        })
    }

    /// The next line, without its line feed; `wanted` is what belongs there.
    fn next(&mut self, wanted: &'static str) -> Result<Line<'a>, LedgerError> {
        let number = self.number.saturating_add(1);
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let Some((line, rest)) = end.map(|at| self.rest.split_at(at)) else {
            let fault = LedgerFault::Ended(wanted);
            return Err(LedgerError {
                line: number,
                fault,
            });
        };
        self.rest = rest.get(1..).unwrap_or_default();
        self.number = number;
        Ok(Line {
            rest: Some(line),
            number,
        })
    }

    pub(super) fn first(&mut self, wanted: &'static str) -> Result<(), LedgerError> {
        let line = self.next(wanted)?;
        if line.rest != Some(wanted.as_bytes()) {
            return Err(line.fault(LedgerFault::Field(wanted)));
        }
        Ok(())
    }

    /// The next line, which must be this field.
    pub(super) fn field(&mut self, name: &'static str) -> Result<Line<'a>, LedgerError> {
        let mut line = self.next(name)?;
        if line.word() != Some(name.as_bytes()) {
            return Err(line.fault(LedgerFault::Field(name)));
        }
        Ok(line)
    }

    /// The next line if it is this field.
    pub(super) fn optional_field(
        &mut self,
        name: &'static str,
    ) -> Result<Option<Line<'a>>, LedgerError> {
        let behind = self.rest.strip_prefix(name.as_bytes());
        if behind.and_then(<[u8]>::first) != Some(&b' ') {
            return Ok(None);
        }
        self.field(name).map(Some)
    }

    pub(super) fn finish(&self) -> Result<(), LedgerError> {
        match self.rest.len() {
            0 => Ok(()),
            len => Err(LedgerError {
                line: self.number.saturating_add(1),
                fault: LedgerFault::BehindTheEnd(len),
            }),
        }
    }
}

/// One line, without its line feed.
pub(super) struct Line<'a> {
    /// What was not read yet; `None` behind the last word.
    rest: Option<&'a [u8]>,
    number: u16,
}

impl<'a> Line<'a> {
    pub(super) const fn fault(&self, fault: LedgerFault) -> LedgerError {
        LedgerError {
            line: self.number,
            fault,
        }
    }

    fn word(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let blank = rest.iter().position(|byte| *byte == b' ');
        let (word, behind) = rest.split_at(blank.unwrap_or(rest.len()));
        self.rest = blank.map(|_| behind.get(1..).unwrap_or_default());
        Some(word)
    }

    /// The next word, read by `read`.
    fn read<T>(
        &mut self,
        what: &'static str,
        read: impl Fn(&'a [u8]) -> Option<T>,
    ) -> Result<T, LedgerError> {
        let value = self.word().and_then(read);
        value.ok_or_else(|| self.fault(LedgerFault::Word(what)))
    }

    pub(super) fn ends(&self) -> Result<(), LedgerError> {
        match self.rest {
            None => Ok(()),
            Some(_) => Err(self.fault(LedgerFault::Long)),
        }
    }

    /// A digest and a counter, or `- 0`.
    pub(super) fn version(&mut self) -> Result<Option<Version>, LedgerError> {
        let digest = self.read("digest", |word| match word {
            b"-" => Some(None),
            word => digest(word).map(Some),
        })?;
        let counter = self.read("counter", decimal)?;
        match digest {
            Some(digest) => Ok(Some(Version { digest, counter })),
            None if counter == 0 => Ok(None),
            None => Err(self.fault(LedgerFault::Word("counter"))),
        }
    }

    fn some_version(&mut self) -> Result<Version, LedgerError> {
        let version = self.version()?;
        version.ok_or_else(|| self.fault(LedgerFault::Word("digest")))
    }

    pub(super) fn key(&mut self) -> Result<Option<KeyId>, LedgerError> {
        self.read("key", |word| match word {
            b"-" => Some(None),
            word => key(word).map(Some),
        })
    }

    pub(super) fn digit(&mut self, what: &'static str) -> Result<u8, LedgerError> {
        self.read(what, |word| match word {
            [digit @ b'0'..=b'9'] => Some(digit - b'0'),
            _ => None,
        })
    }

    pub(super) fn floor(&mut self) -> Result<Floor, LedgerError> {
        let key = self.read("key", key)?;
        let counter = self.read("counter", decimal)?;
        Ok(Floor { key, counter })
    }

    pub(super) fn failed(&mut self) -> Result<Failed, LedgerError> {
        let version = self.some_version()?;
        let tries = self.digit("tries")?;
        let word = self.read("reason", |word| Word::new(core::str::from_utf8(word).ok()?))?;
        Ok(Failed {
            version,
            tries,
            word,
        })
    }
}

/// Sixteen large hexadecimal digits.
fn key(word: &[u8]) -> Option<KeyId> {
    if word.len() != 16 {
        return None;
    }
    let digits = word.iter().try_fold(0_u64, |sum, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return None,
        };
        Some((sum << 4) | u64::from(digit))
    });
    digits.map(KeyId)
}
