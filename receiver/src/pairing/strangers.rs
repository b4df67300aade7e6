//! Connections whose peers have not proved themselves: several are judged at a time, the others
//! wait for their turn.
//!
//! In: connections that have said an opening, what their peers say after it, and time. Out: the
//! first donor that has proved itself; who was closed, and why. Nothing in here waits. A handshake
//! that is judged has one of [`PLACES`]; no address has more than [`PLACES_EACH`] of them or
//! [`EACH`] connections, so one address never fills either. A peer that has to pause after wrong
//! guesses is held without a place. When more addresses come than there are places, the one that
//! has been waited for longest makes room, once it had [`GRACE`] for its answer. One that has shown
//! the secret makes room for nobody.

use std::cmp::Reverse;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use session::guess_limit::{FREE_GUESSES, GuessLimit};
use session::trial::{Terms, Trial, Verdict};
use session::{Paired as Keys, PairingError, Step};
use thiserror::Error;
use wire::handshake::Policy;
use wire::stream::Opening;

use crate::connection::Connection;
use crate::donor::Donor;
use crate::operator::CancelToken;
use crate::pairing::paired::Paired;

/// Handshakes that are judged at the same time (`protocol.md` 3.6).
const PLACES: usize = 6;
/// Of one address.
const PLACES_EACH: usize = 2;
/// Connections whose peers have said an opening, those that wait for a place among them
/// (`protocol.md` 3.6). On a small machine each may cost a window:
/// `netstack::Config::window_bytes`.
const STRANGERS: usize = 8;
/// Of one address.
const EACH: usize = 3;
/// For M3, and then for the first record (`protocol.md` 3.6).
const ANSWER: Duration = Duration::from_secs(5);
/// For that when others wait for the place.
const GRACE: Duration = Duration::from_secs(1);
/// For a place: longer than the longest pause.
const SLOT_WAIT: Duration = Duration::from_secs(40);
/// The shortest interval between two looks at an idle listener.
const NAP: Duration = Duration::from_millis(5);
/// Read at once.
const PART: usize = 4096;

