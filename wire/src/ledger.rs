//! The ledger of a machine that updates itself: which version it runs, which one it tries, what it
//! will not take and what has failed (`update.md` 1).
//!
//! In: the bytes of its file on the state partition, which a power cut or a person may have
//! spoilt. Out: a [`Ledger`], or the line that is wrong. There is exactly one way to write a
//! ledger, and its [`Display`](fmt::Display) does. What the ledger says never decides what boots:
//! that is the boot record's part.
//!
//! The counter of rollbacks stands for a flag and for what the flag is made of: with two of them
//! in a row updates stop.

mod line;

use crate::digits::Hex;
use crate::manifest::Sha256;
use core::fmt;
use heapless::{String, Vec};
use line::Lines;

pub use line::{LedgerError, LedgerFault};

/// First line.
pub const FIRST_LINE: &str = "smechvisor-ledger 1";
/// Keys with a floor of their own: as many as a machine trusts.
pub const FLOORS_MAX: usize = 16;
/// Failures that are remembered; the oldest is dropped for a new one.
pub const FAILED_MAX: usize = 32;
/// Longest reason of a failure, in bytes.
pub const WORD_MAX: usize = 32;
/// Rollbacks in a row that stop updates.
pub const ROLLBACKS_STOP: u8 = 2;
/// Longest ledger, in bytes.
pub const LEN_MAX: usize = 8192;

const DIGEST_LEN: usize = 64;
const KEY_LEN: usize = 16;
/// A number of 64 bits.
const NUMBER_LEN: usize = 20;
/// The lines that are always there, with room to spare.
const FIXED_LEN: usize = 64 + 3 * (DIGEST_LEN + KEY_LEN + NUMBER_LEN + 16);
const FLOOR_LEN: usize = "floor ".len() + KEY_LEN + 1 + NUMBER_LEN + 1;
const FAILED_LEN: usize = "failed ".len() + DIGEST_LEN + 1 + NUMBER_LEN + 3 + WORD_MAX + 1;
const _: () = assert!(FIXED_LEN + FLOORS_MAX * FLOOR_LEN + FAILED_MAX * FAILED_LEN <= LEN_MAX);

/// The name of a version that is compared, and its place in the order of releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// SHA-256 of its manifest.
    pub digest: Sha256,
    /// Goes up with each release.
    pub counter: u64,
}

/// Which key has signed: the number that minisign gives it, as minisign shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub u64);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// A version that is about to be tried, or is being tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// What is tried.
    pub version: Version,
    /// The key that signed it; its floor rises when the trial is confirmed. `None` for a version
    /// that was here before.
    pub key: Option<KeyId>,
    /// Attempts that it was given, 0 to 9.
    pub left: u8,
}

/// The lowest counter that is taken from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Whose.
    pub key: KeyId,
    /// The highest counter that was confirmed.
    pub counter: u64,
}

/// Why a version failed: 1 to [`WORD_MAX`] of `[a-z0-9-]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(String<WORD_MAX>);

impl Word {
    /// `None` when it is not of that form.
    #[must_use]
    pub fn new(word: &str) -> Option<Self> {
        let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if word.is_empty() || !word.bytes().all(is_good) {
            return None;
        }
        String::try_from(word).ok().map(Self)
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A version that is not tried again by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which one.
    pub version: Version,
    /// How often it was started, 0 to 9.
    pub tries: u8,
    /// Why.
    pub word: Word,
}

/// The ledger. Its default is what a machine has that was never updated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// What was confirmed last; `None` when that was never written down.
    pub current: Option<Version>,
    /// What was confirmed before it and still is in the other slot.
    pub previous: Option<Version>,
    /// What is tried.
    pub trial: Option<Trial>,
    floors: Vec<Floor, FLOORS_MAX>,
    failed: Vec<Failed, FAILED_MAX>,
    rollbacks: u8,
}

