//! What the tries to reach a target have taught: who was there, who only posed, where to try next.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use session::{HandshakeError, PairingError};
use wire::message::Next;

use super::DeliveryError;
use crate::socket::ConnectError;
use crate::target_disk::TargetDisk;

/// How often an address may fail the handshake after somebody there has passed it: a connection that is cut between the proofs
/// looks like a refusal.
pub(super) const STRIKES: u32 = 3;
/// How many in all may fail to prove themselves while they have seen our proof. Each could try one guess at the secret
/// (`protocol.md` 3.5).
const UNPROVEN_MAX: u32 = 16;

/// What the tries so far have taught.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) queue: VecDeque<SocketAddr>,
    /// Where it was heard too, by the protocol that is not tried first.
    pub(super) spare: Vec<SocketAddr>,
    /// Failed handshakes.
    pub(super) strikes: BTreeMap<SocketAddr, u32>,
    pub(super) unproven: u32,
    /// Those that have refused to look at us, and how often they were asked again.
    pub(super) busy: Vec<SocketAddr>,
    pub(super) asked: u32,
    /// Who has passed, last.
    pub(super) good: Option<SocketAddr>,
    /// The first connection that passed.
    pub(super) start: Option<Instant>,
    pub(super) broken_at: Option<Instant>,
    pub(super) pause: Duration,
    /// Where the last connection began.
    pub(super) accepted: Option<Next>,
    /// The disk that a person is being asked about, and the one that may be erased.
    pub(super) asked_about: Option<TargetDisk>,
    pub(super) agreed: Option<TargetDisk>,
}

/// Whether it has refused us without looking at what we know.
fn is_busy(error: &DeliveryError) -> bool {
    match error {
        DeliveryError::Connect(ConnectError { source, .. }) => matches!(
            source.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
        ),
        DeliveryError::Pairing { source, .. } => matches!(source, PairingError::Closed { .. }),
        _ => false,
    }
}

impl Memory {
    /// Somebody has proved itself there.
    pub(super) fn passed(&mut self, to: SocketAddr) {
        self.good = Some(to);
        self.strikes.remove(&to);
        self.start.get_or_insert_with(Instant::now);
    }

    /// It takes packages. When it wants more than the last time, whatever breaks from now on breaks anew; a connection that
    /// never lets a chunk through is given up like one that cannot be made.
    pub(super) fn accepted(&mut self, next: Next) {
        if self.accepted.replace(next).is_none_or(|last| next > last) {
            self.broken_at = None;
            self.pause = Duration::ZERO;
        }
    }

    pub(super) fn broke(&mut self, to: SocketAddr) {
        self.broken_at.get_or_insert_with(Instant::now);
        // At once, where it was: most connections break on their way, not at their ends.
        if self.pause.is_zero() {
            self.queue = [to].into();
        }
    }

    /// Nobody has proved itself there.
    pub(super) fn failed(
        &mut self,
        to: SocketAddr,
        error: &DeliveryError,
    ) -> Result<(), DeliveryError> {
        if is_busy(error) {
            self.busy.push(to);
            return Ok(());
        }
        let DeliveryError::Pairing { source, .. } = error else {
            return Ok(());
        };
        if !matches!(source, PairingError::Io { .. }) {
            let strikes = self.strikes.entry(to).or_default();
            *strikes = strikes.saturating_add(1);
        }
        if matches!(
            source,
            PairingError::Handshake(HandshakeError::TargetUnproven { .. })
        ) {
            self.unproven = self.unproven.saturating_add(1);
        }
        if self.unproven >= UNPROVEN_MAX {
            return Err(DeliveryError::Protocol {
                what: format!(
                    "cannot be told from {} others that pose as it; take another network",
                    self.unproven
                ),
            });
        }
        Ok(())
    }
}
