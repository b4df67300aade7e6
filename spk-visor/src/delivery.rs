//! One target of an authenticated session (`protocol.md` 3): found, paired with, sent to, and followed through broken connections
//! until it is installed.
//!
//! In: an offer and what both ends know. Out: what happens, told; the last is `Installed` or `Failed`. A manifest goes only
//! to who has proved itself, on each connection anew.

mod agree;
mod link;
mod memory;
mod send;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use receiver::screen::chain;
use session::channel::ChannelError;
use session::{Credential, HandshakeError, PairingError};
use thiserror::Error;
use wire::code::Code;
use wire::message::{After, RejectCode};

use crate::consent::Questions;
use crate::discovery::{DiscoveryError, Watch, preferred};
use crate::event::About;
use crate::exit::Exit;
use crate::offer::Offer;
use crate::origin::Origin;
use crate::socket::ConnectError;
use crate::source::SourceError;
use crate::target_disk::TargetDisk;

use memory::{Memory, STRIKES};

/// Between two tries to make a broken connection again: the first, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// Before who has refused us is asked again, and how often: in a crowd of strangers most tries find the target busy.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
const BUSY_TRIES: u32 = 20;

/// Why a target is not installed.
#[derive(Debug, Error)]
pub enum DeliveryError {
    /// It is not found.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// It does not answer.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Whoever is there does not pass.
    #[error("pairing with {to}{}", advice(source))]
    Pairing {
        /// Where.
        to: SocketAddr,
        /// What went wrong.
        source: PairingError,
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
        /// How.
        what: String,
    },
    /// It sealed something that is no message of a target.
    #[error("hearing from {to}")]
    Nonsense {
        /// Who.
        to: SocketAddr,
        /// What.
        source: ChannelError,
    },
    /// Nobody wants its disk erased.
    #[error("{why}: {} {disk} is not blank", code)]
    Declined {
        /// Who did not say yes.
        why: &'static str,
        /// Which target.
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
        /// Which.
        to: SocketAddr,
        /// How.
        source: ChannelError,
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

/// What may be behind it, for a person.
fn advice(error: &PairingError) -> &'static str {
    match error {
        PairingError::Closed { .. } => {
            " (is another donor connected, does it make everybody wait after wrong guesses, or does it speak the original \
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
    /// Whether the target waits for us and has to be told that we do not come.
    const fn is_ours(&self) -> bool {
        matches!(self, Self::Declined { .. } | Self::Source(_))
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Discovery(error) => error.exit(),
            Self::Connect(_) => Exit::Connection,
            Self::Pairing { source, .. } => match source {
                PairingError::Io { .. } | PairingError::Closed { .. } => Exit::Connection,
                _ => Exit::Pairing,
            },
            Self::Rejected { .. }
            | Self::Failed { .. }
            | Self::Protocol { .. }
            | Self::Nonsense { .. } => Exit::Target,
            Self::Declined { .. } => Exit::Declined,
            Self::Source(error) => error.exit(),
            Self::Broken { .. } | Self::GaveUp { .. } => Exit::Transfer,
        }
    }
}

/// How one connection ended without an installed target.
#[derive(Debug)]
enum Cut {
    /// Nobody there has passed the handshake.
    NotThere(DeliveryError),
    /// It may come back.
    Broken(DeliveryError),
    /// It will not.
    Over(DeliveryError),
}

/// Where a target is looked for.
#[derive(Clone, Copy, Debug)]
pub enum Finder<'a> {
    /// Nowhere but there.
    At(SocketAddr),
    /// Where its beacons come from.
    Beacons {
        /// What is heard.
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
    /// What we know and it has to know.
    pub credential: &'a Credential,
    /// What is sent.
    pub offer: &'a Offer,
    /// Where it is.
    pub finder: Finder<'a>,
    /// Connect here only.
    pub interface: Option<&'a str>,
    /// How long to make a broken connection again.
    pub retry: Duration,
    /// What it does when installed.
    pub after: After,
    /// Its disk may be erased without asking anybody.
    pub is_sure: bool,
    /// Where a person is asked otherwise.
    pub questions: &'a Questions,
    /// Told of everything.
    pub tell: &'a (dyn Fn(About) + Sync),
}

impl Delivery<'_> {
    /// Deploys, and tells how it ended.
    pub fn run(&self) {
        let mut memory = Memory::default();
        let last = match self.deliver(&mut memory) {
            Ok(to) => About::Installed {
                to,
                took: memory.start.map(|at| at.elapsed()).unwrap_or_default(),
            },
            Err(error) => About::Failed {
                exit: error.exit(),
                reason: chain(&error),
            },
        };
        self.questions.withdraw(self.code);
        (self.tell)(last);
    }

    fn deliver(&self, memory: &mut Memory) -> Result<SocketAddr, DeliveryError> {
        memory.queue = self.first(memory)?.into();
        let is_several = memory.queue.len() > 1;
        let mut last = None;
        loop {
            let Some(to) = memory.queue.pop_front() else {
                self.look_again(memory, &mut last)?;
                continue;
            };
            match self.attempt(to, memory) {
                Ok(()) => return Ok(to),
                Err(Cut::Over(error)) => return Err(error),
                Err(Cut::Broken(error)) => {
                    (self.tell)(About::Broken {
                        reason: chain(&error),
                        give_up_after: self.retry,
                    });
                    memory.broke(to);
                    last = Some(error);
                }
                Err(Cut::NotThere(error)) => {
                    if is_several || memory.good.is_some() {
                        (self.tell)(About::Unpaired {
                            to,
                            reason: chain(&error),
                        });
                    }
                    memory.failed(to, &error)?;
                    last = Some(worse(last, error));
                }
            }
        }
    }

    /// Where the target may be.
    fn first(&self, memory: &mut Memory) -> Result<Vec<SocketAddr>, DiscoveryError> {
        match self.finder {
            Finder::At(to) => {
                (self.tell)(About::Addressed { to });
                Ok(vec![to])
            }
            Finder::Beacons {
                watch,
                port,
                timeout,
            } => {
                (self.tell)(About::Listening);
                let mut addresses = watch.find(&self.code, timeout)?;
                // A machine that knows both protocols is heard over both.
                let spare = addresses.split_off(preferred(&addresses));
                memory.spare = sockets(&spare, port);
                match *addresses.as_slice() {
                    [address] => (self.tell)(About::Found { address }),
                    _ => (self.tell)(About::Several {
                        addresses: addresses.clone(),
                    }),
                }
                Ok(sockets(&addresses, port))
            }
        }
    }

    /// After a broken connection: waits a little, or for a beacon, and says where to try next.
    fn look_again(
        &self,
        memory: &mut Memory,
        last: &mut Option<DeliveryError>,
    ) -> Result<(), DeliveryError> {
        let mut last = || {
            last.take().unwrap_or(DeliveryError::Protocol {
                what: "is nowhere".to_owned(),
            })
        };
        let (Some(good), Some(broken_at)) = (memory.good, memory.broken_at) else {
            if self.ask_again(memory) {
                return Ok(());
            }
            let last = last();
            // Nobody there has looked at what we know: the other protocol may get through.
            if matches!(last, DeliveryError::Connect(_)) && !memory.spare.is_empty() {
                memory.queue = std::mem::take(&mut memory.spare).into();
                return Ok(());
            }
            return Err(last);
        };
        let deadline = broken_at + self.retry;
        let now = Instant::now();
        if now >= deadline {
            return Err(DeliveryError::GaveUp {
                after: now.saturating_duration_since(broken_at),
                source: Box::new(last()),
            });
        }
        memory.pause = (memory.pause * 2).clamp(PAUSE_FIRST, PAUSE_MAX);
        let mut next = self.wait((now + memory.pause).min(deadline));
        if !next.contains(&good) {
            // Its beacons may not reach us.
            next.push(good);
        }
        next.retain(|to| {
            memory
                .strikes
                .get(to)
                .is_none_or(|strikes| *strikes < STRIKES)
        });
        if next.is_empty() {
            return Err(last()); // whoever is there now is not our target
        }
        memory.queue = next.into();
        Ok(())
    }
}

impl Delivery<'_> {
    /// Nobody has proved itself yet. A target that looks at one peer refuses all others for up to 5 s (`protocol.md` 3.6): who
    /// was refused asks again, for some 20 s; `false`: it has asked often enough.
    fn ask_again(&self, memory: &mut Memory) -> bool {
        let busy = std::mem::take(&mut memory.busy);
        if busy.is_empty() || memory.asked >= BUSY_TRIES {
            return false;
        }
        memory.asked = memory.asked.saturating_add(1);
        let heard = self.wait(Instant::now() + BUSY_PAUSE);
        memory.queue = busy.into();
        for to in heard {
            let is_known = memory.queue.contains(&to) || memory.strikes.contains_key(&to);
            if !is_known {
                memory.queue.push_back(to);
            }
        }
        true
    }

    /// Waits, or until a beacon is heard; says where from.
    fn wait(&self, until: Instant) -> Vec<SocketAddr> {
        let now = Instant::now();
        match self.finder {
            Finder::At(_) => {
                thread::sleep(until.saturating_duration_since(now));
                Vec::new()
            }
            Finder::Beacons { watch, port, .. } => {
                sockets(&watch.heard_since(&self.code, now, until), port)
            }
        }
    }
}

fn sockets(addresses: &[Origin], port: u16) -> Vec<SocketAddr> {
    let with_port = addresses.iter().map(|address| address.at(port));
    with_port.collect()
}

/// The failure that tells more: a handshake's before a connection's.
fn worse(before: Option<DeliveryError>, now: DeliveryError) -> DeliveryError {
    match before {
        Some(before @ DeliveryError::Pairing { .. })
            if matches!(now, DeliveryError::Connect(_)) =>
        {
            before
        }
        _ => now,
    }
}
