//! Short texts of lines `name value`, each line once and in one order: what a node's own programs
//! leave for one another.
//!
//! In: the bytes of such a text, asked for line by line. Out: the values, or the number of the
//! first line that is wrong and what is wrong there. Every reader of one is as strict as that of
//! the manifest: there is one way to write a text.

use crate::digits::{decimal, digest};
use crate::manifest::{Sha256, Shown, WORD_MAX, good_word};
use thiserror::Error;

/// Where a text is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("reading line {line} of {what}")]
pub struct FieldError {
    /// Which text.
    pub what: &'static str,
    /// From 1; 0 is the text as a whole.
    pub line: u32,
    /// The rule that this line breaks.
    #[source]
    pub fault: FieldFault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FieldFault {
    /// More bytes than any text of its kind.
    #[error("it has {len_bytes} bytes; {max_bytes} is the most")]
    TooLong {
        /// Its length.
        len_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// It ends before this.
    #[error("the text ends here, before its {0}")]
    Ended(&'static str),
    /// The last line has no line end.
    #[error("{0} does not end in a line feed")]
    NoLineFeed(Shown),
    /// Another line, an unknown one, or one in the wrong place.
    #[error("{found} where {wanted:?} belongs")]
    Line {
        /// What belongs there.
        wanted: &'static str,
        /// What stands there.
        found: Shown,
    },
    /// Not 1 to [`WORD_MAX`] of `[A-Za-z0-9._+-]`.
    #[error("{0} is not 1 to {WORD_MAX} of [A-Za-z0-9._+-]")]
    Word(Shown),
    /// Not decimal, with a sign or leading zeros, or too large.
    #[error("{found} is not a number from 0 to {max} without leading zeros")]
    Number {
        /// What stands there.
        found: Shown,
        /// The largest that is allowed.
        max: u64,
    },
    /// Not 64 small hexadecimal digits.
    #[error("{0} is not a SHA-256 in small hexadecimal digits")]
    Digest(Shown),
    /// Not the form that the name asks for.
    #[error("{found} is not {wanted}")]
    Value {
        /// What belongs there.
        wanted: &'static str,
        /// What stands there.
        found: Shown,
    },
    /// Something behind the last line.
    #[error("{len_bytes} bytes follow its end")]
    BehindTheEnd {
        /// Counted to the end of the input.
        len_bytes: usize,
    },
}

/// The lines of a text that were not read yet.
pub(crate) struct Fields<'a> {
    what: &'static str,
    rest: &'a [u8],
    /// Of the line that was read last.
    line: u32,
    /// What that line says behind its name.
    value: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Begins with the first line of `bytes`, which are to be no more than `max_bytes`; `what`
    /// names the text in errors.
    pub(crate) fn new(
        bytes: &'a [u8],
        max_bytes: usize,
        what: &'static str,
    ) -> Result<Self, FieldError> {
        let fields = Self {
            what,
            rest: bytes,
            line: 0,
            value: bytes,
        };
        let len_bytes = bytes.len();
        match len_bytes <= max_bytes {
            true => Ok(fields),
            false => Err(fields.fault(FieldFault::TooLong {
                len_bytes,
                max_bytes,
            })),
        }
    }

    /// An error in the line that was read last.
    const fn fault(&self, fault: FieldFault) -> FieldError {
        FieldError {
            what: self.what,
            line: self.line,
            fault,
        }
    }

    /// An error in the line that was read last: its value is not `wanted`.
    pub(crate) fn not(&self, wanted: &'static str) -> FieldError {
        self.fault(FieldFault::Value {
            wanted,
            found: Shown::of(self.value),
        })
    }

    fn next(&mut self, wanted: &'static str) -> Result<&'a [u8], FieldError> {
        self.line = self.line.saturating_add(1);
        if self.rest.is_empty() {
            return Err(self.fault(FieldFault::Ended(wanted)));
        }
        let Some(at) = self.rest.iter().position(|byte| *byte == b'\n') else {
            return Err(self.fault(FieldFault::NoLineFeed(Shown::of(self.rest))));
        };
        let (line, rest) = self.rest.split_at(at);
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(line)
    }

    fn other(&self, wanted: &'static str, found: &[u8]) -> FieldError {
        self.fault(FieldFault::Line {
            wanted,
            found: Shown::of(found),
        })
    }

    /// A line without a value.
    pub(crate) fn exactly(&mut self, wanted: &'static str) -> Result<(), FieldError> {
        match self.next(wanted)? {
            line if line == wanted.as_bytes() => Ok(()),
            line => Err(self.other(wanted, line)),
        }
    }

    /// What follows `name` and a blank.
    pub(crate) fn value(&mut self, name: &'static str) -> Result<&'a [u8], FieldError> {
        let line = self.next(name)?;
        let value = line.strip_prefix(name.as_bytes());
        self.value = value
            .and_then(|value| value.strip_prefix(b" "))
            .ok_or_else(|| self.other(name, line))?;
        Ok(self.value)
    }

    /// As [`Self::value`], if the next line has this name.
    pub(crate) fn optional(&mut self, name: &'static str) -> Result<Option<&'a [u8]>, FieldError> {
        let behind = self.rest.strip_prefix(name.as_bytes());
        match behind.and_then(<[u8]>::first) {
            Some(b' ') => self.value(name).map(Some),
            _ => Ok(None),
        }
    }

    /// The whole next line.
    pub(crate) fn line(&mut self, wanted: &'static str) -> Result<&'a [u8], FieldError> {
        self.value = self.next(wanted)?;
        Ok(self.value)
    }

    /// What was not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The value that was read last.
    pub(crate) const fn last(&self) -> &'a [u8] {
        self.value
    }

    /// One word of `[A-Za-z0-9._+-]`.
    pub(crate) fn word(&mut self, name: &'static str) -> Result<&'a str, FieldError> {
        let value = self.value(name)?;
        good_word(value).ok_or_else(|| self.fault(FieldFault::Word(Shown::of(value))))
    }

    /// A number from 0 to `max`.
    pub(crate) fn number(&mut self, name: &'static str, max: u64) -> Result<u64, FieldError> {
        let value = self.value(name)?;
        self.decimal(value, max)
    }

    /// Two numbers from 0 to `max` with a blank between them.
    pub(crate) fn pair(&mut self, name: &'static str, max: u64) -> Result<(u64, u64), FieldError> {
        let value = self.value(name)?;
        let at = value.iter().position(|byte| *byte == b' ');
        let (first, second) = value.split_at(at.unwrap_or(value.len()));
        let second = second.get(1..).unwrap_or_default();
        Ok((self.decimal(first, max)?, self.decimal(second, max)?))
    }

    fn decimal(&self, word: &[u8], max: u64) -> Result<u64, FieldError> {
        let number = decimal(word).filter(|number| *number <= max);
        number.ok_or_else(|| {
            self.fault(FieldFault::Number {
                found: Shown::of(word),
                max,
            })
        })
    }

    /// `0` or `1`.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<bool, FieldError> {
        self.number(name, 1).map(|number| number == 1)
    }

    /// A SHA-256.
    pub(crate) fn digest(&mut self, name: &'static str) -> Result<Sha256, FieldError> {
        let value = self.value(name)?;
        self.hexadecimal(value)
    }

    /// A SHA-256, or `-` for none.
    pub(crate) fn digest_or_none(
        &mut self,
        name: &'static str,
    ) -> Result<Option<Sha256>, FieldError> {
        match self.value(name)? {
            b"-" => Ok(None),
            value => self.hexadecimal(value).map(Some),
        }
    }

    fn hexadecimal(&self, value: &[u8]) -> Result<Sha256, FieldError> {
        digest(value).ok_or_else(|| self.fault(FieldFault::Digest(Shown::of(value))))
    }

    /// A line of any form; `None` for the last one, `end`.
    pub(crate) fn row(&mut self, wanted: &'static str) -> Result<Option<&'a [u8]>, FieldError> {
        let line = self.next(wanted)?;
        self.value = line;
        Ok((line != b"end").then_some(line))
    }

    /// Bytes that were not read yet.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// The last line, with nothing behind it.
    pub(crate) fn end(mut self) -> Result<(), FieldError> {
        self.exactly("end")?;
        self.nothing()
    }

    /// Nothing follows the line that was read last.
    pub(crate) fn nothing(mut self) -> Result<(), FieldError> {
        match self.rest.len() {
            0 => Ok(()),
            len_bytes => {
                self.line = self.line.saturating_add(1);
                Err(self.fault(FieldFault::BehindTheEnd { len_bytes }))
            }
        }
    }
}
