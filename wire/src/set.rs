//! `SET`: the packages that lie over a node's `/usr` together (`node-packages.md 2`).
//!
//! In: the bytes of the file, which the node itself has written. Out: a [`Set`], or the line that
//! is wrong. There is one way to write it. A set is named by the SHA-256 of its text, so that the
//! same packages are the same set, whatever number it has.

use crate::digits::{Hex, decimal, digest};
use crate::field::{FieldError, Fields};
use crate::ledger::Version;
use crate::package;
use core::fmt;
use heapless::Vec;

/// The file, in the directory of a set.
pub const SET: &str = "SET";
/// Packages of a set. Their directories fit into the options of one overlay.
pub const MEMBERS_MAX: usize = 128;
/// Longest text, in bytes.
pub const LEN_MAX: usize = 24 << 10;
const FIRST_LINE: &str = "smechvisor-set 1";
const WHAT: &str = "the set";

/// Packages, in the order of their names; none at all are a set, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set<'a> {
    members: Vec<Member<'a>, MEMBERS_MAX>,
}

/// A generation of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Of the package.
    pub name: &'a str,
    /// The digest of its manifest, and the counter.
    pub version: Version,
}

impl<'a> Set<'a> {
    /// One of these, in any order.
    ///
    /// # Errors
    /// What [`parse`](Self::parse) would refuse: the member that is wrong or one too many.
    pub fn new(members: impl IntoIterator<Item = Member<'a>>) -> Result<Self, Member<'a>> {
        let mut set = Self::default();
        for member in members {
            let is_new = set.find(member.name).is_none();
            if !is_new || package::name(member.name.as_bytes()).is_none() {
                return Err(member);
            }
            set.members.push(member).map_err(|_| member)?;
        }
        set.members.sort_unstable_by_key(|member| member.name);
        Ok(set)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::new(bytes, LEN_MAX, WHAT)?;
        fields.exactly(FIRST_LINE)?;
        let mut set = Self::default();
        while let Some(value) = fields.optional("package")? {
            let wanted = "NAME COUNTER SHA-256, in at most 128 lines";
            let member = Member::read(value).ok_or_else(|| fields.not(wanted))?;
            let is_behind = |last: &Member<'_>| last.name < member.name;
            if !set.members.last().is_none_or(is_behind) {
                return Err(fields.not("behind the line before it, by name"));
            }
            set.members.push(member).map_err(|_| fields.not(wanted))?;
        }
        fields.end()?;
        Ok(set)
    }

    /// In the order of their names.
    #[must_use]
    pub fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// The member of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Member<'a>> {
        self.members.iter().find(|member| member.name == name)
    }
}

impl<'a> Member<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let mut words = value.split(|byte| *byte == b' ');
        let member = Self {
            name: package::name(words.next()?)?,
            version: Version {
                counter: decimal(words.next()?)?,
                digest: digest(words.next()?)?,
            },
        };
        words.next().is_none().then_some(member)
    }
}

impl fmt::Display for Set<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        for Member { name, version } in &self.members {
            let Version { digest, counter } = version;
            writeln!(f, "package {name} {counter} {}", Hex(digest))?;
        }
        f.write_str("end\n")
    }
}

#[cfg(test)]
mod tests;