/// Why a connection was closed.
#[derive(Debug, Error)]
pub(crate) enum Refused {
    /// It said too little, or broke.
    #[error("waiting for the beginning of a session")]
    Opening(#[source] io::Error),
    /// An original donor.
    #[error(
        "it speaks the original stream, which this target was not told to accept; \
         start the donor with the secret on this screen (without --legacy), \
         or this target with the policy legacy"
    )]
    Legacy,
    /// No donor at all.
    #[error("it begins with neither protocol: {}", first.escape_ascii())]
    Unknown {
        /// Its first bytes.
        first: [u8; 4],
    },
    /// The handshake failed.
    #[error("pairing")]
    Pairing(#[source] PairingError),
    /// It went on before it was its turn.
    #[error("pairing: it sent more than {step} of the handshake")]
    Early {
        /// The message that was awaited.
        step: Step,
    },
    /// After the handshake.
    #[error("waiting for its first record")]
    Record(#[source] io::Error),
    /// Others came.
    #[error("it makes room for others that connect")]
    Crowded,
    /// Nobody had time for it.
    #[error("it has waited {} s for its turn", SLOT_WAIT.as_secs())]
    Waited,
}

/// A closed connection and the reason.
pub(crate) type Refusal = (SocketAddr, Refused);

/// One connection.
struct Stranger {
    /// Gone only when it has proved itself, and in `drop`.
    donor: Option<Box<dyn Donor>>,
    peer: SocketAddr,
    /// And not yet judged.
    heard: Vec<u8>,
    /// Nothing more will be heard.
    end: Option<io::Error>,
    trial: Trial,
    /// Until when it has to answer; none: it has no place.
    place: Option<Instant>,
    came: Instant,
    /// When it was last answered, or came.
    since: Instant,
    /// Its M3 was right under the policy `secret`: only its first record is missing. With keys
    /// nothing is shown before that record.
    knows_secret: bool,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Strangers(Vec<Stranger>);

impl Strangers {
    /// Takes a connection in; the one that makes room for it is closed.
    pub(crate) fn add(&mut self, donor: Box<dyn Donor>, now: Instant) -> Option<Refusal> {
        let peer = donor.peer();
        let of_this = self.of(peer.ip());
        // One that knows the secret is the last that leaves.
        let oldest = |stranger: &Stranger| (!stranger.knows_secret, Reverse(stranger.since));
        let numbered = self.0.iter().enumerate();
        let leaves = if of_this >= EACH {
            numbered
                .filter(|(_, stranger)| stranger.ip() == peer.ip())
                .max_by_key(|(_, stranger)| oldest(stranger))
        } else if self.0.len() >= STRANGERS {
            numbered.max_by_key(|(_, stranger)| {
                let (is_stranger, age) = oldest(stranger);
                (is_stranger, self.of(stranger.ip()), age)
            })
        } else {
            None
        };
        let leaves = leaves.map(|(at, _)| at);
        let refusal = leaves.map(|at| (self.0.remove(at).peer, Refused::Crowded));
        self.0.push(Stranger {
            peer,
            donor: Some(donor),
            heard: Vec::new(),
            end: None,
            trial: Trial::new(),
            place: None,
            came: now,
            since: now,
            knows_secret: false,
        });
        refusal
    }

    /// Resets all of them.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Resets those whose handshake has begun: what they have to prove is not what it was.
    pub(crate) fn clear_begun(&mut self) {
        self.0.retain(|stranger| stranger.place.is_none());
    }

    /// Judges what has come. The first that has proved itself, if one has; who was closed meanwhile
    /// goes to `refuse`.
    pub(crate) fn judge(
        &mut self,
        terms: Terms<'_>,
        guard: &mut GuessLimit,
        token: &CancelToken,
        now: Instant,
        refuse: &mut dyn FnMut(Refusal),
    ) -> Option<Paired> {
        for stranger in &mut self.0 {
            stranger.hear();
        }
        for (mut stranger, fault) in self.faulty(now) {
            stranger.dismiss();
            refuse((stranger.peer, fault));
        }
        loop {
            self.fill_slots(guard, now, refuse);
            let at = self.next_to_judge(terms, guard, now)?;
            let mut stranger = self.0.remove(at);
            let (ip, peer) = (stranger.ip(), stranger.peer);
            match stranger.step(terms, now) {
                Ok(None) => self.0.push(stranger),
                Ok(Some(keys)) => {
                    guard.proved(ip);
                    match stranger.proved(*keys, token) {
                        Ok(paired) => return Some(paired),
                        Err(error) => refuse((peer, Refused::Record(error))),
                    }
                }
                Err(error) => {
                    if error.is_wrong_guess() {
                        guard.wrong_guess(ip, now);
                    }
                    stranger.dismiss();
                    refuse((peer, Refused::Pairing(error)));
                }
            }
        }
    }

    /// When [`Strangers::judge`] has something to do, whatever comes meanwhile.
    pub(crate) fn due(
        &self,
        terms: Terms<'_>,
        guard: &GuessLimit,
        now: Instant,
    ) -> Option<Instant> {
        let has_queue = self.0.iter().any(|stranger| stranger.place.is_none());
        let times = self.0.iter().flat_map(|stranger| {
            let ip = stranger.ip();
            let pause = match (stranger.place, stranger.awaits_proof()) {
                (None, _) => guard.wait(ip, now),
                (Some(_), true) => guard.pause(ip, now).max(pace(terms, guard, now)),
                (Some(_), false) => Duration::ZERO,
            };
            let released = Some(now + pause).filter(|_| !pause.is_zero());
            let yields = stranger.yields_at().filter(|at| has_queue && *at > now);
            [Some(stranger.expires()), released, yields]
        });
        times.flatten().min().map(|due| due.max(now + NAP))
    }

    /// How many connections this address has.
    fn of(&self, ip: IpAddr) -> usize {
        self.0.iter().filter(|other| other.ip() == ip).count()
    }

    /// How many places.
    fn slots_of(&self, ip: IpAddr) -> usize {
        let places = self.0.iter().filter(|other| other.place.is_some());
        places.filter(|other| other.ip() == ip).count()
    }

    fn faulty(&mut self, now: Instant) -> Vec<(Stranger, Refused)> {
        let mut faulty = Vec::new();
        let mut kept = Vec::new();
        for mut stranger in self.0.drain(..) {
            match stranger.fault(now) {
                Some(fault) => faulty.push((stranger, fault)),
                None => kept.push(stranger),
            }
        }
        self.0 = kept;
        faulty
    }

    /// Gives places to those that wait, each address in its turn.
    fn fill_slots(
        &mut self,
        guard: &mut GuessLimit,
        now: Instant,
        refuse: &mut dyn FnMut(Refusal),
    ) {
        while let Some(at) = self.next_in_queue(guard, now) {
            // One whose proof waits for the guard keeps nobody from beginning.
            let taken = |other: &&Stranger| other.place.is_some() && !other.awaits_proof();
            if self.0.iter().filter(taken).count() >= PLACES {
                let is_new = self
                    .0
                    .get(at)
                    .is_some_and(|next| self.slots_of(next.ip()) == 0);
                let Some(leaves) = self.yielding(now).filter(|_| is_new) else {
                    return;
                };
                refuse((self.0.remove(leaves).peer, Refused::Crowded));
                continue;
            }
            if let Some(next) = self.0.get_mut(at) {
                next.place = Some(now + ANSWER);
                next.since = now;
                guard.begin(next.peer.ip(), now);
            }
        }
    }

    fn next_in_queue(&self, guard: &GuessLimit, now: Instant) -> Option<usize> {
        let waiting = self.0.iter().enumerate().filter(|(_, stranger)| {
            let ip = stranger.ip();
            // One that may have to pause after its next guess does not make several at a time.
            let most = if guard.wrong_guesses_of(ip) < FREE_GUESSES {
                PLACES_EACH
            } else {
                1
            };
            stranger.place.is_none()
                && stranger.is_complete()
                && guard.wait(ip, now).is_zero()
                && self.slots_of(ip) < most
        });
        let (at, _) = waiting.min_by_key(|(_, stranger)| {
            let ip = stranger.ip();
            (self.slots_of(ip), guard.last_seen(ip), stranger.came)
        })?;
        Some(at)
    }

    /// The connection that yields its place to another address.
    fn yielding(&self, now: Instant) -> Option<usize> {
        let late = self.0.iter().enumerate().filter(|(_, stranger)| {
            let yields_at = stranger.yields_at();
            yields_at.is_some_and(|at| at <= now)
        });
        let most = late
            .max_by_key(|(_, stranger)| (self.slots_of(stranger.ip()), Reverse(stranger.since)));
        most.map(|(at, _)| at)
    }

    /// Of those whose next message is there: proofs wait for the guard, and those of addresses that
    /// were never wrong go first.
    fn next_to_judge(&self, terms: Terms<'_>, guard: &GuessLimit, now: Instant) -> Option<usize> {
        let is_closed = !pace(terms, guard, now).is_zero() || is_spent(terms, guard);
        let ready = self.0.iter().enumerate().filter(|(_, stranger)| {
            let is_ready = stranger.place.is_some() && stranger.is_complete();
            let must_wait = is_closed || !guard.pause(stranger.ip(), now).is_zero();
            is_ready && !(stranger.awaits_proof() && must_wait)
        });
        let (at, _) = ready
            .min_by_key(|(_, stranger)| (guard.wrong_guesses_of(stranger.ip()), stranger.since))?;
        Some(at)
    }
}

/// Keys are not guessed at: no proof waits for those of others, and nothing is ever to be replaced.
fn pace(terms: Terms<'_>, guard: &GuessLimit, now: Instant) -> Duration {
    match terms.credential.policy() {
        Policy::Secret => guard.pace(now),
        Policy::Pinned => Duration::ZERO,
    }
}

fn is_spent(terms: Terms<'_>, guard: &GuessLimit) -> bool {
    terms.credential.policy() == Policy::Secret && guard.is_spent()
}

impl Stranger {
    const fn ip(&self) -> IpAddr {
        self.peer.ip()
    }

    /// Its next message is there.
    fn is_complete(&self) -> bool {
        self.heard.len() >= self.trial.wants(&self.heard)
    }

    /// A message that is a guess, or would be.
    fn awaits_proof(&self) -> bool {
        self.trial.awaits() == Some(Step::M3) && self.is_complete()
    }

    /// When it makes room for another: it is waited for, and has had time.
    fn yields_at(&self) -> Option<Instant> {
        let is_awaited = self.place.is_some() && !self.is_complete() && !self.knows_secret;
        is_awaited.then(|| self.since + GRACE)
    }

    fn expires(&self) -> Instant {
        match self.place {
            _ if self.is_complete() => self.came + SLOT_WAIT,
            Some(answer) => answer,
            None => self.came + ANSWER,
        }
    }

    /// Takes in what has come, one byte more than it may say at most: who sends more is no donor.
    fn hear(&mut self) {
        let Some(donor) = self.donor.as_mut().filter(|_| self.end.is_none()) else {
            return;
        };
        donor.hurry(Duration::ZERO);
        loop {
            let beyond = usize::from(self.trial.awaits().is_some());
            let most = self.trial.wants(&self.heard).saturating_add(beyond);
            let missing = most.saturating_sub(self.heard.len());
            let mut part = [0; PART];
            let place = part.get_mut(..missing.min(PART)).unwrap_or_default();
            if place.is_empty() {
                return;
            }
            match donor.read(place) {
                Ok(0) => return self.end = Some(ErrorKind::UnexpectedEof.into()),
                Ok(len) => self
                    .heard
                    .extend_from_slice(place.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::TimedOut => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.end = Some(error),
            }
        }
    }

    /// Why it is not waited for any longer.
    fn fault(&mut self, now: Instant) -> Option<Refused> {
        let step = self.trial.awaits();
        let first = self.heard.first_chunk().filter(|_| step == Some(Step::M1));
        match first.map(|first| (first, Opening::of(*first))) {
            None | Some((_, Ok(Opening::Session))) => {}
            Some((_, Ok(_))) => return Some(Refused::Legacy),
            Some((first, Err(_))) => return Some(Refused::Unknown { first: *first }),
        }
        if let Some(step) = step
            && self.heard.len() > self.trial.wants(&self.heard)
        {
            return Some(Refused::Early { step });
        }
        let is_late = self.expires() <= now;
        if self.is_complete() {
            return is_late.then_some(Refused::Waited);
        }
        let late = || is_late.then(|| ErrorKind::TimedOut.into());
        let error = self.end.take().or_else(late)?;
        Some(match step {
            None => Refused::Record(error),
            Some(Step::M1) if first.is_none() => Refused::Opening(error),
            Some(step) => Refused::Pairing(PairingError::receiving(step, error)),
        })
    }

    /// Judges its next message; keys, when it has proved itself.
    fn step(&mut self, terms: Terms<'_>, now: Instant) -> Result<Option<Box<Keys>>, PairingError> {
        let len = self.trial.wants(&self.heard);
        let step = self.trial.awaits().unwrap_or(Step::M4);
        let said = self.heard.get(..len).unwrap_or_default();
        match self.trial.take(said, terms)? {
            Verdict::Proved(keys) => Ok(Some(keys)),
            Verdict::Answer(answer) => {
                self.heard.drain(..len);
                self.answer(step, &answer)?;
                self.since = now;
                if self.trial.awaits().is_none() {
                    self.place = Some(now + ANSWER);
                    self.knows_secret = terms.credential.policy() == Policy::Secret;
                }
                Ok(None)
            }
            Verdict::Refused(answer, error) => {
                self.answer(step, &answer)?;
                Err(error.into())
            }
        }
    }

    /// It is short, and the way back is empty: nothing waits for room here.
    fn answer(&self, to: Step, answer: &[u8]) -> Result<(), PairingError> {
        let step = if to == Step::M1 { Step::M2 } else { Step::M4 };
        let mut writer = self.donor.as_ref().map(|donor| donor.writer());
        let sent = writer.as_mut().map(|writer| writer.write_all(answer));
        match sent {
            Some(Err(error)) => Err(PairingError::sending(step, error)),
            _ => Ok(()),
        }
    }

    fn proved(mut self, keys: Keys, token: &CancelToken) -> io::Result<Paired> {
        let donor = self.donor.take().ok_or(ErrorKind::NotConnected)?;
        let record = std::mem::take(&mut self.heard);
        let connection = Connection::continued(donor, token, record);
        let writer = connection.writer()?;
        let (opener, sealer) = keys.channel(connection, writer);
        Ok(Paired {
            peer: self.peer,
            opener,
            sealer,
        })
    }

    fn dismiss(&mut self) {
        if let Some(donor) = self.donor.take() {
            donor.fail();
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.dismiss();
    }
}

#[cfg(test)]
mod tests;
