//! The disk gate (`disk-gate.md`): which disk a deploy may take, and why no other. A pure function
//! of what was seen and what was asked for. What may be taken comes out as [`Cleared`], without
//! which no disk is opened for writing.
//!
//! Nothing that holds data is taken by default; a person confirms a wipe by typing part of the very
//! disk's serial number.

use std::fmt;
use std::path::Path;

use disk::contents::DiskContents;
use thiserror::Error;
use uuid::Uuid;
use wire::outcome::Outcome;

use crate::inventory::{Found, Transport, wwn};

pub use cleared::Cleared;
pub use reinstall::Reinstall;
use reinstall::name_of;
pub use selector::{Selector, SelectorError};

mod cleared;
pub mod reinstall;
mod selector;

const GIB: u64 = 1 << 30;
/// A confirmation repeats this many characters of the serial number's end.
const CONFIRM_LEN: usize = 6;

/// The contents of a disk, or the reason why they are unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// It was looked at.
    Holds(DiskContents),
    /// It could not be read; the kernel's reason.
    Unreadable(String),
}

impl Contents {
    /// Blank, or left by our own interrupted deploy (`disk-layout.md`): nothing of value.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        matches!(self, Contents::Holds(contents) if contents.is_free())
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contents::Holds(contents) => contents.fmt(f),
            Contents::Unreadable(reason) => write!(f, "unreadable: {reason}"),
        }
    }
}

/// A disk and what is on it. [`crate::disks`] alone makes one, of a disk that it has looked at:
/// [`choose`] clears no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    disk: Found,
    contents: Contents,
}

impl Candidate {
    pub(crate) const fn new(disk: Found, contents: Contents) -> Self {
        Self { disk, contents }
    }

    /// A disk that nobody has looked at, for tests of screens.
    #[cfg(feature = "fakes")]
    #[must_use]
    pub const fn made_up(disk: Found, contents: Contents) -> Self {
        Self { disk, contents }
    }

    /// From the inventory.
    #[must_use]
    pub const fn disk(&self) -> &Found {
        &self.disk
    }

    /// From the disk itself.
    #[must_use]
    pub const fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The text to type to have this disk wiped: the end of its serial number, or all of it
    /// where contents are protected. A disk without one is confirmed by its name in the whole
    /// world, and one without either by its path.
    #[must_use]
    pub fn confirmation(&self) -> String {
        let Some(identity) = self.identity() else {
            return self.disk.path.display().to_string();
        };
        let end = identity.get(identity.len().saturating_sub(CONFIRM_LEN)..);
        match self.protected() {
            Some(_) => identity.to_owned(),
            None => end.unwrap_or(identity).to_owned(),
        }
    }

    fn identity(&self) -> Option<&str> {
        self.disk.serial.as_deref().or(self.disk.wwn.as_deref())
    }

    /// The part of the contents that takes the whole word.
    #[must_use]
    pub fn protected(&self) -> Option<&str> {
        match &self.contents {
            Contents::Holds(
                DiskContents::Occupied { protected, .. }
                | DiskContents::Installed { protected, .. },
            ) => protected.as_deref(),
            Contents::Holds(_) | Contents::Unreadable(_) => None,
        }
    }

    /// A medium that a Deploy Shim boots from, perhaps the one that runs.
    #[must_use]
    pub const fn is_shim_medium(&self) -> bool {
        matches!(
            self.contents,
            Contents::Holds(DiskContents::Occupied {
                is_shim_medium: true,
                ..
            })
        )
    }

    const fn is_readable(&self) -> bool {
        matches!(self.contents, Contents::Holds(_))
    }

    /// May what is on this disk go? The one place where that is decided.
    fn is_confirmed(&self, wish: &Wish) -> bool {
        match self.installation() {
            Some(root) => wish.reinstall.allows(root, self.is_wiped(wish)),
            None => self.is_wiped(wish),
        }
    }

    /// The root partition of a system that we have installed here.
    #[must_use]
    pub const fn installation(&self) -> Option<Uuid> {
        match &self.contents {
            Contents::Holds(DiskContents::Installed { root, .. }) => Some(root.guid),
            Contents::Holds(_) | Contents::Unreadable(_) => None,
        }
    }

    /// Was the word for its contents given?
    fn is_wiped(&self, wish: &Wish) -> bool {
        let Some(wipe) = wish.wipe.as_deref() else {
            return false;
        };
        match self.identity() {
            // The whole of it is never wrong.
            Some(identity) => {
                wipe == identity || wipe == self.confirmation() || {
                    let name = wwn(wipe);
                    name.is_some() && name == self.disk.wwn
                }
            }
            None => self.disk.path == Path::new(wipe),
        }
    }

