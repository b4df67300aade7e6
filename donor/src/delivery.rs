//! One target of an authenticated session (`protocol.md` 3): found, paired with, sent to, and
//! followed through broken connections until it is installed.
//!
//! In: an offer and what both ends know. Out: events; the last is `Installed` or `Failed`. A
//! manifest goes only to a target that has proved its identity on this connection.

mod agree;
mod limits;
mod line;
mod link;
mod reach;
mod retry_state;
mod send;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use session::channel::ChannelError;
use session::{Credential, HandshakeError, PairingError, Step};
use thiserror::Error;
use wire::chain::chain;
use wire::code::Code;
use wire::message::{After, RejectCode};

use crate::consent::Questions;
use crate::discovery::{DiscoveryError, Watch, preferred};
use crate::ending::Ending;
use crate::event::TargetEvent;
use crate::interrupt::Interrupt;
use crate::left::Left;
use crate::offer::Offer;
use crate::peer_address::PeerAddress;
use crate::socket::ConnectError;
use crate::source::SourceError;
use crate::target_disk::TargetDisk;

pub use limits::Limits;
use retry_state::{Broken, RetryState};

/// Why a target is not installed.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum DeliveryError {
    /// It is not found.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// It does not answer.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The peer does not prove its identity.
    #[error("pairing with {to}{}", advice(source))]
    Pairing {
        to: SocketAddr,
        /// The error of the pairing.
        source: PairingError,
    },
    /// It does not say what it has to say, or not fast enough.
    #[error(
        "waiting {} s for {step} of the handshake from {to}: it did not come whole{}",
        after.as_secs(),
        advice_on_silence(*step)
    )]
    Mute {
        to: SocketAddr,
        /// The message that was awaited.
        step: Step,
        /// How long.
        after: Duration,
    },
    /// It does not want the packages.
    #[error("the target refuses: {text}")]
    Rejected {
        /// For programs.
        code: RejectCode,
        /// Its words.
        text: String,
    },
    /// It has tried.
    #[error("the target failed: {text}")]
    Failed {
        /// Its chain of reasons.
        text: String,
    },
    /// It breaks the protocol.
    #[error("the target {what}")]
    Protocol {
        /// What it did, as the predicate of `the target …`.
        what: String,
    },
    /// It sealed something that is no message of a target.
    #[error("hearing from {to}")]
    Nonsense {
        to: SocketAddr,
        source: ChannelError,
    },
    /// Nobody wants its disk erased.
    #[error("{why}: {} {disk} is not blank", code)]
    Declined {
        /// The refusal, as a phrase: `the person here did not say yes`.
        why: &'static str,
        /// The code of the target.
        code: Code,
        /// Its disk.
        disk: Box<TargetDisk>,
    },
    /// We have nothing more to send.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The connection broke.
    #[error("the connection to {to} broke")]
    Broken {
        to: SocketAddr,
        source: ChannelError,
    },
    /// It says nothing, though its kernel may still answer.
    #[error("{to} has said nothing for {} s while {awaited} was awaited", after.as_secs())]
    Silent {
        to: SocketAddr,
        /// The message or event, as a phrase: `the end of the deploy`.
        awaited: &'static str,
        /// How long.
        after: Duration,
    },
    /// A person, or a program, ended this donor.
    #[error("interrupted: {left}")]
    Interrupted {
        /// The state that the target is left in.
        left: Left,
    },
    /// It broke, and could not be made again.
    #[error("gave up after {} s without a connection that works", after.as_secs())]
    GaveUp {
        /// How long.
        after: Duration,
        /// The last failure.
        source: Box<DeliveryError>,
    },
}

/// Why a target may be silent in the handshake, for a person. It holds an address that has guessed
/// wrong (`protocol.md` 3.5).
const fn advice_on_silence(step: Step) -> &'static str {
    match step {
        Step::M2 => " (has this address tried wrong secrets, or is that no target?)",
        _ => " (somebody may pose as the target)",
    }
}

/// The probable cause, for a person.
fn advice(error: &PairingError) -> &'static str {
    match error {
        PairingError::Closed { .. } => {
            " (is another donor connected, do many connect at once, or does it speak the original \
             stream only?)"
        }
        PairingError::Handshake(HandshakeError::TargetUnproven { .. }) => {
            " (somebody poses as the target, or it has drawn another secret meanwhile)"
        }
        PairingError::Handshake(HandshakeError::Hello { .. }) => " (is that a target?)",
        _ => "",
    }
}

impl DeliveryError {
    /// Whether the target waits for us and has to be notified that we do not come.
    const fn is_ours(&self) -> bool {
        matches!(self, Self::Declined { .. } | Self::Source(_))
    }

    /// The state that it is left in, when this donor was asked to end.
    #[must_use]
    pub const fn left(&self) -> Option<Left> {
        match self {
            Self::Interrupted { left } => Some(*left),
            _ => None,
        }
    }

