//! Pairing: code and secret on the screen, several handshakes at a time, until a donor has proved
//! itself.
//!
//! A network in, a sealed channel to a donor that knows the secret (or has the key) out. Every
//! other connection is closed, counted and shown; nothing from it gets further than the handshake
//! (`protocol.md` 3.2). [`PairingListener`] judges the connections in [`strangers`] and hands
//! [`refusals`] on; [`admission`] reads the manifest of a paired donor, and [`consent`] shows it
//! the disk as [`description`] words it.

use std::net::IpAddr;
use std::path::Path;
use std::time::Instant;

use machine::gate::Candidate;
use session::guess_limit::GuessLimit;
use session::trial::Terms;
use session::{Credential, PinnedKeys};
use wire::code::Code;
use wire::handshake::{Info, M1_LEN};
use wire::message::Next;
use wire::secret::{RANDOM_LEN, Secret};

use crate::donor::{Interrupted, Network};
use crate::error::SessionError;
use crate::operator::CancelToken;
use crate::operator::event::ReceiverEvent;
use crate::operator::reporter::{Reporter, warn};
use crate::options::draw_code;
use crate::pairing::refusals::Refusals;
use crate::pairing::strangers::{Refusal, Strangers};
use crate::policy::Policy;

pub(crate) mod admission;
pub(crate) mod consent;
pub(crate) mod description;
mod paired;
pub(crate) mod refusals;
mod strangers;

pub(crate) use paired::Paired;

/// One code and one secret, for as long as they hold.
pub(crate) struct PairingListener<'a> {
    policy: &'a Policy,
    /// The disk that a donor is invited to write to.
    disk: Candidate,
    token: CancelToken,
    code: Code,
    credential: Credential,
    /// For the screen; `Credential` does not give it back.
    secret: Option<Secret>,
    guard: GuessLimit,
    strangers: Strangers,
}

impl<'a> PairingListener<'a> {
    /// Draws a code, and under `secret` a secret.
    pub(crate) fn new(
        policy: &'a Policy,
        disk: Candidate,
        token: &CancelToken,
    ) -> Result<Self, SessionError> {
        let (credential, secret) = credential(policy)?;
        Ok(Self {
            policy,
            disk,
            token: token.clone(),
            code: draw_code()?,
            credential,
            secret,
            guard: GuessLimit::new(),
            strangers: Strangers::default(),
        })
    }

    /// Donors are invited to another disk from now on.
    pub(crate) fn set_disk(&mut self, disk: &Candidate) {
        self.disk = disk.clone();
    }

    /// Invites donors to the disk that is meant, for eyes and never for a log.
    pub(crate) fn invitation(&self, addresses: Vec<IpAddr>, is_renewed: bool) -> ReceiverEvent {
        ReceiverEvent::Inviting {
            code: self.code.to_string(),
            secret: self.secret.as_ref().map(Secret::to_string),
            policy: self.policy.name().to_owned(),
            disk: Box::new(self.disk.clone()),
            addresses,
            is_renewed,
        }
    }

    /// Invites the donor of an unfinished deploy to come back.
    pub(crate) fn invitation_back(&self, disk: &Path, next: Next) -> ReceiverEvent {
        ReceiverEvent::AwaitingDonor {
            code: self.code.to_string(),
            secret: self.secret.as_ref().map(Secret::to_string),
            policy: self.policy.name().to_owned(),
            disk: disk.display().to_string(),
            next,
        }
    }

    /// Waits until a donor has proved itself, whatever else connects; `None` when `deadline` passes
    /// first. Then the strangers stay, and the network goes on inviting; in every other case it
    /// rests.
    ///
    /// # Errors
    /// The network, or no random numbers for a new secret, or a person who wants something else.
    pub(crate) fn pair(
        &mut self,
        network: &mut dyn Network,
        refusals: &mut Refusals,
        reporter: &dyn Reporter,
        deadline: Option<Instant>,
    ) -> Result<Option<Paired>, SessionError> {
        let paired = self.await_proof(network, refusals, reporter, deadline);
        if !matches!(paired, Ok(None)) {
            self.close(network);
        }
        paired
    }

    /// Resets the strangers and ends the invitation. In this order: once the
    /// network rests, each reset may be waited for, and a donor that has proved itself waits too.
    pub(crate) fn close(&mut self, network: &mut dyn Network) {
        self.strangers.clear();
        network.rest();
    }

