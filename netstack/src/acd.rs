//! One IPv4 address that we mean to have: asked for, announced, defended (RFC 5227; RFC 3927 has
//! the same numbers).
//!
//! In: time, and every ARP frame of the interface. Out: ARP frames to send, and whether the address
//! is ours. No I/O here.

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, Ipv4Address};

use crate::arp::Arp;

// RFC 5227 1.1.
const PROBES: u8 = 3;
const PROBE_MIN: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(2);
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// After so many conflicts an address is not asked for more often than that.
pub(crate) const MAX_CONFLICTS: u32 = 10;
/// See [`MAX_CONFLICTS`].
pub(crate) const RATE_LIMIT_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// `sent` probes went out; the next step is due at `at`.
    Probing { sent: u8, at: Instant },
    /// The address is ours; announcements are still due.
    Announcing { sent: u8, at: Instant },
    /// The address is ours.
    Held,
}

/// Somebody else uses the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// It stays ours. This is to be sent, unless that was done a moment ago.
    Kept(Option<Arp>),
    /// It is the other's.
    Lost,
}

/// The claim to one address on one interface.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    mac: EthernetAddress,
    address: Ipv4Address,
    random: Random,
    state: State,
    defended: Option<Instant>,
}

impl Claim {
    /// The first probe is due at `at`.
    pub(crate) const fn new(
        mac: EthernetAddress,
        address: Ipv4Address,
        random: Random,
        at: Instant,
    ) -> Self {
        Self {
            mac,
            address,
            random,
            state: State::Probing { sent: 0, at },
            defended: None,
        }
    }

    pub(crate) const fn address(&self) -> Ipv4Address {
        self.address
    }

    /// Nobody has answered our probes.
    pub(crate) const fn is_ours(&self) -> bool {
        !matches!(self.state, State::Probing { .. })
    }

    /// When `poll` has something to do.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Probing { at, .. } | State::Announcing { at, .. } => Some(at),
            State::Held => None,
        }
    }

    /// The next packet that is due now; ask until there is none.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Arp> {
        if let State::Probing { sent: PROBES, at } = self.state
            && at <= now
        {
            self.state = State::Announcing { sent: 0, at: now };
        }
        match self.state {
            State::Probing { sent, at } if at <= now => {
                let sent = sent.saturating_add(1);
                let pause = if sent < PROBES {
                    self.random.between(PROBE_MIN, PROBE_MAX)
                } else {
                    ANNOUNCE_WAIT
                };
                let at = now + pause;
                self.state = State::Probing { sent, at };
                Some(Arp::probe(self.mac, self.address))
            }
            State::Announcing { sent, at } if at <= now => {
                let sent = sent.saturating_add(1);
                self.state = if sent < ANNOUNCEMENTS {
                    let at = now + ANNOUNCE_INTERVAL;
                    State::Announcing { sent, at }
                } else {
                    State::Held
                };
                Some(Arp::announcement(self.mac, self.address))
            }
            _ => None,
        }
    }

    /// Takes note of somebody's ARP frame.
    ///
    /// RFC 5227 2.4 (b): an address that is ours is defended once, and left to the other at the
    /// second conflict within ten seconds. What `must_stay` is defended for ever, once in that time
    /// (2.4 (c)).
    pub(crate) fn hear(&mut self, arp: &Arp, now: Instant, must_stay: bool) -> Option<Conflict> {
        if !arp.is_claim_of(self.address, self.mac) {
            return None;
        }
        let before = self.defended;
        let is_soon = before.is_some_and(|before| now < before + DEFEND_INTERVAL);
        if !must_stay && (is_soon || !self.is_ours()) {
            return Some(Conflict::Lost);
        }
        if is_soon {
            return Some(Conflict::Kept(None));
        }
        self.defended = Some(now);
        let answer = Arp::announcement(self.mac, self.address);
        Some(Conflict::Kept(Some(answer)))
    }
}

/// SplitMix64: no secret hangs on it, and a test can foresee it.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The same numbers for the same hardware address (RFC 3927 2.1).
    pub(crate) fn of(mac: EthernetAddress) -> Self {
        let bytes = mac.0.iter();
        Self(bytes.fold(0, |seed: u64, byte| (seed << 8) | u64::from(*byte)))
    }

    /// Another row of numbers.
    pub(crate) const fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = high.total_micros().saturating_sub(low.total_micros());
        low + Duration::from_micros(self.next() % span.max(1))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Conflict, Random};
    use crate::arp::Arp;
    use smoltcp::time::{Duration, Instant};
    use smoltcp::wire::{EthernetAddress, Ipv4Address};

    const OURS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
    const THEIRS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
    const ADDRESS: Ipv4Address = Ipv4Address::new(10, 9, 0, 5);

    fn held() -> (Claim, Instant) {
        let mut claim = Claim::new(OURS, ADDRESS, Random::of(OURS), Instant::ZERO);
        let mut now = Instant::ZERO;
        while let Some(at) = claim.deadline() {
            now = at;
            claim.poll(now);
        }
        (claim, now)
    }

    #[test]
    fn a_claim_while_we_ask_ends_ours_and_a_probe_does_not() {
        let mut claim = Claim::new(OURS, ADDRESS, Random::of(OURS), Instant::ZERO);
        assert_eq!(claim.poll(Instant::ZERO), Some(Arp::probe(OURS, ADDRESS)));
        assert_eq!(claim.poll(Instant::ZERO), None);
        let others = [
            Arp::probe(THEIRS, ADDRESS),
            Arp::announcement(OURS, ADDRESS),
            Arp::announcement(THEIRS, Ipv4Address::new(10, 9, 0, 6)),
        ];
        for arp in others {
            assert_eq!(claim.hear(&arp, Instant::ZERO, false), None, "{arp:?}");
        }
        let theirs = Arp::announcement(THEIRS, ADDRESS);
        assert_eq!(
            claim.hear(&theirs, Instant::ZERO, false),
            Some(Conflict::Lost)
        );
    }

    #[test]
    fn what_must_stay_is_defended_once_in_ten_seconds() {
        let (mut claim, held) = held();
        let theirs = Arp::announcement(THEIRS, ADDRESS);
        let defence = Some(Conflict::Kept(Some(Arp::announcement(OURS, ADDRESS))));
        let silence = Some(Conflict::Kept(None));
        for (seconds, expected) in [(0, defence), (9, silence), (10, defence), (11, silence)] {
            let now = held + Duration::from_secs(seconds);
            assert_eq!(claim.hear(&theirs, now, true), expected, "{seconds}");
        }
        let now = held + Duration::from_secs(12);
        assert_eq!(claim.hear(&theirs, now, false), Some(Conflict::Lost));
    }
}
