//! Admission of a donor: pairings and manifests, until one of them is worth an answer.
//!
//! Listener, network and reporter go in; a paired donor and the judgement of its manifest come out.
//! A donor that pairs and then sends something else, or nothing, is closed, counted and shown like
//! any other stranger.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use bundle::trust::{ApproveError, Approved, Offered, Trust, Wanted, approve};
use session::channel::ChannelError;
use thiserror::Error;
use wire::message::{Kind, Message, Next, RejectCode, Text};

use crate::connection::Connection;
use crate::donor::Network;
use crate::error::SessionError;
use crate::operator::CancelToken;
use crate::operator::reporter::Reporter;
use crate::pairing::refusals::Refusals;
use crate::pairing::{Paired, PairingListener};

/// Why a donor that had proved itself was closed all the same.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// The channel broke, or what came through it is no message.
    #[error("waiting for its manifest")]
    Channel(#[from] ChannelError),
    /// A message before its time.
    #[error("it sent {kind} where a manifest belongs")]
    Unexpected {
        /// The type of the message.
        kind: Kind,
    },
}

/// The parts by which a donor finds this target, for as long as code and secret hold.
pub(crate) struct Admission<'a> {
    pub(crate) listener: PairingListener<'a>,
    pub(crate) network: &'a mut (dyn Network + 'a),
    pub(crate) refusals: &'a mut Refusals,
    pub(crate) reporter: &'a dyn Reporter,
    pub(crate) trust: &'a Trust,
    pub(crate) token: CancelToken,
}

/// A paired donor and the judgement of its manifest.
pub(crate) type Offer = (Paired, Judgement);

/// The verdict on the manifest of a donor.
pub(crate) enum Judgement {
    /// An image that may be installed here.
    Approved(Approved),
    /// The donor has been sent the reason.
    Refused(Box<ApproveError>),
}

impl Admission<'_> {
    /// Invites donors to the disk that is meant.
    pub(crate) fn invite(&self) {
        let addresses = self.network.addresses();
        self.reporter
            .report(&self.listener.invitation(addresses, false));
    }

    /// Invites the donor of an unfinished deploy to come back.
    pub(crate) fn invite_back(&self, disk: &Path, next: Next) {
        self.reporter
            .report(&self.listener.invitation_back(disk, next));
    }

    /// Waits for a donor that has proved itself and says what it has.
    ///
    /// # Errors
    /// The network failed, or a person at the machine wants something else.
    pub(crate) fn accept_offer(&mut self) -> Result<Offer, SessionError> {
        loop {
            if let Some(offer) = self.accept_offer_until(None)? {
                return Ok(offer);
            }
        }
    }

    /// As [`Admission::accept_offer`]; `None` when `deadline` passes first.
    pub(crate) fn accept_offer_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Offer>, SessionError> {
        loop {
            let (network, reporter) = (&mut *self.network, self.reporter);
            let paired = self
                .listener
                .pair(network, self.refusals, reporter, deadline)?;
            let Some(mut paired) = paired else {
                return Ok(None);
            };
            match judge(&mut paired, self.trust) {
                Ok(judgement) => return Ok(Some((paired, judgement))),
                Err(fault) => {
                    if let Some(stop) = self.token.stop() {
                        return Err(stop.into());
                    }
                    self.note(&paired, &fault);
                }
            }
        }
    }

    pub(crate) fn note(&mut self, paired: &Paired, fault: &dyn Error) {
        self.refusals
            .note(paired.peer, fault, Instant::now(), self.reporter);
    }

    /// Tells a paired donor why its image is not taken. Its connection is left to be closed.
    pub(crate) fn reject(
        &mut self,
        paired: Paired,
        code: RejectCode,
        text: &str,
    ) -> Option<Connection> {
        let Paired {
            opener, mut sealer, ..
        } = paired;
        let text = text.replace('\n', "; "); // a donor has one line for it
        let text = Text::new(&text);
        sealer.send(&Message::Reject { code, text }).ok()?;
        Some(opener.into_inner())
    }
}

