//! The `FILES` of a content bundle: every file that it unpacks to, with its hash (`bundles.md` 2).
//!
//! In: the bytes of the list, which the bundle's manifest has signed. Out: a [`Files`] that borrows
//! from them, or the line that is wrong. There is one way to write a list, and [`Line`]'s
//! [`Display`](fmt::Display) writes each of its lines.
//!
//! The lines are in the order in which a walk comes to the files that looks at the names of each
//! directory in the order of their bytes. So a file and what would have to lie in it stand in
//! neighbouring lines, and a walk over a tree is compared with the list line by line.

use crate::digits::{Hex, decimal, digest};
use crate::field::{FieldError, Fields};
use crate::manifest::Sha256;
use crate::stream::DATA_MAX;
use core::cmp::Ordering;
use core::fmt;

/// The file, beside the content of a bundle.
pub const FILES: &str = "FILES";
/// Longest list, in bytes.
pub const LEN_MAX: usize = 16 << 20;
/// Files in a list.
pub const FILES_MAX: usize = 65_536;
/// Longest path, in bytes.
pub const PATH_MAX: usize = 1024;
/// Longest component of a path, in bytes.
pub const COMPONENT_MAX: usize = 255;
/// Components of a path.
pub const DEPTH_MAX: usize = 32;
/// First line.
pub const FIRST_LINE: &str = "smechvisor-files 1";
const WHAT: &str = "the list of files";
const WANTED: &str = "SHA256 SIZE 644|755|link PATH, or end COUNT";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Mode 644.
    Plain,
    /// Mode 755.
    Program,
    /// A symbolic link: hash and size are those of its target's text.
    Link,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Plain, Self::Program, Self::Link];

    /// As it stands in the list.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "644",
            Self::Program => "755",
            Self::Link => "link",
        }
    }

    /// The permissions of a file; those of a link mean nothing.
    #[must_use]
    pub const fn mode(self) -> u32 {
        match self {
            Self::Plain => 0o644,
            Self::Program => 0o755,
            Self::Link => 0o777,
        }
    }
}

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Of its contents.
    pub sha256: Sha256,
    /// Their length.
    pub size_bytes: u64,
    /// What it is.
    pub kind: Kind,
    /// Relative to the top of the tree.
    pub path: &'a str,
}

impl<'a> Line<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        let mut words = line.splitn(4, |byte| *byte == b' ');
        let sha256 = digest(words.next()?)?;
        let size_bytes = decimal(words.next()?).filter(|size| *size <= DATA_MAX)?;
        let word = words.next()?;
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.name().as_bytes() == word)?;
        Some(Self {
            sha256,
            size_bytes,
            kind,
            path: path(words.next()?)?,
        })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sha256, kind) = (Hex(&self.sha256), self.kind.name());
        write!(f, "{sha256} {} {kind} {}", self.size_bytes, self.path)
    }
}

/// A list that keeps every rule of `bundles.md` 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files<'a> {
    /// The lines of the files, each with its line feed.
    lines: &'a [u8],
    count: usize,
    size_bytes: u64,
    has_links: bool,
}

impl<'a> Files<'a> {
    /// Reads a list.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::new(bytes, LEN_MAX, WHAT)?;
        fields.exactly(FIRST_LINE)?;
        let lines = fields.rest();
        let (mut count, mut size_bytes, mut has_links) = (0_usize, 0_u64, false);
        let mut last: Option<&str> = None;
        loop {
            let behind = fields.rest().len();
            let text = fields.line("end")?;
            if let Some(claimed) = text.strip_prefix(b"end ") {
                if count == 0 || decimal(claimed) != u64::try_from(count).ok() {
                    return Err(fields.not("end and the number of the lines above, at least 1"));
                }
                let len = lines.len().saturating_sub(behind);
                fields.nothing()?;
                return Ok(Self {
                    lines: lines.get(..len).unwrap_or_default(),
                    count,
                    size_bytes,
                    has_links,
                });
            }
            let line = Line::read(text).ok_or_else(|| fields.not(WANTED))?;
            if last.is_some_and(|last| order(last, line.path) != Ordering::Less) {
                return Err(fields.not("behind the path of the line above"));
            }
            if last.is_some_and(|last| is_in(line.path, last)) {
                return Err(fields.not("a path beside the file of the line above, not in it"));
            }
            if count == FILES_MAX {
                return Err(fields.not("one of at most 65536 files"));
            }
            last = Some(line.path);
            count = count.saturating_add(1);
            size_bytes = size_bytes.saturating_add(line.size_bytes);
            has_links |= line.kind == Kind::Link;
        }
    }

    /// The files, in the order of a walk.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let lines = self.lines.split(|byte| *byte == b'\n');
        // They were read before; what is behind the last line feed is no line.
        lines.filter_map(Line::read)
    }

    /// How many there are, at least 1.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Bytes of all of them together.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Is one of them a symbolic link?
    #[must_use]
    pub const fn has_links(&self) -> bool {
        self.has_links
    }
}

/// Which of two paths a walk comes to first.
#[must_use]
pub fn order(a: &str, b: &str) -> Ordering {
    a.split('/').cmp(b.split('/'))
}

/// Is `path` below `directory`?
#[must_use]
pub fn is_in(path: &str, directory: &str) -> bool {
    let rest = path.strip_prefix(directory);
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// A path as a content bundle may have it: 1 to [`PATH_MAX`] bytes of UTF-8 without control
/// characters, of 1 to [`DEPTH_MAX`] components joined by single slashes, none of them `.` or `..`
/// or longer than [`COMPONENT_MAX`].
#[must_use]
pub fn path(bytes: &[u8]) -> Option<&str> {
    let path = core::str::from_utf8(bytes).ok()?;
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.len() <= COMPONENT_MAX;
    let is_good = path.len() <= PATH_MAX
        && path.split('/').count() <= DEPTH_MAX
        && path.split('/').all(is_name)
        && !path.contains(char::is_control);
    is_good.then_some(path)
}

#[cfg(test)]
mod tests;
