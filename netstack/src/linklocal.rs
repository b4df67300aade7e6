//! IPv4 link-local addresses (RFC 3927): choose one, probe it, announce it, defend it, give it up.
//!
//! In: time, and every ARP frame of the port. Out: ARP frames to send, and the address while it is ours. No I/O here.

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, Ipv4Address};

use crate::arp::Arp;

// RFC 3927 9.
const PROBE_WAIT: Duration = Duration::from_secs(1);
const PROBES: u8 = 3;
const PROBE_MIN: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(2);
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
const MAX_CONFLICTS: u32 = 10;
const RATE_LIMIT_INTERVAL: Duration = Duration::from_secs(60);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    /// `sent` probes went out; the next step is due at `at`.
    Probing {
        candidate: Ipv4Address,
        sent: u8,
        at: Instant,
    },
    /// The address is ours; announcements are still due.
    Announcing {
        address: Ipv4Address,
        sent: u8,
        at: Instant,
    },
    /// The address is ours.
    Held {
        address: Ipv4Address,
        defended: Option<Instant>,
    },
}

/// The link-local address of one port.
#[derive(Debug)]
pub(crate) struct LinkLocal {
    mac: EthernetAddress,
    random: u64,
    conflicts: u32,
    state: State,
}

impl LinkLocal {
    pub(crate) fn new(mac: EthernetAddress) -> Self {
        // RFC 3927 2.1: seeded by the hardware address, so that a machine gets the same address again.
        let seed = mac
            .0
            .iter()
            .fold(0, |seed: u64, byte| (seed << 8) | u64::from(*byte));
        Self {
            mac,
            random: seed,
            conflicts: 0,
            state: State::Off,
        }
    }

    pub(crate) fn start(&mut self, now: Instant) {
        if self.state == State::Off {
            self.probe_another(now);
        }
    }

    pub(crate) fn stop(&mut self) {
        self.state = State::Off;
    }

    /// The address, once it is ours.
    pub(crate) const fn address(&self) -> Option<Ipv4Address> {
        match self.state {
            State::Announcing { address, .. } | State::Held { address, .. } => Some(address),
            State::Off | State::Probing { .. } => None,
        }
    }

