//! The IPv4 address that a person chose. Another machine that has it keeps it, and it is asked for
//! again until that machine is gone.
//!
//! In: ARP frames, time, whether a donor is connected. Out: the address while it is used, ARP
//! frames to send, the rival.

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, Ipv4Address, Ipv4Cidr};

use super::{Assigned, PAUSE, Rivalry, Rivals, is_host, rivalry};
use crate::acd::{Claim, Conflict, MAX_CONFLICTS, RATE_LIMIT_INTERVAL, Random};
use crate::arp::Arp;
use crate::config::Fixed;
use crate::fact::AddressSource;

/// Two machines that have given way to each other come back one after the other.
const JITTER: Duration = Duration::from_secs(5);

/// The address that an operator chose, and the state of its check.
#[derive(Debug)]
pub(crate) struct Static {
    mac: EthernetAddress,
    assigned: Assigned,
    random: Random,
    conflicts: u32,
    tenure: Tenure,
    rivals: Rivals,
}

#[derive(Debug)]
enum Tenure {
    /// Used from the first probe on.
    Used(Claim),
    /// Used once nobody has answered: somebody did before.
    Wanted(Claim),
    /// Somebody else's until then, at least.
    Theirs { until: Instant },
}

impl Static {
    /// `None` when no host can have that address.
    pub(super) fn new(
        mac: EthernetAddress,
        chosen: &Fixed<Ipv4Address>,
        now: Instant,
    ) -> Option<Self> {
        if !is_host(chosen.address) || !(1..=32).contains(&chosen.prefix_len) {
            return None;
        }
        let assigned = Assigned {
            cidr: Ipv4Cidr::new(chosen.address, chosen.prefix_len),
            gateway: chosen.gateway.filter(|gateway| is_host(*gateway)),
            source: AddressSource::Static,
        };
        let mut random = Random::of(mac);
        let claim = Claim::new(mac, chosen.address, random.fork(), now);
        Some(Self {
            mac,
            assigned,
            random,
            conflicts: 0,
            tenure: Tenure::Used(claim),
            rivals: Rivals::default(),
        })
    }

    pub(super) fn wanted(&self) -> Option<Assigned> {
        match &self.tenure {
            Tenure::Used(_) => Some(self.assigned),
            Tenure::Wanted(_) | Tenure::Theirs { .. } => None,
        }
    }

    pub(super) fn due(&mut self, now: Instant) -> Option<Arp> {
        match &mut self.tenure {
            Tenure::Used(claim) | Tenure::Wanted(claim) => claim.poll(now),
            Tenure::Theirs { .. } => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.tenure {
            Tenure::Used(claim) | Tenure::Wanted(claim) => claim.deadline(),
            Tenure::Theirs { until } => Some(*until),
        }
    }

    pub(super) fn take_rivalry(&mut self, now: Instant) -> Option<Rivalry> {
        self.rivals.take(now)
    }

    pub(super) fn restart(&mut self, now: Instant) {
        self.tenure = Tenure::Used(self.claim(now));
    }

    fn claim(&mut self, at: Instant) -> Claim {
        let random = self.random.fork();
        Claim::new(self.mac, self.assigned.cidr.address(), random, at)
    }

    pub(super) fn hear(&mut self, arp: &Arp, now: Instant, must_stay: bool) -> Option<Arp> {
        let (Tenure::Used(claim) | Tenure::Wanted(claim)) = &mut self.tenure else {
            return None;
        };
        let conflict = claim.hear(arp, now, must_stay)?;
        self.rivals.note(rivalry(arp, conflict));
        let Conflict::Kept(answer) = conflict else {
            self.conflicts = self.conflicts.saturating_add(1);
            let pause = if self.conflicts < MAX_CONFLICTS {
                self.random.between(PAUSE, PAUSE + JITTER)
            } else {
                RATE_LIMIT_INTERVAL
            };
            self.tenure = Tenure::Theirs { until: now + pause };
            return None;
        };
        answer
    }

    pub(super) fn poll(&mut self, now: Instant) {
        match &self.tenure {
            Tenure::Theirs { until } if *until <= now => {
                self.tenure = Tenure::Wanted(self.claim(now));
            }
            Tenure::Wanted(claim) if claim.is_ours() => {
                self.tenure = Tenure::Used(claim.clone());
                self.rivals.forget();
            }
            Tenure::Used(_) | Tenure::Wanted(_) | Tenure::Theirs { .. } => {}
        }
    }
}
