//! What happens to the packages of a node, as values; [`Display`](fmt::Display) says it to a
//! person, `json::sets` to a script.

use std::fmt;

use store::sets::BOOTS;

/// A package by name and counter.
pub type Member = (String, u64);

/// What happened. Each is one event of `node-packages.md` 6.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub enum SetEvent {
    /// A set was made.
    Made { number: u64, members: Vec<Member> },
    /// The next boots try it.
    Armed { number: u64 },
    /// This boot does: it was counted.
    Tried { number: u64, left: u8 },
    /// It lies over `/usr`; `None`: nothing does.
    Laid {
        number: Option<u64>,
        members: Vec<Member>,
    },
    /// It was healthy.
    Kept { number: u64 },
    /// It was not, or a person says so.
    TakenBack { number: u64, word: String },
    /// What was kept before is what the next boot takes.
    RolledBack { number: u64 },
    /// A set is not as it was made, or a package in it not as it was signed.
    Rejected {
        number: u64,
        /// One word.
        word: &'static str,
        reason: String,
    },
    /// A power cut or damage had left something to put right.
    Recovered {
        /// One word.
        what: &'static str,
        text: String,
    },
    /// A set was removed.
    Collected { number: u64 },
    /// A package that is here or that the source has.
    Known(Known),
    /// There is none that is.
    NoneKnown,
}

/// A package, as `package list` knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub struct Known {
    pub name: String,
    /// In the set that was kept.
    pub kept: Option<u64>,
    /// In the set on trial.
    pub tried: Option<u64>,
    /// In what lies over `/usr`.
    pub laid: Option<u64>,
    /// What the source offers: a hint.
    pub available: Option<u64>,
}

impl SetEvent {
    /// Does it belong on standard error?
    #[must_use]
    pub const fn is_complaint(&self) -> bool {
        matches!(self, SetEvent::Rejected { .. } | SetEvent::TakenBack { .. })
    }
}

/// Packages in one line.
struct List<'a>(&'a [Member]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no packages");
        }
        for (at, (name, counter)) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{name} {counter}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SetEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetEvent::Made { number, members } => write!(f, "set {number}: {}", List(members)),
            SetEvent::Armed { number } => write!(
                f,
                "set {number} is tried by the next boot, and by {} more unless it is kept",
                BOOTS - 1
            ),
            SetEvent::Tried { number, left } => {
                write!(f, "set {number} is on trial, {left} boots are left to it")
            }
            SetEvent::Laid {
                number: Some(number),
                members,
            } => write!(f, "set {number} lies over /usr: {}", List(members)),
            SetEvent::Laid { number: None, .. } => f.write_str("nothing lies over /usr"),
            SetEvent::Kept { number } => write!(f, "set {number} is kept"),
            SetEvent::TakenBack { number, word } => {
                write!(f, "set {number} is taken back ({word})")
            }
            SetEvent::RolledBack { number } => write!(
                f,
                "set {number} is kept again: the next boot lays it over /usr, package activate \
                 --now does at once"
            ),
            SetEvent::Rejected {
                number,
                word,
                reason,
            } => write!(f, "set {number} rejected ({word}): {reason}"),
            SetEvent::Recovered { text, .. } => f.write_str(text),
            SetEvent::Collected { number } => write!(f, "set {number} is removed"),
            SetEvent::Known(known) => known.fmt(f),
            SetEvent::NoneKnown => f.write_str("no packages"),
        }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let parts = [
            ("kept", self.kept),
            ("on trial", self.tried),
            ("over /usr", self.laid),
            ("available", self.available),
        ];
        let parts = parts
            .iter()
            .filter_map(|(what, counter)| Some((what, (*counter)?)));
        for (at, (what, counter)) in parts.enumerate() {
            let separator = if at > 0 { ", " } else { ": " };
            write!(f, "{separator}{what} {counter}")?;
        }
        Ok(())
    }
}