    fn await_proof(
        &mut self,
        network: &mut dyn Network,
        refusals: &mut Refusals,
        reporter: &dyn Reporter,
        deadline: Option<Instant>,
    ) -> Result<Option<Paired>, SessionError> {
        let info = concat!("version=", env!("CARGO_PKG_VERSION"));
        let info = Info::parse(info.as_bytes()).unwrap_or_default();
        loop {
            if let Some(stop) = self.token.stop() {
                return Err(stop.into());
            }
            let now = Instant::now();
            let terms = Terms {
                credential: &self.credential,
                code: &self.code,
                info: &info,
            };
            let mut refuse = |(peer, why): Refusal| refusals.note(peer, &why, now, reporter);
            let (strangers, guard) = (&mut self.strangers, &mut self.guard);
            let paired = strangers.judge(terms, guard, &self.token, now, &mut refuse);
            if paired.is_some() {
                return Ok(paired);
            }
            let due = strangers.due(terms, guard, now);
            if self.replace_secret(reporter)? {
                reporter.report(&self.invitation(network.addresses(), true));
                continue;
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(None);
            }
            let until = due.into_iter().chain(deadline).min();
            match network.admit(&self.code, M1_LEN, until) {
                Ok(Some(donor)) => {
                    if let Some(refusal) = self.strangers.add(donor, now) {
                        refuse(refusal);
                    }
                }
                Ok(None) => {}
                // The instruction may have been meant for something that is over.
                Err(error) if Interrupted::is(&error) => {}
                Err(error) => return Err(SessionError::Network(error)),
            }
        }
    }

    /// After too many wrong guesses; true when there is another one.
    fn replace_secret(&mut self, reporter: &dyn Reporter) -> Result<bool, SessionError> {
        // Keys cannot be guessed.
        if self.secret.is_none() || !self.guard.is_spent() {
            return Ok(false);
        }
        let wrong = self.guard.wrong_guesses();
        let text = format!("{wrong} wrong guesses: the secret is replaced by a new one");
        warn(reporter, &text);
        (self.credential, self.secret) = credential(self.policy)?;
        self.guard = GuessLimit::new();
        self.strangers.clear_begun();
        Ok(true)
    }
}

/// The credential that a donor has to prove; under `secret` also the text for the screen.
fn credential(policy: &Policy) -> Result<(Credential, Option<Secret>), SessionError> {
    if let Policy::Pinned(keys) = policy {
        return Ok((Credential::Pinned(PinnedKeys::clone(keys)), None));
    }
    let mut random = [0; RANDOM_LEN];
    getrandom::fill(&mut random).map_err(|error| SessionError::Code(error.into()))?;
    let secret = Secret::draw(random);
    Ok((Credential::Secret(secret.clone()), Some(secret)))
}

#[cfg(test)]
mod tests {
    use super::PairingListener;
    use crate::fakes::{self, Lines};
    use crate::operator::CancelToken;
    use crate::operator::reporter::Reporter;
    use crate::policy::Policy;
    use session::PinnedKeys;
    use session::guess_limit::GUESSES_MAX;
    use std::time::Instant;

    #[test]
    fn after_64_wrong_guesses_there_is_another_secret_and_the_screen_says_so() {
        let (lines, policy) = (Lines::default(), Policy::Secret);
        let mut listener =
            PairingListener::new(&policy, fakes::candidate(), &CancelToken::of(None)).unwrap();
        let (code, old) = (listener.code, listener.secret.clone().unwrap());
        for guess in 1..=GUESSES_MAX {
            listener.replace_secret(&lines).unwrap();
            assert_eq!(lines.all().len(), 0, "after {} guesses", guess - 1);
            listener.guard.wrong_guess(fakes::ADDRESS, Instant::now());
        }
        assert!(listener.replace_secret(&lines).unwrap());
        lines.report(&listener.invitation(vec![], true));
        let new = listener.secret.clone().unwrap();
        assert_ne!(new.as_bytes(), old.as_bytes());
        assert_eq!((listener.code, listener.guard.wrong_guesses()), (code, 0));
        let shown = lines.all();
        assert!(shown[0].contains("64 wrong guesses"), "{}", shown[0]);
        assert!(
            shown[1].contains(&format!("  secret {new}\n")),
            "{}",
            shown[1]
        );
    }

    #[test]
    fn keys_are_never_replaced_and_never_shown() {
        let (_, target) = PinnedKeys::draw().unwrap();
        let (lines, policy) = (Lines::default(), Policy::Pinned(Box::new(target)));
        let mut listener =
            PairingListener::new(&policy, fakes::candidate(), &CancelToken::of(None)).unwrap();
        for _ in 0..2 * GUESSES_MAX {
            listener.guard.wrong_guess(fakes::ADDRESS, Instant::now());
        }
        listener.replace_secret(&lines).unwrap();
        assert_eq!(lines.all().len(), 0);
        lines.report(&listener.invitation(vec![], false));
        let shown = lines.all();
        assert!(
            !shown.iter().any(|line| line.contains("secret")),
            "{shown:?}"
        );
    }
}
