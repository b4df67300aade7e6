//! The lessons of the attempts to reach a target: who was there, who only posed, where to try next,
//! and when.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use session::{HandshakeError, PairingError, Step};
use wire::message::Next;

use super::DeliveryError;
use crate::discovery::ADDRESSES_MAX;
use crate::left::Left;
use crate::socket::ConnectError;
use crate::target_disk::TargetDisk;

/// Between two tries to make a broken connection again: the first, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// Before a target that has refused us is asked again.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// How often an address where nobody has ever passed may fail the handshake while a connection is
/// made again.
const STRIKES: u32 = 3;
/// How many may fail to prove themselves although they have seen our proof, before somebody has
/// passed. Each could try one guess at the secret (`protocol.md` 3.5). Afterwards `--retry` and the
/// pauses are the bound.
const UNPROVEN_MAX: u32 = 16;
/// Addresses that are remembered because they are not the target: more than are remembered of its
/// beacons, so that none of those is tried again because of it.
const DROPPED_MAX: usize = 2 * ADDRESSES_MAX;
/// Several addresses are tried one after the other within this time: one machine may have two.
const STAGGER_ALL: Duration = Duration::from_secs(2);
const STAGGER_MAX: Duration = Duration::from_millis(250);

/// An address where the target may be.
struct Candidate {
    to: SocketAddr,
    /// When it is tried next.
    due: Instant,
    is_running: bool,
    /// It is not the target, or cannot be reached.
    is_dropped: bool,
    strikes: u32,
    /// Since when it has refused us.
    busy_since: Option<Instant>,
}

impl Candidate {
    fn at(to: SocketAddr, due: Instant) -> Self {
        Self {
            to,
            due,
            is_running: false,
            is_dropped: false,
            strikes: 0,
            busy_since: None,
        }
    }
}

/// The lessons of the attempts so far.
#[derive(Default)]
pub(super) struct RetryState {
    /// In the order in which they are tried.
    candidates: Vec<Candidate>,
    /// Where it was heard too, by the protocol that is not tried first.
    pub(super) spare: Vec<SocketAddr>,
    /// Beacons are of interest since then.
    pub(super) listened: Option<Instant>,
    unproven: u32,
    /// The last address that passed.
    pub(super) good: Option<SocketAddr>,
    /// The first connection that passed.
    pub(super) start: Option<Instant>,
    /// Since when there has been no connection that works.
    pub(super) broken_at: Option<Instant>,
    /// How long connections have lived that restarted that time and brought no chunk.
    excused: Duration,
    pause: Duration,
    /// The furthest chunk a target has wanted.
    furthest: Option<Next>,
    /// The last failure.
    pub(super) last: Option<DeliveryError>,
    /// The disk that a person is being asked about, and the one that may be erased.
    pub(super) asked_about: Option<TargetDisk>,
    pub(super) agreed: Option<TargetDisk>,
    /// The target may write.
    pub(super) has_begun: bool,
    /// Everything was given to our kernel. Where that connection is over, the target has said that
    /// it has everything.
    pub(super) is_sent: bool,
}

/// The next attempt.
pub(super) struct Due {
    /// At once.
    pub(super) start: Vec<SocketAddr>,
    /// Nothing else before then.
    pub(super) next: Option<Instant>,
}

/// A connection that has ended before the target was installed.
pub(super) struct Broken {
    pub(super) to: SocketAddr,
    /// The chunk that the target wanted.
    pub(super) next: Next,
    pub(super) error: DeliveryError,
    /// From the handshake to the end.
    pub(super) lived: Duration,
}

/// The consequence of one failure.
pub(super) enum Lesson {
    /// It refuses everybody; it is asked again, the first time that is news.
    Busy { is_first: bool },
    /// It is tried again, or not, and that is all.
    Noted,
}

