//! The disk gate: which disk a deploy may take, and why no other. A pure function of what was seen and what was asked for.
//!
//! Nothing that holds data is taken by default; a person confirms a wipe by typing part of the very disk's serial number.

use std::fmt;
use std::path::Path;

use install::state::State;
use thiserror::Error;
use wire::outcome::Outcome;

use crate::inventory::Found;

/// A confirmation repeats this many characters of the serial number's end.
const CONFIRM_LEN: usize = 6;

/// What is on a disk, or why that cannot be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Its first and last MiB tell.
    Holds(State),
    /// It could not be read; the kernel's reason.
    Unreadable(String),
}

impl Contents {
    /// Blank, or left by our own interrupted deploy (`disk-layout.md`): nothing of value.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        matches!(self, Contents::Holds(state) if state.is_free())
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contents::Holds(state) => state.fmt(f),
            Contents::Unreadable(reason) => write!(f, "unreadable: {reason}"),
        }
    }
}

/// A disk and what is on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// From the inventory.
    pub disk: Found,
    /// From its first and last MiB.
    pub contents: Contents,
}

impl Candidate {
    fn is_named(&self, name: &str) -> bool {
        self.disk.path == Path::new(name) || self.disk.serial.as_deref() == Some(name)
    }

    /// What a person types to have this disk wiped: the end of its serial number, or its path when it has none.
    #[must_use]
    pub fn confirmation(&self) -> String {
        match &self.disk.serial {
            Some(serial) => serial
                .get(serial.len().saturating_sub(CONFIRM_LEN)..)
                .unwrap_or(serial)
                .to_owned(),
            None => self.disk.path.display().to_string(),
        }
    }

    const fn is_readable(&self) -> bool {
        matches!(self.contents, Contents::Holds(_))
    }

    fn is_confirmed(&self, wipe: &str) -> bool {
        self.disk.path == Path::new(wipe)
            || self.disk.serial.is_some() && self.confirmation() == wipe
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = &self.disk;
        write!(
            f,
            "{} ({} MiB, {}, serial {}, ",
            disk.path.display(),
            disk.size_bytes / (1024 * 1024),
            disk.transport,
            disk.serial.as_deref().unwrap_or("none")
        )?;
        if disk.is_removable {
            f.write_str("removable, ")?;
        }
        if disk.is_read_only {
            f.write_str("read-only, ")?;
        }
        write!(f, "{})", self.contents)
    }
}

/// What the person in charge asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Path or serial number of the disk to take.
    pub disk: Option<String>,
    /// Confirmation that what is on it may go: see [`Candidate::confirmation`].
    pub wipe: Option<String>,
}

/// The disks that were seen, for an error that tells all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(Vec<Candidate>);

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no disk");
        }
        for (index, candidate) in self.0.iter().enumerate() {
            write!(f, "{}{candidate}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Why no disk is taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GateError {
    /// There is none at all.
    #[error("choosing a disk: no disk was found")]
    NoDisk,
    /// None may be taken without a word.
    #[error(
        "choosing a disk: none is blank; seen: {seen}; name one with disk= and confirm with wipe="
    )]
    NoneFree {
        /// What there is.
        seen: Seen,
    },
    /// Several would do.
    #[error("choosing a disk: {count} are blank; seen: {seen}; name one with disk=")]
    Ambiguous {
        /// How many would do.
        count: usize,
        /// What there is.
        seen: Seen,
    },
    /// The named one is not there, or not there yet.
    #[error("choosing disk {wanted}: not found; seen: {seen}")]
    NotFound {
        /// Path or serial number.
        wanted: String,
        /// What there is.
        seen: Seen,
    },
    /// Two disks with one serial number: only a path can tell them apart.
    #[error("choosing disk {wanted}: {count} disks have this serial number; seen: {seen}")]
    SameSerial {
        /// The serial number.
        wanted: String,
        /// How many disks have it.
        count: usize,
        /// What there is.
        seen: Seen,
    },
    /// It cannot be written.
    #[error("choosing disk {candidate}: it is read-only")]
    ReadOnly {
        /// Which.
        candidate: Box<Candidate>,
    },
    /// It cannot be read, so nothing may be said about what is on it.
    #[error("choosing disk {candidate}: it cannot be read")]
    Unreadable {
        /// Which.
        candidate: Box<Candidate>,
    },
    /// It holds data and nobody confirmed that they may go.
    #[error("choosing disk {candidate}: it is not blank; wipe={confirm} would confirm{}", given.as_ref().map(|given| format!(", wipe={given} does not")).unwrap_or_default())]
    NotBlank {
        /// Which.
        candidate: Box<Candidate>,
        /// The word that would do.
        confirm: String,
        /// The word that was given.
        given: Option<String>,
    },
}