    /// How a deploy ends that failed like this.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        match self {
            Self::Discovery(_) => Ending::NotFound,
            Self::Connect(_) | Self::Mute { .. } => Ending::Unreachable,
            Self::Interrupted { .. } => Ending::Interrupted,
            Self::Pairing { source, .. } => match source {
                PairingError::Io { .. } | PairingError::Closed { .. } => Ending::Unreachable,
                _ => Ending::Unpaired,
            },
            Self::Rejected { .. }
            | Self::Failed { .. }
            | Self::Protocol { .. }
            | Self::Nonsense { .. } => Ending::Refused,
            Self::Declined { .. } => Ending::Declined,
            Self::Source(_) => Ending::Unsendable,
            Self::Broken { .. } | Self::Silent { .. } | Self::GaveUp { .. } => Ending::Broken,
        }
    }
}

/// How one connection ended without an installed target.
#[derive(Debug)]
enum Cut {
    /// It may come back.
    Broken(DeliveryError),
    /// It will not.
    Over(DeliveryError),
    /// Somebody wants this donor to end.
    Interrupted,
}

/// Where a target is looked for.
#[derive(Clone, Copy, Debug)]
pub enum Finder<'a> {
    /// Nowhere but there.
    At(SocketAddr),
    /// Where its beacons come from.
    Beacons {
        /// The beacons that are heard.
        watch: &'a Watch,
        /// Where targets listen.
        port: u16,
        /// How long to listen at first.
        timeout: Duration,
    },
}

/// One target.
pub struct Delivery<'a> {
    /// On its screen.
    pub code: Code,
    /// The credential that both ends know.
    pub credential: &'a Credential,
    /// The image to send.
    pub offer: &'a Offer,
    /// Where it is.
    pub finder: Finder<'a>,
    /// Connect here only.
    pub interface: Option<&'a str>,
    /// How long to make a broken connection again.
    pub retry: Duration,
    /// Its action after the install; `None`: as its command line says.
    pub after: Option<After>,
    /// Its disk may be erased without asking anybody,
    pub is_sure: bool,
    /// because of this option.
    pub sure_word: &'static str,
    /// Where a person is asked otherwise.
    pub questions: &'a Questions,
    /// How patient we are.
    pub limits: Limits,
    /// Whether we are to end.
    pub interrupt: &'a Interrupt,
    /// Receives every event.
    pub tell: &'a (dyn Fn(TargetEvent) + Sync),
}

impl Delivery<'_> {
    /// Deploys, and tells how it ended.
    pub fn run(&self) {
        let mut retry = RetryState::default();
        let last = match self.deliver(&mut retry) {
            Ok(to) => TargetEvent::Installed {
                to,
                took: retry.start.map(|at| at.elapsed()).unwrap_or_default(),
            },
            Err(error) => TargetEvent::Failed {
                ending: error.ending(),
                reason: chain(&error).to_string(),
                left: error.left(),
            },
        };
        self.questions.withdraw(self.code);
        (self.tell)(last);
    }

    fn deliver(&self, retry: &mut RetryState) -> Result<SocketAddr, DeliveryError> {
        let first = self.first(retry);
        if self.interrupt.came().is_some() {
            let left = retry.left();
            return Err(DeliveryError::Interrupted { left });
        }
        retry.try_at(&first?);
        loop {
            let reached = self.reach(retry)?;
            let to = reached.to;
            let start = Instant::now();
            let (next, error) = match self.converse(reached, retry) {
                Ok(()) => return Ok(to),
                Err((_, Cut::Over(error))) => return Err(error),
                Err((next, Cut::Broken(error))) => (next, error),
                Err((_, Cut::Interrupted)) => {
                    let left = retry.left();
                    return Err(DeliveryError::Interrupted { left });
                }
            };
            let reason = chain(&error).to_string();
            let broken = Broken {
                to,
                next,
                error,
                lived: start.elapsed(),
            };
            retry.broke(broken, self.retry, self.limits.finishing);
            let broken = retry.broken_at.map(|at| at.elapsed());
            (self.tell)(TargetEvent::Broken {
                reason,
                give_up_after: self.retry.saturating_sub(broken.unwrap_or_default()),
            });
        }
    }

    /// Where the target may be.
    fn first(&self, retry: &mut RetryState) -> Result<Vec<SocketAddr>, DiscoveryError> {
        retry.listened = Some(Instant::now());
        match self.finder {
            Finder::At(to) => {
                (self.tell)(TargetEvent::Addressed { to });
                Ok(vec![to])
            }
            Finder::Beacons {
                watch,
                port,
                timeout,
            } => {
                (self.tell)(TargetEvent::Listening);
                let mut addresses = watch.find(&self.code, timeout)?;
                // A machine that knows both protocols is heard over both.
                let spare = addresses.split_off(preferred(&addresses));
                retry.spare = sockets(&spare, port);
                match *addresses.as_slice() {
                    [address] => (self.tell)(TargetEvent::Found { address }),
                    _ => (self.tell)(TargetEvent::Several {
                        addresses: addresses.clone(),
                    }),
                }
                Ok(sockets(&addresses, port))
            }
        }
    }
}

fn sockets(addresses: &[PeerAddress], port: u16) -> Vec<SocketAddr> {
    let with_port = addresses.iter().map(|address| address.at(port));
    with_port.collect()
}
