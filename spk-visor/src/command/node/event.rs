//! What happens on a node that updates itself, as values; [`Display`](fmt::Display) says it to a
//! person, `json::node` to a script.

use std::fmt;
use std::path::{Path, PathBuf};

use machine::health::Gate;
use update::plan::Plan;
use wire::digits::Hex;
use wire::human::{percent, size};
use wire::ledger::{Failed, Version};
use wire::record::Slot;

use crate::command::content;
use crate::exit::Exit;

/// What happened. Each is one event of `update.md` 2.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the fields name themselves
pub enum Event {
    /// What runs, at the beginning.
    Checked {
        slot: Slot,
        version: String,
        counter: u64,
        /// On trial: starts that are left behind this one.
        trial: Option<u8>,
        /// `recover` has said it to people at this boot.
        is_known: bool,
    },
    /// A power cut or damage had left something to put right.
    Recovered {
        /// One word.
        what: &'static str,
        text: String,
    },
    /// A source has a signed image.
    Offered {
        /// Its version, for people.
        name: String,
        version: Version,
        /// The trusted key that signed it.
        key: String,
        /// Of the image.
        bytes: u64,
    },
    /// A release is in a staging directory.
    Downloaded {
        staging: PathBuf,
        fetched: u64,
        /// Bytes that were there.
        kept: u64,
    },
    /// A staging directory that could be read as it was at one moment.
    Snapshot {
        staging: PathBuf,
        /// Why it is not.
        missing: Option<String>,
    },
    /// The node has what the source has.
    Newest { counter: u64 },
    /// What an upgrade of the system will do, or would.
    Planned {
        /// The counter that runs.
        from: u64,
        plan: Plan,
    },
    /// It is being written.
    Fetching {
        slot: Slot,
        bytes: u64,
        /// Bytes that an interrupted update has written before.
        resumes_at: u64,
    },
    /// How far it is.
    Progress(Step),
    /// All of it is on the medium, as signed.
    Staged {
        slot: Slot,
        version: Version,
        /// Bytes that came from the source.
        fetched: u64,
        /// Bytes that the slot that runs had.
        reused: u64,
    },
    /// The next boot tries it.
    Armed { slot: Slot, version: Version },
    /// Its kernel is loaded, and this start of it counted; so many are left behind it.
    Loaded { slot: Slot, left: u8 },
    /// Its kernel cannot be started from here: the machine reboots instead.
    NotLoaded { reason: String },
    /// A gate of health is not passed yet.
    Waiting { gate: Gate, reason: String },
    /// All are; for so long they have to be.
    Stable { seconds: u64 },
    /// How a hang would end.
    Watchdog { text: String },
    /// It is kept.
    Confirmed {
        slot: Slot,
        version: Option<Version>,
    },
    /// It was tried in vain: all its starts are spent.
    Failed {
        /// What, how often, and why, where that can be told.
        failed: Option<Failed>,
        /// No update is taken by itself any more.
        is_stopped: bool,
    },
    /// A person gave it up.
    RolledBack {
        version: Option<Version>,
        /// No update is taken by itself any more.
        is_stopped: bool,
    },
    /// Something about the content of the node.
    Content(content::event::Event),
    /// The command did not do what it was asked for.
    Refused { exit: Exit, reason: String },
    /// The last event.
    End { exit: Exit },
}

/// What takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A bundle of content from its source.
    Fetch,
    /// The slot that runs with what is offered.
    Compare,
    /// Chunks into the slot.
    Write,
    /// All of the image from the medium.
    Read,
}

impl Phase {
    /// As events say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Fetch => "fetch",
            Phase::Compare => "compare",
            Phase::Write => "write",
            Phase::Read => "read",
        }
    }
}

/// How far something is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// What.
    pub phase: Phase,
    /// Bytes.
    pub done: u64,
    /// Bytes.
    pub total: u64,
    /// Bytes in a second.
    pub rate: f64,
}

impl Step {
    /// Of this phase.
    #[must_use]
    pub fn percent(&self) -> u8 {
        percent(self.done, self.total)
    }
}

/// A version as people tell it from another: its counter, and the beginning of its digest.
pub struct Name<'a>(pub &'a Version);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version { digest, counter } = self.0;
        let digest = Hex(digest).to_string();
        write!(f, "{counter} ({})", digest.get(..12).unwrap_or_default())
    }
}

const fn stopped(is_stopped: bool) -> &'static str {
    match is_stopped {
        true => "; updates stop until update --again",
        false => "",
    }
}