    /// Is it one of those that somebody who has named no disk cannot have meant?
    fn is_apart(&self) -> bool {
        self.disk.is_removable || self.disk.is_read_only || self.is_shim_medium()
    }

    /// One of those that a description may fit by chance, and did this one mean it?
    fn is_meant_by(&self, selector: &Selector) -> bool {
        selector.is_name()
            || !self.is_shim_medium() && (!self.disk.is_removable || selector.has_transport())
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = &self.disk;
        write!(f, "{} (", disk.path.display())?;
        if disk.size_bytes < 16 * GIB {
            write!(f, "{} MiB", disk.size_bytes >> 20)?;
        } else {
            write!(f, "{} GiB", disk.size_bytes / GIB)?;
        }
        if disk.transport != Transport::Other {
            write!(f, ", {}", disk.transport)?;
        }
        for text in [&disk.vendor, &disk.model].into_iter().flatten() {
            write!(f, ", {text}")?;
        }
        let serial = disk.serial.as_deref().unwrap_or("none");
        write!(f, ", serial {serial}")?;
        if let Some(wwn) = &disk.wwn {
            write!(f, ", wwn {wwn}")?;
        }
        let remarks = [
            (disk.is_removable, "removable"),
            (disk.is_read_only, "read-only"),
            (self.is_shim_medium(), "medium of a Deploy Shim"),
        ];
        for (_, remark) in remarks.into_iter().filter(|(is_true, _)| *is_true) {
            write!(f, ", {remark}")?;
        }
        write!(f, "): {}", self.contents)
    }
}

/// The operator's choice of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The disk to take.
    pub disk: Option<Selector>,
    /// Confirmation that what is on it may go: see [`Candidate::confirmation`].
    pub wipe: Option<String>,
    /// Whether an installed system may be replaced.
    pub reinstall: Reinstall,
}

/// The disks that were seen, for an error that tells all: each on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(Vec<Candidate>);

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(" no disk");
        }
        for candidate in &self.0 {
            write!(f, "\n{candidate}")?;
        }
        Ok(())
    }
}