/// Whether it has refused us without looking at what we know.
fn is_busy(error: &DeliveryError) -> bool {
    let is_reset = |source: &io::Error| {
        matches!(
            source.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
        )
    };
    match error {
        DeliveryError::Connect(ConnectError { source, .. }) => is_reset(source),
        DeliveryError::Pairing { source, .. } => match source {
            PairingError::Closed { .. } => true,
            PairingError::Io { step, source, .. } => matches!(step, Step::M1) && is_reset(source),
            _ => false,
        },
        // It may have a queue.
        DeliveryError::Mute { step, .. } => matches!(step, Step::M2),
        _ => false,
    }
}

/// Whether somebody has seen our proof, and has given none.
fn is_unproven(error: &DeliveryError) -> bool {
    match error {
        DeliveryError::Pairing { source, .. } => matches!(
            source,
            PairingError::NotBelieved { .. }
                | PairingError::Handshake(HandshakeError::TargetUnproven { .. })
        ),
        DeliveryError::Mute { step, .. } => matches!(step, Step::M4),
        _ => false,
    }
}

/// The failure that tells more: a handshake's before a connection's.
fn worse(before: Option<DeliveryError>, now: DeliveryError) -> DeliveryError {
    match before {
        Some(before @ (DeliveryError::Pairing { .. } | DeliveryError::Mute { .. }))
            if matches!(now, DeliveryError::Connect(_)) =>
        {
            before
        }
        _ => now,
    }
}

/// Three quarters to five quarters of it, so that donors which were refused together do not come
/// back together. The standard library's random numbers are good enough for that.
fn jitter(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1024;
    pause.mul_f64(0.75 + random as f64 / 2048.0)
}

impl RetryState {
    /// Tries these too, unless they are known; one after the other.
    pub(super) fn try_at(&mut self, addresses: &[SocketAddr]) {
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let stagger = (STAGGER_ALL / count).min(STAGGER_MAX);
        let mut due = Instant::now();
        let mut known: BTreeSet<_> = self.candidates.iter().map(|known| known.to).collect();
        for &to in addresses {
            if known.insert(to) {
                self.candidates.push(Candidate::at(to, due));
                due += stagger;
            }
        }
    }

    /// It was heard at these addresses, the one heard last first, and they are tried in that order.
    /// Where there are more than are remembered, those that were silent for longest are forgotten.
    /// Where it has proved itself comes before all of them.
    pub(super) fn heard_at(&mut self, addresses: &[SocketAddr]) {
        self.try_at(addresses);
        let ranks: BTreeMap<_, _> = addresses.iter().zip(0usize..).collect();
        let good = self.good;
        self.candidates.sort_by_cached_key(|known| {
            let rank = ranks.get(&known.to).copied().unwrap_or(usize::MAX);
            (good != Some(known.to), rank)
        });
        let (mut waiting, mut dropped) = (0usize, 0usize);
        self.candidates.retain(|known| {
            let (count, max) = match known {
                Candidate {
                    is_running: true, ..
                } => return true,
                Candidate {
                    is_dropped: true, ..
                } => (&mut dropped, DROPPED_MAX),
                _ => (&mut waiting, ADDRESSES_MAX),
            };
            *count += 1;
            *count <= max
        });
    }

    /// Takes what is due, as far as there is room for so many tries at a time. Room comes with a
    /// result, never with time.
    pub(super) fn due(&mut self, now: Instant, parallel: usize) -> Due {
        let running = self.candidates.iter().filter(|known| known.is_running);
        let room = parallel.saturating_sub(running.count());
        let waiting = |known: &&mut Candidate| !known.is_running && !known.is_dropped;
        let mut due = Due {
            start: Vec::new(),
            next: None,
        };
        for known in self.candidates.iter_mut().filter(waiting) {
            if known.due > now {
                due.next = Some(due.next.map_or(known.due, |next| next.min(known.due)));
            } else if due.start.len() < room {
                known.is_running = true;
                due.start.push(known.to);
            }
        }
        due
    }

    /// Whether there is more than one address, or was.
    pub(super) fn is_choice(&self) -> bool {
        self.candidates.len() > 1 || self.good.is_some()
    }

    /// Nobody is left to try.
    pub(super) fn is_hopeless(&self) -> bool {
        self.candidates.iter().all(|candidate| candidate.is_dropped)
    }

