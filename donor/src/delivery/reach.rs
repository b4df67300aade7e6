//! A connection on which the target has proved itself.
//!
//! In: addresses where the target may be, some of which are not it. Out: the first connection that
//! passes the handshake. Addresses are tried beside one another, each within one deadline: one that
//! trickles bytes or says nothing delays no other.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use session::channel::{Opener, Sealer};
use session::{Credential, PairingError};
use wire::chain::chain;
use wire::code::Code;

use super::limits::Limits;
use super::line::{Incoming, Outgoing, Pulse};
use super::retry_state::{Due, Lesson, RetryState};
use super::{Delivery, DeliveryError, Finder, sockets};
use crate::event::TargetEvent;
use crate::interrupt::{Interrupt, LOOK};
use crate::socket::{self, ConnectError};

/// Handshakes at a time.
const PARALLEL: usize = 32;

/// A target that has proved itself.
pub(super) struct Reached {
    pub(super) to: SocketAddr,
    pub(super) stream: Arc<TcpStream>,
    pub(super) opener: Opener<Incoming>,
    pub(super) sealer: Sealer<Outgoing>,
    /// The target's description of itself.
    pub(super) info: String,
    pub(super) pulse: Arc<Pulse>,
}

/// One handshake, in a thread of its own.
struct Try {
    to: SocketAddr,
    interface: Option<String>,
    credential: Credential,
    code: Code,
    limits: Limits,
    interrupt: Interrupt,
    is_cancelled: Arc<AtomicBool>,
}

/// Handshakes that run; dropped, those that are left send nothing any more and end by themselves.
struct Race {
    is_cancelled: Arc<AtomicBool>,
    results: Receiver<(SocketAddr, Result<Reached, DeliveryError>)>,
    sender: Sender<(SocketAddr, Result<Reached, DeliveryError>)>,
}

impl Race {
    fn new() -> Self {
        let (sender, results) = mpsc::channel();
        Self {
            is_cancelled: Arc::default(),
            results,
            sender,
        }
    }
}

impl Drop for Race {
    fn drop(&mut self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}

impl Delivery<'_> {
    /// The first that passes.
    pub(super) fn reach(&self, retry: &mut RetryState) -> Result<Reached, DeliveryError> {
        let race = Race::new();
        loop {
            if self.interrupt.came().is_some() {
                let left = retry.left();
                return Err(DeliveryError::Interrupted { left });
            }
            self.go_on(retry)?;
            let wait = self.start_due(retry, &race);
            match race.results.recv_timeout(wait) {
                Ok((to, Ok(reached))) => {
                    retry.passed(to);
                    return Ok(reached);
                }
                Ok((to, Err(error))) => self.failed(to, error, retry)?,
                Err(_) => {} // time has passed
            }
            self.hear(retry);
        }
    }

    /// Whether it is worth trying any longer.
    fn go_on(&self, retry: &mut RetryState) -> Result<(), DeliveryError> {
        if let Some(broken_at) = retry.broken_at.filter(|_| retry.good.is_some()) {
            let after = broken_at.elapsed();
            return if after < self.retry {
                Ok(())
            } else {
                let source = Box::new(retry.last.take().unwrap_or_else(nowhere));
                Err(DeliveryError::GaveUp { after, source })
            };
        }
        if !retry.is_hopeless() {
            return Ok(());
        }
        // Nobody there has looked at what we know: the other protocol may get through.
        if matches!(retry.last, Some(DeliveryError::Connect(_))) && !retry.spare.is_empty() {
            let spare = std::mem::take(&mut retry.spare);
            retry.try_at(&spare);
            return Ok(());
        }
        Err(retry.last.take().unwrap_or_else(nowhere))
    }

    /// Starts what is due; says how long nothing else will be.
    fn start_due(&self, retry: &mut RetryState, race: &Race) -> Duration {
        let now = Instant::now();
        let Due { start, next } = retry.due(now, PARALLEL);
        for to in start {
            (self.tell)(TargetEvent::Connecting {
                to,
                is_authenticated: true,
            });
            self.start(to, race);
        }
        let wait = next.map(|next| next.saturating_duration_since(now));
        wait.map_or(LOOK, |wait| wait.min(LOOK))
    }

    fn start(&self, to: SocketAddr, race: &Race) {
        let attempt = Try {
            to,
            interface: self.interface.map(str::to_owned),
            credential: self.credential.clone(),
            code: self.code,
            limits: self.limits,
            interrupt: self.interrupt.clone(),
            is_cancelled: Arc::clone(&race.is_cancelled),
        };
        let sender = race.sender.clone();
        // It ends within its deadline, whether or not anybody still listens.
        let started = thread::Builder::new()
            .name(format!("to {to}"))
            .spawn(move || drop(sender.send((to, attempt.run()))));
        if let Err(source) = started {
            let error = ConnectError { to, source };
            let _ = race.sender.send((to, Err(error.into()))); // we listen
        }
    }

    fn failed(
        &self,
        to: SocketAddr,
        error: DeliveryError,
        retry: &mut RetryState,
    ) -> Result<(), DeliveryError> {
        let reason = chain(&error).to_string();
        if retry.is_choice() {
            let reason = reason.clone();
            (self.tell)(TargetEvent::Unpaired { to, reason });
        }
        if let Lesson::Busy { is_first: true } = retry.failed(to, error, self.limits.busy)? {
            (self.tell)(TargetEvent::Busy {
                to,
                reason,
                give_up_after: self.limits.busy,
            });
        }
        Ok(())
    }

    /// Addresses that its beacons have come from since there has been no connection.
    fn hear(&self, retry: &mut RetryState) {
        let Finder::Beacons { watch, port, .. } = self.finder else {
            return;
        };
        let now = Instant::now();
        let since = retry.listened.unwrap_or(now);
        let mut heard = sockets(&watch.heard_since(&self.code, since, now), port);
        heard.retain(|to| !retry.spare.contains(to));
        retry.heard_at(&heard);
    }
}

/// There is no address at all.
fn nowhere() -> DeliveryError {
    DeliveryError::Protocol {
        what: "is nowhere".to_owned(),
    }
}

impl Try {
    fn run(&self) -> Result<Reached, DeliveryError> {
        let to = self.to;
        let deadline = Instant::now() + self.limits.handshake;
        let failed = |source| DeliveryError::from(ConnectError { to, source });
        let stream = socket::connect(to, self.interface.as_deref()).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (stream, pulse) = (Arc::new(stream), Arc::new(Pulse::new()));
        let read = Incoming {
            stream: Arc::clone(&stream),
            deadline: Some(deadline),
        };
        let write = Outgoing::new(
            Arc::clone(&stream),
            Arc::clone(&pulse),
            self.limits.silence,
            self.interrupt.clone(),
            Arc::clone(&self.is_cancelled),
        );
        let write = write.map_err(failed)?;
        let paired = session::pair_donor(read, write, &self.credential, &self.code);
        let (mut opener, mut sealer, info) = paired.map_err(|source| self.unpaired(source))?;
        sealer.get_mut().keep();
        opener.get_mut().without_deadline().map_err(failed)?;
        Ok(Reached {
            to,
            stream,
            opener,
            sealer,
            info: info.to_string(),
            pulse,
        })
    }

    fn unpaired(&self, source: PairingError) -> DeliveryError {
        let (to, after) = (self.to, self.limits.handshake);
        match source {
            PairingError::Io { step, source, .. }
                if source.kind() == std::io::ErrorKind::TimedOut =>
            {
                DeliveryError::Mute { to, step, after }
            }
            source => DeliveryError::Pairing { to, source },
        }
    }
}
