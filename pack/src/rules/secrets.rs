//! A regular file of the tree in, whether it is a secret out, and what becomes of it.
//!
//! Three ways to know one: its path ([`super::people`]), its contents ([`super::contents`]), and
//! that `/etc/crypttab` or `/etc/fstab` of the same tree names it. Keys of spk-visor and minisign
//! are not packed, whatever was asked for. The others are left out, unless [`Policy::Keep`] or a
//! `--keep` of their own says otherwise; then they are packed and counted.

use std::collections::BTreeSet;

use super::contents::{Found, is_published, judge, says_nothing};
use super::people::{PEOPLE, PEOPLE_IF};
use super::redact::redact;
use crate::glob::{PatternError, Patterns, States};

/// The treatment of secrets of people and services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// A copy is not their place.
    #[default]
    Leave,
    /// They are packed.
    Keep,
}

/// The treatment of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// No secret is in it.
    Pack,
    /// A secret is in it, and it is packed as asked for.
    PackSecret(&'static str),
    /// A secret of a person or a service.
    LeaveSecret(&'static str),
    /// A key of spk-visor or minisign.
    LeaveKey(&'static str),
}

/// A row of the table of paths.
#[derive(Clone, Debug)]
struct Row {
    what: &'static str,
    /// One of these must be in the file; an empty list needs no word.
    words: &'static [&'static str],
}

/// See above. It remembers the way to the last directory: files come from one after another.
#[derive(Clone, Debug)]
pub struct Secrets {
    policy: Policy,
    patterns: Patterns,
    rows: Vec<Row>,
    named: BTreeSet<Vec<u8>>,
    /// The root and the directories on the way: each with the length of its path, what matched.
    way: Vec<(usize, States)>,
    dir: Vec<u8>,
}

impl Secrets {
    /// # Errors
    /// A pattern of the tables is malformed: a test shows that none is.
    pub fn new(policy: Policy) -> Result<Self, PatternError> {
        let mut secrets = Secrets {
            policy,
            patterns: Patterns::default(),
            rows: Vec::new(),
            named: BTreeSet::new(),
            way: Vec::new(),
            dir: Vec::new(),
        };
        for (what, patterns) in PEOPLE {
            secrets.add(what, &[], patterns)?;
        }
        for (what, words, patterns) in PEOPLE_IF {
            secrets.add(what, words, patterns)?;
        }
        secrets.way.push((0, secrets.patterns.start()));
        Ok(secrets)
    }

    fn add(
        &mut self,
        what: &'static str,
        words: &'static [&'static str],
        patterns: &str,
    ) -> Result<(), PatternError> {
        for pattern in patterns.split_whitespace() {
            self.patterns.push(format!("/{pattern}").as_bytes())?;
            self.rows.push(Row { what, words });
        }
        Ok(())
    }

    /// Learns the files with keys and passwords that a `crypttab(5)` or an `fstab(5)` of the tree
    /// names.
    pub fn learn(&mut self, table: &[u8]) {
        for line in table.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
            if line.starts_with(b"#") {
                continue;
            }
            let fields: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).collect();
            let fields = fields.into_iter().filter(|field| !field.is_empty());
            let fields: Vec<&[u8]> = fields.collect();
            // crypttab: name, device, key file; fstab: device, directory, kind, options.
            let options = fields.get(3).copied().unwrap_or_default();
            let credentials = options.split(|byte| *byte == b',').filter_map(|option| {
                [&b"credentials="[..], b"cred=", b"secretfile="]
                    .iter()
                    .find_map(|key| option.strip_prefix(*key))
            });
            for path in fields.get(2).copied().into_iter().chain(credentials) {
                if let Some(path) = path.strip_prefix(b"/")
                    && !path.starts_with(b"dev/")
                {
                    self.named.insert(path.to_vec());
                }
            }
        }
    }

    /// Judges a file by its path, its mode and its contents, or the beginning of them.
    /// `is_asked_for` says that a `--keep` names it.
    pub fn rule(&mut self, path: &[u8], mode: u32, bytes: &[u8], is_asked_for: bool) -> Ruling {
        let found = judge(bytes, is_published(path, mode));
        if let Some(Found::Key(what)) = found {
            return Ruling::LeaveKey(what);
        }
        let by_contents = match found {
            Some(Found::Secret(what)) => Some(what),
            _ => None,
        };
        let is_template = by_contents.is_none() && says_nothing(bytes);
        let by_path = match is_template {
            true => None,
            false => self.by_path(path, bytes),
        };
        let Some(what) = by_path.or(by_contents) else {
            return Ruling::Pack;
        };
        match self.keeps(is_asked_for) {
            true => Ruling::PackSecret(what),
            false => Ruling::LeaveSecret(what),
        }
    }

    /// The file without the lines that are secrets, when it is one of those that are packed in any
    /// case and has some.
    #[must_use]
    pub fn redacted(&self, path: &[u8], bytes: &[u8], is_asked_for: bool) -> Option<Vec<u8>> {
        match self.keeps(is_asked_for) {
            true => None,
            false => redact(path, bytes),
        }
    }

    fn keeps(&self, is_asked_for: bool) -> bool {
        is_asked_for || self.policy == Policy::Keep
    }

    fn by_path(&mut self, path: &[u8], bytes: &[u8]) -> Option<&'static str> {
        if self.named.contains(path) {
            return Some("named by /etc/crypttab or /etc/fstab");
        }
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (dir, name) = match slash {
            Some(slash) => (path.get(..slash)?, path.get(slash.saturating_add(1)..)?),
            None => (&b""[..], path),
        };
        self.go(dir);
        let (_, states) = self.way.last()?;
        let (_, complete) = self.patterns.step(states, name);
        let rows = complete.into_iter().filter_map(|row| self.rows.get(row));
        let is_it = |row: &&Row| {
            let has = |word: &&str| contains(bytes, word.as_bytes());
            row.words.is_empty() || row.words.iter().any(has)
        };
        rows.into_iter().find(is_it).map(|row| row.what)
    }

    /// Goes to a directory, by what it has in common with the last one.
    fn go(&mut self, dir: &[u8]) {
        if self.dir == dir {
            return;
        }
        let is_above = |len: usize| {
            let (old, new) = (self.dir.get(..len), dir.get(..len));
            len == 0 || (old == new && matches!(dir.get(len), None | Some(b'/')))
        };
        let kept = self
            .way
            .iter()
            .take_while(|(len, _)| is_above(*len))
            .count();
        self.way.truncate(kept);
        let mut at = self.way.last().map_or(0, |(len, _)| *len);
        let rest = dir.get(at..).unwrap_or_default();
        for name in rest.split(|byte| *byte == b'/') {
            if name.is_empty() {
                continue;
            }
            let slash = usize::from(at > 0);
            at = at.saturating_add(slash).saturating_add(name.len());
            if let Some((_, states)) = self.way.last() {
                let (states, _) = self.patterns.step(states, name);
                self.way.push((at, states));
            }
        }
        self.dir = dir.to_vec();
    }
}

/// Whether `word` stands somewhere in a file.
#[must_use]
pub fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes
        .windows(word.len().max(1))
        .any(|window| window == word)
}

#[cfg(test)]
mod tests;
