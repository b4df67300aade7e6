//! The events of a running deploy: one value for a person's line, a script's JSON object and
//! the log (`docs/donor-events.md`).
//!
//! In: facts from the threads that serve targets; all text of a target has gone through
//! `wire::message::Text` and can neither move a terminal's cursor nor begin a line of its own. Out:
//! values, and each as a line of text.

mod words;

use std::net::SocketAddr;
use std::time::Duration;

use wire::code::Code;
use wire::message::Level;
use wire::stage::Stage;

use crate::ending::Ending;
use crate::left::Left;
use crate::peer_address::PeerAddress;
use crate::target_disk::TargetDisk;

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the fields name themselves
pub enum Event {
    /// A file of the directory is not sent.
    Ignored { name: String, reason: String },
    /// This will be sent.
    Package {
        name: String,
        /// Its length; `None` while it is being made.
        bytes: Option<u64>,
    },
    /// Packages are being read for the manifest.
    Hashing {
        /// Bytes read.
        done: u64,
        /// Bytes there are.
        total: u64,
    },
    /// The image that every target will be offered.
    Manifest {
        /// SHA-256 of its bytes, in hexadecimal.
        sha256: String,
        /// For people.
        version: String,
        /// Whether somebody signed it.
        is_signed: bool,
    },
    /// Every beacon is taken for a target's.
    Listening,
    /// This donor was asked to end: targets are being notified.
    Interrupted,
    /// These were heard.
    Heard {
        /// The codes in their beacons.
        codes: Vec<Code>,
    },
    /// About one target.
    Target { code: Code, what: TargetEvent },
    /// Every target has an [`TargetEvent::Installed`] or [`TargetEvent::Failed`].
    End {
        /// How all of them together.
        ending: Ending,
        /// How many are installed.
        installed: usize,
        /// How many are not.
        failed: usize,
    },
}

/// The events of one target.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the fields name themselves
pub enum TargetEvent {
    /// Its beacon is awaited.
    Listening,
    /// Its beacon was heard.
    Found {
        /// Where from.
        address: PeerAddress,
    },
    /// Its beacon was heard from several addresses.
    Several {
        /// All of them.
        addresses: Vec<PeerAddress>,
    },
    /// Nobody listened for it.
    Addressed {
        /// `--to`.
        to: SocketAddr,
    },
    /// A connection is being made.
    Connecting {
        /// Where to.
        to: SocketAddr,
        /// `false` for the original stream.
        is_authenticated: bool,
    },
    /// Both ends have proved that they know the same.
    Paired {
        to: SocketAddr,
        /// The target's description of itself.
        info: String,
    },
    /// One address is not the target, or not to be had.
    Unpaired { to: SocketAddr, reason: String },
    /// It refuses every connection for now.
    Busy {
        to: SocketAddr,
        /// The first refusal.
        reason: String,
        /// It is asked again for so long.
        give_up_after: Duration,
    },
    /// It takes the packages.
    Accepted {
        /// Its disk, in its words.
        disk: TargetDisk,
        /// The file and chunk it wants next; `None` for the beginning.
        resumes_at: Option<(String, u32)>,
    },
    /// A person is asked whether this disk, which is not blank, may be taken.
    Asking { disk: TargetDisk },
    /// It may.
    Agreed {
        /// The origin of the consent: `person`, `--yes`.
        by: &'static str,
    },
    /// How far it is.
    Progress(Step),
    /// A package is on its way to the last byte.
    Sent {
        package: String,
        /// Its length.
        bytes: u64,
    },
    /// It is doing something else now.
    Stage(Stage),
    /// A line of its log.
    Log {
        /// How bad.
        level: Level,
        /// The line.
        text: String,
    },
    /// A line about what is being packed for it.
    Note {
        /// The line.
        text: String,
    },
    /// Everything is sent; it has been finishing for so long. Reported for targets that send no
    /// progress themselves.
    Waiting(Duration),
    /// The connection is gone, and is being made again.
    Broken {
        reason: String,
        /// Until then.
        give_up_after: Duration,
    },
    /// Its disk is complete.
    Installed {
        to: SocketAddr,
        /// Since the first connection.
        took: Duration,
    },
    /// It leaves for the new system.
    Leaving {
        /// `kexec`, `reboot`, `poweroff`, or `as it was told` when we did not choose.
        how: &'static str,
    },
    /// It is not installed.
    Failed {
        /// How it ended.
        ending: Ending,
        /// The chain of reasons.
        reason: String,
        /// The state of the target when this donor was interrupted.
        left: Option<Left>,
    },
}

/// How far a target is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// The package that is on its way.
    pub package: String,
    /// Its bytes so far.
    pub package_done: u64,
    /// Its length.
    pub package_total: Option<u64>,
    /// Bytes sent of all packages.
    pub sent: u64,
    /// Bytes the target has taken.
    pub received: u64,
    /// Bytes the target has unpacked.
    pub unpacked: u64,
    /// Bytes of all packages.
    pub total: Option<u64>,
    /// Share of the whole job, 0 to 100.
    pub percent: u8,
    /// Bytes in a second.
    pub rate: f64,
}

/// How important a target's line is, in a word.
#[must_use]
pub const fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
    }
}