impl Drop for Admission<'_> {
    /// Resets the strangers and ends the invitation.
    fn drop(&mut self) {
        self.listener.close(self.network);
    }
}

/// Reads the donor's first message and frees its memory; an approved image is smaller.
fn judge(paired: &mut Paired, trust: &Trust) -> Result<Judgement, Fault> {
    let mut payload = Vec::new();
    match paired.opener.next(&mut payload)? {
        Message::Manifest {
            manifest,
            signature,
            chunk_lists,
        } => {
            let offered = Offered {
                manifest,
                signature,
                chunk_lists,
            };
            Ok(match approve(offered, Wanted::SYSTEM, trust) {
                Ok(image) => Judgement::Approved(image),
                Err(error) => Judgement::Refused(Box::new(error)),
            })
        }
        other => Err(Fault::Unexpected { kind: other.kind() }),
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;
    use crate::donor::{Donor, Interrupter, Network};
    use crate::fakes::{self, Lines};
    use crate::operator::CancelToken;
    use crate::pairing::PairingListener;
    use crate::pairing::refusals::Refusals;
    use crate::policy::Policy;
    use bundle::trust::Trust;
    use std::io::{self, ErrorKind, Read, Write};
    use std::net::{IpAddr, SocketAddr};
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::{Duration, Instant};
    use wire::code::Code;

    type Log = Arc<Mutex<Vec<&'static str>>>;

    /// Connects and says nothing.
    struct Silent(Log);

    impl Read for Silent {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::TimedOut.into())
        }
    }

    impl Donor for Silent {
        fn peer(&self) -> SocketAddr {
            SocketAddr::new(fakes::ADDRESS, 51234)
        }

        fn writer(&self) -> Box<dyn Write + Send> {
            Box::new(io::sink())
        }

        fn interrupter(&self) -> Interrupter {
            Box::new(|| {})
        }

        fn succeed(self: Box<Self>) -> io::Result<()> {
            Ok(())
        }

        fn fail(self: Box<Self>) {
            self.0.lock().unwrap().push("reset");
        }
    }

    /// Somebody silent, then nobody, or the network is gone.
    struct Quiet {
        has_come: bool,
        fails: bool,
        log: Log,
    }

    impl Network for Quiet {
        fn admit(
            &mut self,
            _: &Code,
            _: usize,
            until: Option<Instant>,
        ) -> io::Result<Option<Box<dyn Donor>>> {
            if !std::mem::replace(&mut self.has_come, true) {
                return Ok(Some(Box::new(Silent(Arc::clone(&self.log)))));
            }
            if self.fails {
                return Err(io::Error::other("no interface is left"));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            thread::sleep(left.unwrap_or_default());
            Ok(None)
        }

        fn rest(&mut self) {
            self.log.lock().unwrap().push("rest");
        }

        fn interrupter(&self) -> Interrupter {
            Box::new(|| {})
        }

        fn addresses(&self) -> Vec<IpAddr> {
            vec![]
        }
    }

    /// The handling of strangers until the admission is dropped.
    fn endings(fails: bool) -> Vec<&'static str> {
        let log = Log::default();
        let mut network = Quiet {
            has_come: false,
            fails,
            log: Arc::clone(&log),
        };
        let (lines, policy, token) = (Lines::default(), Policy::Secret, CancelToken::of(None));
        let mut admission = Admission {
            listener: PairingListener::new(&policy, fakes::candidate(), &token).unwrap(),
            network: &mut network,
            refusals: &mut Refusals::new(Instant::now()),
            reporter: &lines,
            trust: &Trust::default(),
            token: token.clone(),
        };
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(admission.accept_offer_until(Some(soon)).is_err(), fails);
        // As long as donors are invited, time being up is no reason to reset anybody.
        assert_eq!(log.lock().unwrap().is_empty(), !fails);
        drop(admission);
        let endings = log.lock().unwrap();
        endings.clone()
    }

    #[test]
    fn strangers_are_reset_before_the_network_rests() {
        assert_eq!(endings(false), ["reset", "rest"]);
        assert_eq!(endings(true), ["reset", "rest", "rest"]);
    }
}