    /// Somebody has proved itself there. The others are not waited for.
    pub(super) fn passed(&mut self, to: SocketAddr) {
        self.good = Some(to);
        self.start.get_or_insert_with(Instant::now);
        self.candidates
            .retain(|candidate| candidate.to == to || candidate.is_dropped);
        for candidate in &mut self.candidates {
            candidate.is_running = false;
            if candidate.to == to {
                (candidate.strikes, candidate.busy_since) = (0, None);
            }
        }
    }

    /// A connection ended. If its target wanted more than ever before, the next break counts as
    /// the first one; a connection that never lets a chunk through is given up like one that cannot
    /// be made. But one that lived for longer than `retry` has worked: its target was finishing, or
    /// its person was being asked. Such connections altogether count for no more than `finishing`,
    /// or a target that never gets further would be followed for ever.
    pub(super) fn broke(&mut self, broken: Broken, retry: Duration, finishing: Duration) {
        let Broken {
            to,
            next,
            error,
            lived,
        } = broken;
        let now = Instant::now();
        let is_news = self.furthest.is_none_or(|furthest| next > furthest);
        if is_news {
            self.furthest = Some(next);
            self.broken_at = Some(now);
            self.excused = Duration::ZERO;
            // At once, where it was: most connections break on their way, not at their ends.
            self.pause = Duration::ZERO;
        } else {
            self.lengthen();
            if lived >= retry && self.excused < finishing {
                self.excused = self.excused.saturating_add(lived);
                self.broken_at = Some(now);
            }
        }
        self.broken_at.get_or_insert(now);
        self.listened = Some(now);
        self.last = Some(error);
        // The target may be at an address that could not be reached before.
        self.candidates
            .retain(|known| known.to == to || known.strikes >= STRIKES);
        let due = now + jitter(self.pause);
        match self.candidates.iter_mut().find(|known| known.to == to) {
            Some(known) => known.due = due,
            None => self.candidates.push(Candidate::at(to, due)),
        }
    }

    /// Somebody here has said yes, the first time of which is as much as a chunk that has come
    /// through.
    pub(super) fn agree_to(&mut self, disk: TargetDisk) {
        if self.agreed.replace(disk).is_none() {
            self.furthest = None;
        }
    }

    fn lengthen(&mut self) {
        self.pause = (self.pause * 2).clamp(PAUSE_FIRST, PAUSE_MAX);
    }

    /// Nobody has proved itself there.
    ///
    /// # Errors
    /// Too many pose as the target.
    pub(super) fn failed(
        &mut self,
        to: SocketAddr,
        error: DeliveryError,
        busy: Duration,
    ) -> Result<Lesson, DeliveryError> {
        let now = Instant::now();
        let is_again = self.good.is_some();
        if is_again && self.good == Some(to) {
            self.lengthen();
        }
        let pause = if is_again { self.pause } else { BUSY_PAUSE };
        let mut lesson = Lesson::Noted;
        if let Some(known) = self.candidates.iter_mut().find(|known| known.to == to) {
            known.is_running = false;
            known.due = now + jitter(pause.max(PAUSE_FIRST));
            if is_again {
                // Where the target was, somebody may pose as it for a while: that delays, and does
                // not end it.
                let is_other = self.good != Some(to);
                known.strikes = known.strikes.saturating_add(1);
                known.is_dropped = is_other && known.strikes >= STRIKES;
            } else if is_busy(&error) {
                let is_first = known.busy_since.is_none();
                let since = *known.busy_since.get_or_insert(now);
                known.is_dropped = now.saturating_duration_since(since) >= busy;
                lesson = Lesson::Busy { is_first };
            } else {
                known.is_dropped = true;
            }
        }
        if is_unproven(&error) {
            self.unproven = self.unproven.saturating_add(1);
        }
        self.last = Some(worse(self.last.take(), error));
        if !is_again && self.unproven >= UNPROVEN_MAX {
            return Err(DeliveryError::Protocol {
                what: format!(
                    "cannot be told from {} others that pose as it; take another network",
                    self.unproven
                ),
            });
        }
        Ok(lesson)
    }