    /// When `poll` has something to do.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Probing { at, .. } | State::Announcing { at, .. } => Some(at),
            State::Off | State::Held { .. } => None,
        }
    }

    /// What is due now, if anything; ask until there is nothing.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Arp> {
        match self.state {
            State::Probing {
                candidate,
                sent,
                at,
            } if at <= now => {
                if sent >= PROBES {
                    self.state = State::Announcing {
                        address: candidate,
                        sent: 0,
                        at: now,
                    };
                    return self.poll(now);
                }
                let sent = sent.saturating_add(1);
                let pause = if sent < PROBES {
                    self.between(PROBE_MIN, PROBE_MAX)
                } else {
                    ANNOUNCE_WAIT
                };
                self.state = State::Probing {
                    candidate,
                    sent,
                    at: now + pause,
                };
                Some(Arp::probe(self.mac, candidate))
            }
            State::Announcing { address, sent, at } if at <= now => {
                let sent = sent.saturating_add(1);
                self.state = if sent < ANNOUNCEMENTS {
                    State::Announcing {
                        address,
                        sent,
                        at: now + ANNOUNCE_INTERVAL,
                    }
                } else {
                    State::Held {
                        address,
                        defended: None,
                    }
                };
                Some(Arp::announcement(self.mac, address))
            }
            _ => None,
        }
    }

    /// Takes note of somebody's ARP frame; what it returns is to be sent.
    pub(crate) fn hear(&mut self, arp: &Arp, now: Instant) -> Option<Arp> {
        match self.state {
            State::Off => None,
            State::Probing { candidate, .. } => {
                // RFC 3927 2.2.1: in use, or about to be taken by another one who probes.
                if arp.is_claim_of(candidate, self.mac) || arp.is_probe_for(candidate, self.mac) {
                    self.probe_another(now);
                }
                None
            }
            State::Announcing { address, .. } if arp.is_claim_of(address, self.mac) => {
                self.defend(address, None, now)
            }
            State::Held { address, defended } if arp.is_claim_of(address, self.mac) => {
                self.defend(address, defended, now)
            }
            State::Announcing { .. } | State::Held { .. } => None,
        }
    }

    /// RFC 3927 2.5 (b): defend once, give way at the second conflict within ten seconds.
    fn defend(
        &mut self,
        address: Ipv4Address,
        before: Option<Instant>,
        now: Instant,
    ) -> Option<Arp> {
        if before.is_some_and(|before| now < before + DEFEND_INTERVAL) {
            self.probe_another(now);
            return None;
        }
        self.state = State::Held {
            address,
            defended: Some(now),
        };
        Some(Arp::announcement(self.mac, address))
    }

    fn probe_another(&mut self, now: Instant) {
        if self.state != State::Off {
            self.conflicts = self.conflicts.saturating_add(1);
        }
        let candidate = self.choose();
        // RFC 3927 2.2.1: after ten conflicts not more than one new address a minute.
        let pause = if self.conflicts >= MAX_CONFLICTS {
            RATE_LIMIT_INTERVAL
        } else {
            self.between(Duration::ZERO, PROBE_WAIT)
        };
        self.state = State::Probing {
            candidate,
            sent: 0,
            at: now + pause,
        };
    }

    /// 169.254.1.0 to 169.254.254.255 (RFC 3927 2.1).
    fn choose(&mut self) -> Ipv4Address {
        let random = self.next_random();
        let third = 1 + (random >> 8) % 254;
        // Both are below 256.
        Ipv4Address::new(169, 254, third as u8, random as u8)
    }

    fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = high
            .total_micros()
            .saturating_sub(low.total_micros())
            .max(1);
        low + Duration::from_micros(self.next_random() % span)
    }

    /// SplitMix64: no secret hangs on it, and a test can foresee it.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkLocal, State};
    use crate::arp::Arp;
    use smoltcp::time::{Duration, Instant};
    use smoltcp::wire::{EthernetAddress, Ipv4Address};

    const OURS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
    const THEIRS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

    /// Runs until the address is ours; what was sent, with times.
    fn claim(link_local: &mut LinkLocal, mut now: Instant) -> (Instant, Vec<(Instant, Arp)>) {
        let mut sent = Vec::new();
        while !matches!(link_local.state, State::Held { .. }) {
            now = link_local.deadline().unwrap();
            sent.extend(link_local.poll(now).map(|arp| (now, arp)));
        }
        (now, sent)
    }

    #[test]
    fn three_probes_and_two_announcements_make_an_address() {
        let mut link_local = LinkLocal::new(OURS);
        link_local.start(Instant::ZERO);
        let (_, sent) = claim(&mut link_local, Instant::ZERO);
        let address = link_local.address().unwrap();
        assert_eq!(address.octets()[..2], [169, 254]);
        assert!((1..=254).contains(&address.octets()[2]));
        let (probes, announcements) = sent.split_at(3);
        assert!(
            probes
                .iter()
                .all(|(_, arp)| *arp == Arp::probe(OURS, address))
        );
        assert!(
            announcements
                .iter()
                .all(|(_, arp)| *arp == Arp::announcement(OURS, address))
        );
        assert_eq!(announcements.len(), 2);
        for pair in probes.windows(2) {
            let pause = pair[1].0 - pair[0].0;
            assert!((1000..=2000).contains(&pause.total_millis()), "{pause}");
        }
        assert_eq!((announcements[0].0 - probes[2].0).total_millis(), 2000);
    }

    #[test]
    fn an_address_in_use_is_not_taken() {
        for conflict in [Arp::announcement, Arp::probe] {
            let mut link_local = LinkLocal::new(OURS);
            link_local.start(Instant::ZERO);
            let State::Probing { candidate, at, .. } = link_local.state else {
                panic!()
            };
            assert!(link_local.poll(at).is_some());
            assert_eq!(link_local.hear(&conflict(OURS, candidate), at), None);
            assert!(
                matches!(link_local.state, State::Probing { sent: 1, .. }),
                "our own echo"
            );
            link_local.hear(&conflict(THEIRS, candidate), at);
            claim(&mut link_local, at);
            assert_ne!(link_local.address().unwrap(), candidate);
        }
    }

    #[test]
    fn an_address_is_defended_once_and_then_given_up() {
        let mut link_local = LinkLocal::new(OURS);
        link_local.start(Instant::ZERO);
        let (now, _) = claim(&mut link_local, Instant::ZERO);
        let address = link_local.address().unwrap();
        let claim_of_theirs = Arp::announcement(THEIRS, address);
        assert_eq!(
            link_local.hear(&claim_of_theirs, now),
            Some(Arp::announcement(OURS, address))
        );
        let later = now + Duration::from_secs(11);
        assert_eq!(
            link_local.hear(&claim_of_theirs, later),
            Some(Arp::announcement(OURS, address))
        );
        let soon = later + Duration::from_secs(9);
        assert_eq!(link_local.hear(&claim_of_theirs, soon), None);
        assert_eq!(link_local.address(), None);
    }

    #[test]
    fn ten_conflicts_slow_it_down() {
        let mut link_local = LinkLocal::new(OURS);
        link_local.start(Instant::ZERO);
        for _ in 0..10 {
            let State::Probing { candidate, .. } = link_local.state else {
                panic!()
            };
            assert!(link_local.deadline().unwrap() <= Instant::from_secs(1));
            link_local.hear(&Arp::announcement(THEIRS, candidate), Instant::ZERO);
        }
        assert_eq!(link_local.deadline(), Some(Instant::from_secs(60)));
    }

    #[test]
    fn the_same_machine_gets_the_same_address_again() {
        let address = |mac| {
            let mut link_local = LinkLocal::new(mac);
            link_local.start(Instant::ZERO);
            claim(&mut link_local, Instant::ZERO);
            link_local.address().unwrap()
        };
        assert_eq!(address(OURS), address(OURS));
        assert_ne!(address(OURS), address(THEIRS));
        assert_ne!(address(OURS), Ipv4Address::UNSPECIFIED);
    }
}
