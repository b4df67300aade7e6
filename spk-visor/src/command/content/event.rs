//! What happens to the content of a node, as values; [`Display`](fmt::Display) says it to a person,
//! `json::content` to a script.

use std::fmt;
use std::path::PathBuf;

use store::place::Place;
use store::shelf::Target;
use wire::human::size;
use wire::ledger::{Ledger, Version};
use wire::manifest::Role;

use super::sets::event::SetEvent;
use crate::command::node::event::{Name, write_held};
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
    /// The place has what the source has.
    Newest { place: Place, counter: u64 },
    /// What an upgrade of the place will do, or would.
    Planned { place: Place, plan: Plan },
    /// It is coming.
    Fetching { place: Place, bytes: u64 },
    /// It was not taken; what was served is served, and the command goes on with the next one.
    NotTaken {
        place: Place,
        exit: Exit,
        reason: String,
    },
    /// A staging directory holds it.
    Downloaded {
        place: Place,
        staging: PathBuf,
        /// Bytes that came.
        fetched: u64,
        /// Bytes that were there.
        kept: u64,
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
    /// It is part of a system.
    Seeded {
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
        /// Of a daemon that serves: for so long connections waited.
        pause_ms: Option<u64>,
    },
    /// A generation was removed.
    Collected { place: Place, counter: u64 },
    /// Something about packages.
    Set(SetEvent),
    /// The command did not do what it was asked for.
    Refused { exit: Exit, reason: String },
    /// The last event.
    End { exit: Exit },
}

/// What an upgrade of a place would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The counter of what is served.
    pub from: Option<u64>,
    /// What would be served.
    pub version: Version,
    /// Of the bundle's files.
    pub bytes: u64,
    /// All of them when it is staged already.
    pub there_bytes: u64,
    /// What it unpacks to, as its manifest says.
    pub unpacked_bytes: u64,
    /// Free on the state partition, where that can be told.
    pub room_bytes: Option<u64>,
}

impl Plan {
    /// Bytes that would come from the source.
    #[must_use]
    pub const fn fetched_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.there_bytes)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            Some(from) => write!(f, "from counter {from} to ")?,
            None => write!(f, "to ")?,
        }
        let (fetched, unpacked) = (size(self.fetched_bytes()), size(self.unpacked_bytes));
        let to = Name(&self.version);
        write!(f, "{to}: {fetched} to fetch, {unpacked} unpacked")?;
        match self.room_bytes {
            Some(room) => write!(f, ", room for {}", size(room)),
            None => Ok(()),
        }
    }
}

impl Event {
    /// Does it belong on standard error?
    #[must_use]
    pub const fn is_complaint(&self) -> bool {
        match self {
            Event::Rejected { .. } | Event::NotTaken { .. } | Event::Refused { .. } => true,
            Event::Set(event) => event.is_complaint(),
            _ => false,
        }
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
            Event::Newest { place, counter } => {
                write!(f, "{place}: nothing is newer than counter {counter}")
            }
            Event::Planned { place, plan } => write!(f, "{place}: plan: {plan}"),
            Event::Fetching { place, bytes } => {
                write!(f, "{place}: fetching {}", size(*bytes))
            }
            Event::Downloaded {
                place,
                staging,
                fetched,
                kept,
            } => {
                write!(f, "{place}: ")?;
                write_held(f, staging, *fetched, *kept)
            }
            Event::NotTaken { place, reason, .. } => {
                write!(f, "{place} stays as it is: {reason}")
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
            Event::Seeded {
                place,
                version,
                path,
            } => {
                let (version, path) = (Name(version), path.display());
                write!(
                    f,
                    "{place}: counter {version} is part of the system in {path}"
                )
            }
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
                pause_ms,
            } => {
                let name = Name(version);
                write!(f, "{place}: {target} is served again, counter {name}")?;
                match (pause_ms, place.role()) {
                    (Some(ms), _) => write!(f, "; connections waited {ms} ms"),
                    (None, Role::Daemon) => {
                        write!(f, "; nobody holds it, and it runs once it is started")
                    }
                    _ => Ok(()),
                }
            }
            Event::Collected { place, counter } => {
                write!(f, "{place}: generation {counter} is removed")
            }
            Event::Set(event) => event.fmt(f),
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