impl Ledger {
    /// Reads a ledger.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, LedgerError> {
        let mut lines = Lines::new(bytes)?;
        lines.first(FIRST_LINE)?;
        let mut ledger = Self::default();
        let mut line = lines.field("current")?;
        ledger.current = line.version()?;
        line.ends()?;
        let mut line = lines.field("previous")?;
        ledger.previous = line.version()?;
        line.ends()?;
        let mut line = lines.field("trial")?;
        let version = line.version()?;
        let (key, left) = (line.key()?, line.digit("attempts")?);
        ledger.trial = version.map(|version| Trial { version, key, left });
        if version.is_none() && (key.is_some() || left > 0) {
            return Err(line.fault(LedgerFault::NothingTried));
        }
        line.ends()?;
        while let Some(mut line) = lines.optional_field("floor")? {
            let floor = line.floor()?;
            line.ends()?;
            let is_after = |last: &Floor| last.key < floor.key;
            if !ledger.floors.last().is_none_or(is_after) {
                return Err(line.fault(LedgerFault::Order));
            }
            let pushed = ledger.floors.push(floor);
            pushed.map_err(|_| line.fault(LedgerFault::TooMany(FLOORS_MAX)))?;
        }
        while let Some(mut line) = lines.optional_field("failed")? {
            let failed = line.failed()?;
            line.ends()?;
            if ledger.failure(&failed.version.digest).is_some() {
                return Err(line.fault(LedgerFault::Repeated));
            }
            let pushed = ledger.failed.push(failed);
            pushed.map_err(|_| line.fault(LedgerFault::TooMany(FAILED_MAX)))?;
        }
        let mut line = lines.field("rollbacks")?;
        ledger.rollbacks = line.digit("rollbacks")?;
        line.ends()?;
        lines.field("end")?.ends()?;
        lines.finish()?;
        Ok(ledger)
    }

    /// The floors, in the order of their keys.
    #[must_use]
    pub fn floors(&self) -> &[Floor] {
        &self.floors
    }

    /// The lowest counter that is taken from this key; a new key begins at 0.
    #[must_use]
    pub fn floor(&self, key: KeyId) -> u64 {
        let floor = self.floors.iter().find(|floor| floor.key == key);
        floor.map_or(0, |floor| floor.counter)
    }

    /// Takes nothing below `counter` from this key any more. A floor never sinks. With
    /// [`FLOORS_MAX`] other keys the one with the lowest counter makes room.
    pub fn raise_floor(&mut self, key: KeyId, counter: u64) {
        if let Some(floor) = self.floors.iter_mut().find(|floor| floor.key == key) {
            floor.counter = floor.counter.max(counter);
            return;
        }
        if self.floors.is_full() {
            let floors = self.floors.iter().enumerate();
            if let Some((lowest, _)) = floors.min_by_key(|(_, floor)| floor.counter) {
                self.floors.remove(lowest);
            }
        }
        let at = self.floors.partition_point(|floor| floor.key < key);
        // There is room now, and `at` is at most the length.
        let _ = self.floors.insert(at, Floor { key, counter });
    }

    /// The failures, oldest first.
    #[must_use]
    pub fn failed(&self) -> &[Failed] {
        &self.failed
    }

    /// The failure of this version, if it has failed.
    #[must_use]
    pub fn failure(&self, digest: &Sha256) -> Option<&Failed> {
        self.failed
            .iter()
            .find(|failed| failed.version.digest == *digest)
    }

    /// Remembers a failure, in place of an earlier one of the same version; the oldest of
    /// [`FAILED_MAX`] is dropped for it.
    pub fn remember(&mut self, failed: Failed) {
        self.forgive(&failed.version.digest);
        if self.failed.is_full() {
            self.failed.remove(0);
        }
        // There is room now.
        let _ = self.failed.push(failed);
    }

    /// Forgets the failure of this version: a person wants it tried again.
    pub fn forgive(&mut self, digest: &Sha256) {
        self.failed
            .retain(|failed| failed.version.digest != *digest);
    }

    /// Rollbacks in a row: since a version was confirmed, or a person wanted to go on.
    #[must_use]
    pub const fn rollbacks(&self) -> u8 {
        self.rollbacks
    }

    /// Have [`ROLLBACKS_STOP`] rollbacks in a row stopped updates?
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.rollbacks >= ROLLBACKS_STOP
    }

    /// One more rollback; the count ends at nine.
    pub fn count_rollback(&mut self) {
        self.rollbacks = self.rollbacks.saturating_add(1).min(9);
    }

    /// A version was confirmed, or a person wants to go on.
    pub fn reset_rollbacks(&mut self) {
        self.rollbacks = 0;
    }
}

/// The ledger's file.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        writeln!(f, "current {}", Named(self.current.as_ref()))?;
        writeln!(f, "previous {}", Named(self.previous.as_ref()))?;
        match &self.trial {
            None => writeln!(f, "trial {} - 0", Named(None))?,
            Some(Trial { version, key, left }) => {
                let left = (*left).min(9);
                write!(f, "trial {} ", Named(Some(version)))?;
                match key {
                    None => writeln!(f, "- {left}")?,
                    Some(key) => writeln!(f, "{key} {left}")?,
                }
            }
        }
        for Floor { key, counter } in &self.floors {
            writeln!(f, "floor {key} {counter}")?;
        }
        for failed in &self.failed {
            let (version, tries) = (Named(Some(&failed.version)), failed.tries.min(9));
            writeln!(f, "failed {version} {tries} {}", failed.word.as_str())?;
        }
        writeln!(f, "rollbacks {}\nend", self.rollbacks)
    }
}

/// A version as two words, `- 0` when there is none.
struct Named<'a>(Option<&'a Version>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("- 0"),
            Some(version) => write!(f, "{} {}", Hex(&version.digest), version.counter),
        }
    }
}

#[cfg(test)]
mod tests;
