//! What happens, as values: for a screen that shows more than lines.

use std::net::{IpAddr, SocketAddr};

use wire::stage::Stage;

use crate::gate::{Candidate, GateError};

/// Something that happened just now.
#[derive(Clone, Debug)]
pub enum ReceiverEvent {
    /// The disks were looked at. Said whenever what was seen, or the choice, has changed.
    Disks {
        /// What there is.
        seen: Vec<Candidate>,
        /// The one that may be taken as things stand, or why none.
        choice: Result<Box<Candidate>, GateError>,
    },
    /// Donors are invited. Said again when the secret is replaced.
    Inviting {
        /// What the beacon says.
        code: String,
        /// What a donor must know; none under the policies `pinned` and `legacy`. For eyes, never for a log.
        secret: Option<String>,
        /// `secret`, `pinned` or `legacy`.
        policy: String,
        /// Where it will be written.
        disk: Box<Candidate>,
        /// Under which this machine is reached.
        addresses: Vec<IpAddr>,
    },
    /// Nobody is invited any more: a person decides.
    Held {
        /// Why that which the person decided before cannot be done.
        refused: Option<String>,
    },
    /// A connection was closed because of what it said, or did not say.
    Refused {
        /// Whose.
        peer: SocketAddr,
        /// How many there were.
        count: u64,
        /// Why.
        reason: String,
    },
    /// A donor has proved itself, and its image is worth an answer.
    Accepted {
        /// Who.
        peer: SocketAddr,
        /// Of the image, as its manifest says; none with the original stream.
        version: Option<String>,
        /// Names of its packages.
        packages: Vec<String>,
        /// Of all packages together, where the manifest says.
        total_bytes: Option<u64>,
    },
    /// The donor was shown the disk and must agree.
    AwaitingConsent {
        /// Who.
        peer: SocketAddr,
    },
    /// A stage was entered.
    Stage {
        /// Which.
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
    },
    /// The connection broke; the donor is waited for.
    DonorLost {
        /// Who.
        peer: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The donor is back.
    DonorBack {
        /// Who.
        peer: SocketAddr,
    },
    /// We go on with less.
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
        /// Which.
        disk: Box<Candidate>,
        /// The boot entry's title.
        title: String,
    },
}