/// One line of what an upgrade does.
fn planned(from: u64, plan: &Plan, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Plan {
        slot,
        version,
        image_bytes,
        there_bytes,
        reused_bytes,
        fetched_bytes,
        room_bytes,
    } = plan;
    let (to, image) = (Name(version), size(*image_bytes));
    write!(
        f,
        "plan: from counter {from} to {to}, {image} into slot {slot}"
    )?;
    write!(f, " with room for {}: ", size(*room_bytes))?;
    let (fetched, reused) = (size(*fetched_bytes), size(*reused_bytes));
    write!(f, "{fetched} to fetch, {reused} to reuse")?;
    match there_bytes {
        0 => Ok(()),
        there => write!(f, ", {} there already", size(*there)),
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Checked {
                slot,
                version,
                counter,
                trial,
                is_known: _,
            } => {
                write!(f, "slot {slot} runs version {version}, counter {counter}")?;
                match trial {
                    Some(left) => write!(f, ", started on trial, starts left: {left}"),
                    None => Ok(()),
                }
            }
            Event::Recovered { text, .. } | Event::Watchdog { text } => f.write_str(text),
            Event::Offered {
                name,
                version,
                key,
                bytes,
            } => {
                let (version, bytes) = (Name(version), size(*bytes));
                write!(f, "offered: {name}, counter {version}, {bytes}, ")?;
                match key.is_empty() {
                    true => f.write_str("signature not checked here"),
                    false => write!(f, "signed by {key}"),
                }
            }
            Event::Downloaded {
                staging,
                fetched,
                kept,
            } => write_held(f, staging, *fetched, *kept),
            Event::Snapshot { staging, missing } => {
                let staging = staging.display();
                match missing {
                    None => write!(f, "{staging} is read from a snapshot"),
                    Some(why) => write!(f, "no snapshot of {staging}: {why}"),
                }
            }
            Event::Newest { counter } => {
                write!(f, "nothing is newer than counter {counter}, which runs")
            }
            Event::Planned { from, plan } => planned(*from, plan, f),
            Event::Fetching {
                slot,
                bytes,
                resumes_at,
            } => {
                write!(f, "writing {} into slot {slot}", size(*bytes))?;
                match resumes_at {
                    0 => Ok(()),
                    at => write!(f, ", going on at {}", size(*at)),
                }
            }
            Event::Progress(step) => {
                let (done, total) = (size(step.done), size(step.total));
                let doing = step.phase.name();
                write!(f, "{doing} {:>3}% {done}/{total}", step.percent())
            }
            Event::Staged {
                slot,
                version,
                fetched,
                reused,
            } => {
                let (version, fetched) = (Name(version), size(*fetched));
                write!(
                    f,
                    "slot {slot} holds counter {version}, read back as signed; "
                )?;
                write!(f, "{fetched} fetched, {} reused", size(*reused))
            }
            Event::Armed { slot, version } => {
                let version = Name(version);
                write!(f, "the next boot tries slot {slot}, counter {version}")
            }
            Event::Loaded { slot, left } => {
                write!(f, "slot {slot} starts now, by kexec; starts left: {left}")
            }
            Event::NotLoaded { reason } => write!(f, "kexec: {reason}; rebooting instead"),
            Event::Waiting { gate, reason } => write!(f, "waiting for {gate}: {reason}"),
            Event::Stable { seconds } => {
                write!(f, "healthy; it has to stay so for {seconds} s")
            }
            Event::Confirmed { slot, version } => {
                write!(f, "slot {slot} is confirmed")?;
                match version {
                    Some(version) => write!(f, ", counter {}", Name(version)),
                    None => Ok(()),
                }
            }
            Event::Failed { failed, is_stopped } => {
                match failed {
                    Some(Failed {
                        version,
                        tries,
                        word,
                    }) => {
                        let (version, word) = (Name(version), word.as_str());
                        write!(f, "counter {version} failed: {word}, {tries} starts")?;
                    }
                    None => write!(f, "what was on trial failed")?,
                }
                write!(f, "; the version before it is back{}", stopped(*is_stopped))
            }
            Event::RolledBack {
                version,
                is_stopped,
            } => {
                match version {
                    Some(version) => write!(f, "counter {} is taken back", Name(version))?,
                    None => write!(f, "what was on trial is taken back")?,
                }
                f.write_str(stopped(*is_stopped))
            }
            Event::Content(event) => event.fmt(f),
            Event::Refused { reason, .. } => f.write_str(reason),
            Event::End { exit } => f.write_str(exit.meaning()),
        }
    }
}

/// What a staging directory holds once a release is in it.
pub(crate) fn write_held(
    f: &mut fmt::Formatter<'_>,
    staging: &Path,
    fetched: u64,
    kept: u64,
) -> fmt::Result {
    let (staging, fetched, kept) = (staging.display(), size(fetched), size(kept));
    write!(
        f,
        "{staging} holds it: {fetched} fetched, {kept} there before"
    )
}
