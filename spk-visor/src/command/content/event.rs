//! What happens to the content of a node, as values; [`Display`](fmt::Display) says it to a person,
//! `json::content` to a script.

use std::fmt;
use std::path::PathBuf;

use store::place::Place;
use store::shelf::Target;
use wire::human::size;
use wire::ledger::{Ledger, Version};

use crate::command::node::event::Name;
use crate::exit::Exit;

/// What happened. Each is one event of `bundles.md` 6.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub enum Event {
    /// The source has a signed bundle for this place.
    Offered {
        place: Place,
        /// For people.
        name: String,
        version: Version,
        /// The trusted key that signed it.
        key: String,
        /// Of the bundle's files.
        bytes: u64,
    },
    /// It is here, and nothing points at it.
    Staged { place: Place, version: Version },
    /// A daemon was put in place of the version before while it served.
    Swapped {
        place: Place,
        version: Version,
        /// For so long connections waited.
        pause_ms: u64,
    },
    /// It is served.
    Applied {
        place: Place,
        version: Version,
        path: PathBuf,
    },
    /// A generation is not as it was signed.
    Rejected {
        place: Place,
        target: Target,
        /// One word.
        word: &'static str,
        reason: String,
    },
    /// This one is.
    Opened {
        place: Place,
        target: Target,
        version: Version,
        path: PathBuf,
    },
    /// A power cut or damage had left something to put right.
    Recovered {
        place: Place,
        /// One word.
        what: &'static str,
        text: String,
    },
    /// What was served before is served again.
    RolledBack {
        place: Place,
        target: Target,
        version: Version,
    },
    /// A generation was removed.
    Collected { place: Place, counter: u64 },
    /// The command did not do what it was asked for.
    Refused { exit: Exit, reason: String },
    /// The last event.
    End { exit: Exit },
}

impl Event {
    /// Does it belong on standard error?
    #[must_use]
    pub const fn is_complaint(&self) -> bool {
        matches!(self, Event::Rejected { .. } | Event::Refused { .. })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Offered {
                place,
                name,
                version,
                key,
                bytes,
            } => {
                let (version, bytes) = (Name(version), size(*bytes));
                write!(
                    f,
                    "{place}: offered {name}, counter {version}, {bytes}, signed by {key}"
                )
            }
            Event::Staged { place, version } => {
                write!(
                    f,
                    "{place}: counter {} is ready, and not served yet",
                    Name(version)
                )
            }
            Event::Swapped {
                place,
                version,
                pause_ms,
            } => write!(
                f,
                "{place}: counter {} runs; connections waited for {pause_ms} ms",
                Name(version)
            ),
            Event::Applied {
                place,
                version,
                path,
            } => write!(
                f,
                "{place}: counter {} is served: {}",
                Name(version),
                path.display()
            ),
            Event::Rejected {
                place,
                target,
                word,
                reason,
            } => write!(f, "{place}: {target} rejected ({word}): {reason}"),
            Event::Opened { path, .. } => write!(f, "{}", path.display()),
            Event::Recovered { place, text, .. } => write!(f, "{place}: {text}"),
            Event::RolledBack {
                place,
                target,
                version,
            } => write!(
                f,
                "{place}: {target} is served again, counter {}",
                Name(version)
            ),
            Event::Collected { place, counter } => {
                write!(f, "{place}: generation {counter} is removed")
            }
            Event::Refused { reason, .. } => f.write_str(reason),
            Event::End { exit } => f.write_str(exit.meaning()),
        }
    }
}

/// Where a place stands.
#[derive(Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct Standing {
    pub place: Place,
    pub current: Option<Target>,
    pub previous: Option<Target>,
    pub generations: Vec<u64>,
    pub bad: Vec<u64>,
    pub seed: Option<u64>,
    pub ledger: Ledger,
    pub is_ledger_readable: bool,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        match self.current {
            Some(current) => write!(f, "{current} is served")?,
            None => write!(f, "nothing is served")?,
        }
        if let Some(trial) = &self.ledger.trial {
            write!(f, ", on trial: counter {}", Name(&trial.version))?;
        }
        if let Some(previous) = self.previous {
            write!(f, ", before it {previous}")?;
        }
        for counter in &self.bad {
            write!(f, "; generation {counter} was bad")?;
        }
        for failed in self.ledger.failed() {
            write!(
                f,
                "; counter {} failed: {}",
                Name(&failed.version),
                failed.word.as_str()
            )?;
        }
        match self.is_ledger_readable {
            true => Ok(()),
            false => write!(f, "; its ledger cannot be read"),
        }
    }
}