    /// What a donor leaves that is asked to end while it is not connected.
    pub(super) const fn left(&self) -> Left {
        match (self.has_begun, self.is_sent) {
            (false, _) => Left::Untouched { is_told: false },
            (true, false) => Left::Unfinished { is_told: false },
            (true, true) => Left::Finishing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ADDRESSES_MAX, Broken, DROPPED_MAX, RetryState};
    use crate::delivery::DeliveryError;
    use std::net::SocketAddr;
    use std::thread;
    use std::time::{Duration, Instant};
    use wire::message::Next;

    const RETRY: Duration = Duration::from_secs(600);
    const FINISHING: Duration = Duration::from_secs(1800);

    fn at(host: u32) -> SocketAddr {
        let [_, a, b, c] = host.to_be_bytes();
        ([10, a, b, c], 9192).into()
    }

    fn error() -> DeliveryError {
        let what = "is a test".to_owned();
        DeliveryError::Protocol { what }
    }

    /// A connection that lived so long breaks; since when none works.
    fn broke(retry: &mut RetryState, next: Next, lived: Duration) -> Instant {
        // Later than the one before.
        thread::sleep(Duration::from_millis(2));
        let broken = Broken {
            to: at(1),
            next,
            error: error(),
            lived,
        };
        retry.broke(broken, RETRY, FINISHING);
        retry.broken_at.unwrap()
    }

    #[test]
    fn a_long_connection_resets_the_retry_time() {
        let (mut retry, end) = (RetryState::default(), Next { file: 2, chunk: 0 });
        let first = broke(&mut retry, end, FINISHING);
        let short = broke(&mut retry, end, RETRY - Duration::from_millis(1));
        assert_eq!(short, first, "it brought nothing and broke soon");
        let long = broke(&mut retry, end, RETRY);
        assert!(long > first);
        let longest = broke(&mut retry, end, FINISHING);
        assert!(longest > long);
        let again = broke(&mut retry, end, FINISHING);
        assert_eq!(again, longest, "enough of it");
        let further = Next { file: 3, chunk: 0 };
        let news = broke(&mut retry, further, Duration::ZERO);
        assert!(news > again);
        assert!(broke(&mut retry, further, RETRY) > news);
    }
    #[test]
    fn what_waits_for_room_wakes_nobody() {
        let mut retry = RetryState::default();
        retry.try_at(&[at(1), at(2), at(3)]);
        let later = Instant::now() + Duration::from_secs(60);
        let due = retry.due(later, 2);
        assert_eq!(due.start, [at(1), at(2)]);
        assert_eq!(due.next, None, "the third one is due, and has no room");
        let _ = retry.failed(at(1), error(), RETRY).unwrap();
        assert_eq!(retry.due(later, 2).start, [at(3)]);
    }
    #[test]
    fn a_flood_of_senders_is_bounded_and_the_last_one_heard_goes_first() {
        let mut retry = RetryState::default();
        let later = Instant::now() + Duration::from_secs(3600);
        for look in 1..50 {
            let newest = look * 256;
            let heard: Vec<_> = (newest..newest + 256).rev().map(at).collect();
            retry.heard_at(&heard);
            // A place is free now and then: some were somebody else, others are still being tried.
            let start = retry.due(later, 32).start;
            assert_eq!(start.first(), heard.first());
            for to in start.into_iter().skip(1) {
                let _ = retry.failed(to, error(), RETRY).unwrap();
            }
            if look % 20 == 0 {
                let running = retry.candidates.iter_mut();
                running.for_each(|known| known.is_running = false);
            }
        }
        let most = ADDRESSES_MAX + DROPPED_MAX + 32;
        let len = retry.candidates.len();
        assert!((ADDRESSES_MAX..=most).contains(&len), "{len}");
    }

    #[test]
    fn where_the_target_was_goes_before_what_is_heard() {
        let mut retry = RetryState::default();
        retry.try_at(&[at(1)]);
        retry.passed(at(1));
        broke(&mut retry, Next::default(), Duration::ZERO);
        let heard: Vec<_> = (2..258).map(at).collect();
        retry.heard_at(&heard);
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(retry.due(later, 2).start, [at(1), at(2)]);
    }
}