/// Why no disk is taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GateError {
    /// The machine has no disk.
    #[error("choosing a disk: no disk was found")]
    NoDisk,
    /// None may be taken without a word.
    #[error(
        "choosing a disk: none may be taken without a word; name one with disk= and, where it is not blank, confirm with \
         wipe=; seen:{seen}"
    )]
    NoneFree {
        /// The disks of the machine.
        seen: Seen,
    },
    /// Several would do.
    #[error("choosing a disk: {count} may be taken; name one with disk=; seen:{seen}")]
    Ambiguous {
        /// How many would do.
        count: usize,
        /// The disks of the machine.
        seen: Seen,
    },
    /// The one that is meant is not there, or not there yet.
    #[error("choosing disk {wanted}: not found; seen:{seen}")]
    NotFound {
        /// The selector.
        wanted: Selector,
        /// The disks of the machine.
        seen: Seen,
    },
    /// More than one disk is like that, two with one serial number included.
    #[error("choosing disk {wanted}: {count} disks are like that; say more of it; seen:{seen}")]
    Several {
        /// The selector.
        wanted: Selector,
        /// How many.
        count: usize,
        /// The disks of the machine.
        seen: Seen,
    },
    /// It fits a description, but nobody means such a disk without saying so.
    #[error(
        "choosing disk {wanted}: only {candidate} is like that, which has to be named by path, serial number or wwn{}",
        if candidate.is_shim_medium() { "" } else { ", or by its transport" }
    )]
    NotNamed {
        /// The selector.
        wanted: Selector,
        /// The disk that matches.
        candidate: Box<Candidate>,
    },
    /// It cannot be written.
    #[error("choosing disk {candidate}: it is read-only")]
    ReadOnly {
        /// The disk.
        candidate: Box<Candidate>,
    },
    /// It cannot be read, so nothing may be said about what is on it.
    #[error("choosing disk {candidate}: it cannot be read")]
    Unreadable {
        /// The disk.
        candidate: Box<Candidate>,
    },
    /// It holds a system that we have installed, and nobody said that this one may go.
    #[error(
        "choosing disk {candidate}; reinstall={} would replace it{}",
        name_of(*root),
        match (*is_always, *is_wipe_given) {
            (true, _) => format!(", or wipe={} with reinstall=always", candidate.confirmation()),
            (false, true) => ", wipe= alone does not".to_owned(),
            (false, false) => String::new(),
        }
    )]
    Installed {
        /// The disk.
        candidate: Box<Candidate>,
        /// Its root partition.
        root: Uuid,
        /// Was there a word that would do for other contents?
        is_wipe_given: bool,
        /// Would the right one be enough?
        is_always: bool,
    },
    /// It holds data and nobody confirmed that they may go.
    #[error(
        "choosing disk {candidate}: {}; wipe={} would confirm{}",
        candidate.protected().map_or_else(
            || "it is not blank".to_owned(),
            |what| format!("more than this disk may be lost with {what}")
        ),
        candidate.confirmation(),
        given.as_ref().map(|given| format!(", wipe={given} does not")).unwrap_or_default()
    )]
    NotBlank {
        /// The disk.
        candidate: Box<Candidate>,
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

/// Chooses the disk to take, and clears it.
///
/// # Errors
/// None may be taken; the error lists everything that was seen.
pub fn choose(candidates: &[Candidate], wish: &Wish) -> Result<Cleared, GateError> {
    let chosen = match &wish.disk {
        Some(selector) => meant(candidates, selector, wish),
        None => only_free(candidates, wish),
    };
    chosen.map(Cleared::new)
}

/// Somebody said which: exactly one disk is like that.
fn meant<'a>(
    candidates: &'a [Candidate],
    selector: &Selector,
    wish: &Wish,
) -> Result<&'a Candidate, GateError> {
    let like_that: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| selector.matches(&candidate.disk))
        .collect();
    let meant: Vec<&Candidate> = like_that
        .iter()
        .copied()
        .filter(|candidate| candidate.is_meant_by(selector))
        .collect();
    let (wanted, seen) = (selector.clone(), || Seen(candidates.to_vec()));
    let candidate = match (meant.as_slice(), like_that.as_slice()) {
        ([candidate], _) => *candidate,
        ([], []) => {
            let seen = seen();
            return Err(GateError::NotFound { wanted, seen });
        }
        ([], [candidate]) => {
            let candidate = Box::new(Candidate::clone(candidate));
            return Err(GateError::NotNamed { wanted, candidate });
        }
        (meant, like_that) => {
            return Err(GateError::Several {
                wanted,
                count: meant.len().max(like_that.len()),
                seen: seen(),
            });
        }
    };
    let boxed = || Box::new(candidate.clone());
    if candidate.disk.is_read_only {
        return Err(GateError::ReadOnly { candidate: boxed() });
    }
    if !candidate.is_readable() {
        return Err(GateError::Unreadable { candidate: boxed() });
    }
    if candidate.contents.is_free() || candidate.is_confirmed(wish) {
        return Ok(candidate);
    }
    Err(not_confirmed(candidate, wish))
}

fn not_confirmed(candidate: &Candidate, wish: &Wish) -> GateError {
    let given = wish.wipe.clone();
    let boxed = Box::new(candidate.clone());
    match candidate.installation() {
        Some(root) if wish.reinstall != Reinstall::ByHand => GateError::Installed {
            candidate: boxed,
            root,
            is_wipe_given: given.is_some(),
            is_always: wish.reinstall == Reinstall::Always,
        },
        _ => GateError::NotBlank {
            candidate: boxed,
            given,
        },
    }
}

/// Nothing is named: exactly one fixed, writable disk that is blank, or that a `wipe` names by the
/// end of its serial number.
fn only_free<'a>(candidates: &'a [Candidate], wish: &Wish) -> Result<&'a Candidate, GateError> {
    let fixed: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| !candidate.is_apart())
        .collect();
    let free: Vec<&Candidate> = fixed
        .iter()
        .copied()
        .filter(|candidate| {
            candidate.contents.is_free() || candidate.is_readable() && candidate.is_confirmed(wish)
        })
        .collect();
    // A machine that we have installed is not given a second system because there is a second disk.
    let mut fixed_ones = fixed.iter();
    let held = fixed_ones.find(|disk| disk.installation().is_some() && !disk.is_confirmed(wish));
    if let Some(candidate) = held
        && wish.reinstall != Reinstall::ByHand
    {
        return Err(not_confirmed(candidate, wish));
    }
    if let [candidate] = *free.as_slice() {
        return Ok(candidate);
    }
    let seen = Seen(candidates.to_vec());
    match (fixed.as_slice(), free.len()) {
        _ if candidates.is_empty() => Err(GateError::NoDisk),
        // One disk and it is not free: say at once which word would confirm it.
        ([candidate], 0) if candidate.is_readable() => Err(not_confirmed(candidate, wish)),
        (_, 0) => Err(GateError::NoneFree { seen }),
        (_, count) => Err(GateError::Ambiguous { count, seen }),
    }
}

#[cfg(test)]
mod tests;
