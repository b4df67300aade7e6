//! What a source has: for each role and name the newest release (`protocol.md` 4.7).
//!
//! In: the text of a file `CHANNEL`. Out: a [`Channel`], whose [`Entry`]s are hints and no more: a
//! manifest is believed for its signature, and its counter is the one in it. There is one way to
//! write a channel, and [`emit`] writes it.

use core::fmt;

use crate::digits::decimal;
use crate::field::{FieldError, Fields};
use crate::manifest::{Role, good_word};
use crate::stream::PackageName;

/// Its name in a directory of releases.
pub const NAME: &str = "CHANNEL";
/// Longest text, in bytes.
pub const LEN_MAX: usize = 64 << 10;
/// Longest path of a manifest, in bytes.
pub const PATH_MAX: usize = 255;
const FIRST_LINE: &str = "smechvisor-channel 1";
const WHAT: &str = "the channel";

/// One release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The purpose of its image.
    pub role: Role,
    /// Its product, or the name of the place it is for.
    pub name: &'a str,
    /// As its manifest has it, according to this line, which nothing vouches for.
    pub counter: u64,
    /// Its manifest, or the bundle file that has it, as a path from the channel's directory on: no
    /// more than names with `/` between them.
    pub manifest: &'a str,
}

/// A channel that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel<'a> {
    /// The lines between the first and the last one, each known to be an entry.
    lines: &'a [u8],
}

impl<'a> Channel<'a> {
    /// Reads a channel.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::new(bytes, LEN_MAX, WHAT)?;
        fields.exactly(FIRST_LINE)?;
        let begin = bytes.len().saturating_sub(fields.left());
        let mut end = begin;
        let mut before: Option<Entry<'_>> = None;
        while let Some(line) = fields.row("entry or end")? {
            let entry = Entry::parse(line).ok_or_else(|| {
                fields.not("ROLE NAME COUNTER and the path of a manifest, with a blank between")
            })?;
            if before.is_some_and(|before| before.place() >= entry.place()) {
                return Err(fields.not("behind the line before it, by role and name"));
            }
            before = Some(entry);
            end = bytes.len().saturating_sub(fields.left());
        }
        fields.nothing()?;
        let lines = bytes.get(begin..end).unwrap_or_default();
        Ok(Self { lines })
    }

    /// Its entries, in the order of roles and names.
    pub fn entries(self) -> impl Iterator<Item = Entry<'a>> {
        self.lines
            .split(|byte| *byte == b'\n')
            .filter_map(Entry::parse)
    }

    /// The release for this place.
    #[must_use]
    pub fn find(self, role: Role, name: &str) -> Option<Entry<'a>> {
        self.entries()
            .find(|entry| entry.role == role && entry.name == name)
    }
}

impl<'a> Entry<'a> {
    /// One line without its end.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.split(|byte| *byte == b' ');
        let role = words.next()?;
        let role = Role::ALL
            .into_iter()
            .find(|known| known.name().as_bytes() == role)?;
        let entry = Self {
            role,
            name: good_word(words.next()?)?,
            counter: decimal(words.next()?)?,
            manifest: path(words.next()?)?,
        };
        words.next().is_none().then_some(entry)
    }

    fn place(&self) -> (u8, &'a str) {
        (self.role as u8, self.name)
    }

    /// Whether [`emit`] may write it: its words are what [`Channel::parse`] takes.
    #[must_use]
    pub fn is_good(&self) -> bool {
        good_word(self.name.as_bytes()).is_some() && path(self.manifest.as_bytes()).is_some()
    }
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            role,
            name,
            counter,
            manifest,
        } = self;
        write!(f, "{role} {name} {counter} {manifest}")
    }
}

/// Writes a channel of these entries, which are [good](Entry::is_good) and in the order of roles
/// and names.
///
/// # Errors
/// Those of `out`.
pub fn emit<'a>(
    entries: impl IntoIterator<Item = Entry<'a>>,
    out: &mut impl fmt::Write,
) -> fmt::Result {
    writeln!(out, "{FIRST_LINE}")?;
    for entry in entries {
        writeln!(out, "{entry}")?;
    }
    writeln!(out, "end")
}

/// Names with `/` between them, so that it leads down and nowhere else.
fn path(word: &[u8]) -> Option<&str> {
    let mut names = word.split(|byte| *byte == b'/');
    let is_path = names.all(|name| PackageName::parse(name).is_ok());
    let path = core::str::from_utf8(word).ok()?;
    (is_path && path.len() <= PATH_MAX).then_some(path)
}

#[cfg(test)]
mod tests;