impl GateError {
    /// Another donor changes nothing, another disk does: the machine waits and looks again.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Refuse
    }
}

/// Chooses the disk to take.
///
/// # Errors
/// None may be taken; the error lists everything that was seen.
pub fn choose<'a>(candidates: &'a [Candidate], wish: &Wish) -> Result<&'a Candidate, GateError> {
    match &wish.disk {
        Some(name) => named(candidates, name, wish.wipe.as_deref()),
        None => only_free(candidates, wish.wipe.as_deref()),
    }
}

fn named<'a>(
    candidates: &'a [Candidate],
    name: &str,
    wipe: Option<&str>,
) -> Result<&'a Candidate, GateError> {
    let matching: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| candidate.is_named(name))
        .collect();
    let [candidate] = *matching.as_slice() else {
        let (wanted, seen) = (name.to_owned(), Seen(candidates.to_vec()));
        return Err(match matching.len() {
            0 => GateError::NotFound { wanted, seen },
            count => GateError::SameSerial {
                wanted,
                count,
                seen,
            },
        });
    };
    let boxed = || Box::new(candidate.clone());
    if candidate.disk.is_read_only {
        return Err(GateError::ReadOnly { candidate: boxed() });
    }
    if !candidate.is_readable() {
        return Err(GateError::Unreadable { candidate: boxed() });
    }
    if candidate.contents.is_free() || wipe.is_some_and(|wipe| candidate.is_confirmed(wipe)) {
        return Ok(candidate);
    }
    Err(GateError::NotBlank {
        candidate: boxed(),
        confirm: candidate.confirmation(),
        given: wipe.map(str::to_owned),
    })
}

/// Nothing is named: exactly one fixed, writable disk that is blank, or that a `wipe` names by the end of its serial number.
fn only_free<'a>(
    candidates: &'a [Candidate],
    wipe: Option<&str>,
) -> Result<&'a Candidate, GateError> {
    let fixed: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| !candidate.disk.is_removable && !candidate.disk.is_read_only)
        .collect();
    let is_confirmed =
        |candidate: &Candidate| wipe.is_some_and(|wipe| candidate.is_confirmed(wipe));
    let free: Vec<&Candidate> = fixed
        .iter()
        .copied()
        .filter(|candidate| {
            candidate.contents.is_free() || candidate.is_readable() && is_confirmed(candidate)
        })
        .collect();
    if let [candidate] = *free.as_slice() {
        return Ok(candidate);
    }
    let seen = Seen(candidates.to_vec());
    match (fixed.as_slice(), free.len()) {
        _ if candidates.is_empty() => Err(GateError::NoDisk),
        // One disk and it is not free: say at once which word would confirm it.
        ([candidate], 0) if candidate.is_readable() => Err(GateError::NotBlank {
            candidate: Box::new(Candidate::clone(candidate)),
            confirm: candidate.confirmation(),
            given: wipe.map(str::to_owned),
        }),
        (_, 0) => Err(GateError::NoneFree { seen }),
        (_, count) => Err(GateError::Ambiguous { count, seen }),
    }
}

#[cfg(test)]
mod tests;
