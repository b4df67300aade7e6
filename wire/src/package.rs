//! A package's `PACKAGE`: which other packages have to be beside it (`node-packages.md 1`).
//!
//! In: the bytes of the file, which the bundle's manifest has signed. Out: a [`Package`], or the
//! line that is wrong. There is one way to write it.

use crate::digits::decimal;
use crate::field::{FieldError, Fields};
use crate::manifest::good_word;
use core::fmt;
use heapless::Vec;

/// The file, beside the content of a bundle.
pub const PACKAGE: &str = "PACKAGE";
/// Longest text, in bytes.
pub const LEN_MAX: usize = 4096;
/// Packages that one may need.
pub const NEEDS_MAX: usize = 32;
const FIRST_LINE: &str = "smechvisor-package 1";
const WHAT: &str = "the package";

/// What a package says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package<'a> {
    needs: Vec<Need<'a>, NEEDS_MAX>,
}

/// A package that has to be there, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need<'a> {
    /// Its name.
    pub name: &'a str,
    /// The lowest counter that does.
    pub counter: u64,
}

impl<'a> Package<'a> {
    /// One that needs these, in any order.
    ///
    /// # Errors
    /// What [`parse`](Self::parse) would refuse: the number of the need that is wrong, from 0.
    pub fn new(needs: impl IntoIterator<Item = Need<'a>>) -> Result<Self, usize> {
        let mut package = Self::default();
        for (at, need) in needs.into_iter().enumerate() {
            let is_new = package.needs.iter().all(|other| other.name != need.name);
            if !is_new || name(need.name.as_bytes()).is_none() {
                return Err(at);
            }
            package.needs.push(need).map_err(|_| at)?;
        }
        package.needs.sort_unstable_by_key(|need| need.name);
        Ok(package)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::new(bytes, LEN_MAX, WHAT)?;
        fields.exactly(FIRST_LINE)?;
        let mut package = Self::default();
        while let Some(value) = fields.optional("needs")? {
            let wanted = "NAME COUNTER, in at most 32 lines";
            let need = Need::read(value).ok_or_else(|| fields.not(wanted))?;
            let is_behind = |last: &Need<'_>| last.name < need.name;
            if !package.needs.last().is_none_or(is_behind) {
                return Err(fields.not("behind the line before it, by name"));
            }
            package.needs.push(need).map_err(|_| fields.not(wanted))?;
        }
        fields.end()?;
        Ok(package)
    }

    /// In the order of their names.
    #[must_use]
    pub fn needs(&self) -> &[Need<'a>] {
        &self.needs
    }
}

impl<'a> Need<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let mut words = value.split(|byte| *byte == b' ');
        let need = Self {
            name: name(words.next()?)?,
            counter: decimal(words.next()?)?,
        };
        words.next().is_none().then_some(need)
    }
}

/// The name of a package: a word that begins with a letter or a digit.
#[must_use]
pub fn name(word: &[u8]) -> Option<&str> {
    let name = good_word(word)?;
    word.first()?.is_ascii_alphanumeric().then_some(name)
}

impl fmt::Display for Package<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        for Need { name, counter } in &self.needs {
            writeln!(f, "needs {name} {counter}")?;
        }
        f.write_str("end\n")
    }
}

#[cfg(test)]
mod tests;
