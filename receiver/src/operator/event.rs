//! The events of a session, as values: the one channel from the receiver to its screens.
//!
//! A screen reads the values; a console prints [`ReceiverEvent::lines`], the text of the event.

use std::net::{IpAddr, SocketAddr};

use wire::message::Next;
use wire::stage::Stage;

use machine::gate::{Candidate, GateError};

pub use lines::Line;

mod lines;

/// Something that happened just now.
#[derive(Clone, Debug)]
pub enum ReceiverEvent {
    /// The disks were looked at. Reported whenever what was seen, or the choice, has changed.
    Disks {
        /// Every disk of the machine.
        seen: Vec<Candidate>,
        /// The one that may be taken as things stand, or why none.
        choice: Result<Box<Candidate>, GateError>,
    },
    /// Donors are not invited as long as no disk may be taken.
    NoDisk(GateError),
    /// Somebody at the machine may let the installation of this name be replaced.
    ReplaceByName {
        /// The text to type.
        name: String,
    },
    /// Donors are invited. Reported again when the secret is replaced.
    Inviting {
        /// The code in the beacon.
        code: String,
        /// The secret of the donor; `None` under the policies `pinned` and `legacy`. For eyes,
        /// never for a log.
        secret: Option<String>,
        /// `secret`, `pinned` or `legacy`.
        policy: String,
        /// Where it will be written.
        disk: Box<Candidate>,
        /// Under which this machine is reached.
        addresses: Vec<IpAddr>,
        /// Only the secret is new, after too many wrong guesses.
        is_renewed: bool,
    },
    /// The donor of an unfinished deploy is invited to come back. For eyes, as
    /// [`ReceiverEvent::Inviting`].
    AwaitingDonor {
        /// The code in the beacon.
        code: String,
        /// The secret of the donor; `None` under the policy `pinned`.
        secret: Option<String>,
        /// `secret` or `pinned`.
        policy: String,
        /// Path of the disk that is being written.
        disk: String,
        /// Where the deploy goes on.
        next: Next,
    },
    /// Nobody is invited any more: a person decides.
    Held {
        /// Why that which the person decided before cannot be done.
        refused: Option<String>,
    },
    /// A donor of the original stream has connected.
    Connected {
        /// Its address.
        peer: SocketAddr,
    },
    /// A connection was closed because of what it said, or did not say.
    Refused {
        /// Its address.
        peer: SocketAddr,
        /// How many there were.
        count: u64,
        /// How many of them were not reported, since the last one that was.
        unreported: u64,
        /// Why it was closed.
        reason: String,
    },
    /// A donor has proved itself, and its image is worth an answer.
    Accepted {
        /// Its address.
        peer: SocketAddr,
        /// Of the image, as its manifest says; `None` with the original stream.
        version: Option<String>,
        /// Names of its packages.
        packages: Vec<String>,
        /// Of all packages together, where the manifest says.
        total_bytes: Option<u64>,
        /// `key=value` pairs about donor and image; empty where there is no manifest.
        facts: String,
    },
    /// The donor was shown the disk and must agree.
    AwaitingConsent {
        /// Its address.
        peer: SocketAddr,
    },
    /// A person at the donor is being asked about the disk.
    DonorAsks {
        /// Its address.
        peer: SocketAddr,
        /// `key=value` pairs about the disk.
        disk: String,
    },
    /// A stage was entered.
    Stage {
        /// The new stage.
        stage: Stage,
        /// `key=value` pairs.
        facts: String,
    },
    /// A package begins.
    Package {
        /// Its name.
        name: String,
        /// On the wire, as the donor claims.
        claimed_len: u64,
    },
    /// Bytes since the deploy began; a few times a second at most.
    Progress {
        /// On the wire.
        received_bytes: u64,
        /// Unpacked from them.
        unpacked_bytes: u64,
        /// A console, which is slow and keeps what it shows, has had no line about it for a while.
        is_line_due: bool,
    },
    /// The connection broke; the donor is waited for.
    DonorLost {
        /// Its address.
        peer: SocketAddr,
        /// Why the connection broke.
        reason: String,
    },
    /// A donor with the same image is about to be told where the deploy goes on.
    Resuming {
        /// Its address.
        peer: SocketAddr,
        /// Where the deploy goes on.
        next: Next,
    },
    /// The donor is back.
    DonorBack {
        /// Its address.
        peer: SocketAddr,
    },
    /// The session goes on with less.
    Warning(String),
    /// This deploy came to nothing.
    Failed {
        /// The reason chain.
        reason: String,
        /// No other donor can help: the machine starts over.
        is_fatal: bool,
    },
    /// The disk is complete.
    Installed {
        /// The disk that boots now.
        disk: Box<Candidate>,
        /// The boot entry's title.
        title: String,
    },
}

impl ReceiverEvent {
    /// Whether its lines are all there is to it: what a screen shows of the same moment comes as
    /// other events.
    #[must_use]
    pub const fn is_only_text(&self) -> bool {
        matches!(
            self,
            ReceiverEvent::NoDisk(_)
                | ReceiverEvent::ReplaceByName { .. }
                | ReceiverEvent::AwaitingDonor { .. }
                | ReceiverEvent::Connected { .. }
                | ReceiverEvent::DonorAsks { .. }
                | ReceiverEvent::Resuming { .. }
        )
    }
}
