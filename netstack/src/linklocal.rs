//! IPv4 link-local addresses (RFC 3927): choose one and claim it; choose another when somebody has
//! it.
//!
//! In: time, and every ARP frame of the interface. Out: ARP frames to send, and the address while
//! it is ours. No I/O here.

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, Ipv4Address};

use crate::acd::{Claim, Conflict, MAX_CONFLICTS, RATE_LIMIT_INTERVAL, Random};
use crate::arp::Arp;

/// RFC 3927 9: not all machines of a room at once.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// The link-local address of one interface.
#[derive(Debug)]
pub(crate) struct LinkLocal {
    mac: EthernetAddress,
    random: Random,
    conflicts: u32,
    claim: Option<Claim>,
}

impl LinkLocal {
    pub(crate) fn new(mac: EthernetAddress) -> Self {
        Self {
            mac,
            // RFC 3927 2.1: a machine gets the same address again.
            random: Random::of(mac),
            conflicts: 0,
            claim: None,
        }
    }

    pub(crate) fn start(&mut self, now: Instant) {
        if self.claim.is_none() {
            self.claim_another(now);
        }
    }

    pub(crate) fn stop(&mut self) {
        self.claim = None;
    }

    /// The address, once it is ours.
    pub(crate) fn address(&self) -> Option<Ipv4Address> {
        let ours = self.claim.as_ref().filter(|claim| claim.is_ours());
        ours.map(Claim::address)
    }

    /// When `poll` has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.claim.as_ref().and_then(Claim::deadline)
    }

    /// The next packet that is due now; ask until there is none.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Arp> {
        self.claim.as_mut()?.poll(now)
    }

    /// Takes note of somebody's ARP frame; what it returns is to be sent.
    pub(crate) fn hear(&mut self, arp: &Arp, now: Instant, must_stay: bool) -> Option<Arp> {
        let claim = self.claim.as_mut()?;
        // RFC 3927 2.2.1: about to be taken by another one who probes.
        if !claim.is_ours() && arp.is_probe_for(claim.address(), self.mac) {
            self.claim_another(now);
            return None;
        }
        match claim.hear(arp, now, must_stay)? {
            Conflict::Kept(answer) => answer,
            Conflict::Lost => {
                self.claim_another(now);
                None
            }
        }
    }

    fn claim_another(&mut self, now: Instant) {
        if self.claim.is_some() {
            self.conflicts = self.conflicts.saturating_add(1);
        }
        let address = self.choose();
        // RFC 3927 2.2.1: after ten conflicts not more than one new address a minute.
        let pause = if self.conflicts >= MAX_CONFLICTS {
            RATE_LIMIT_INTERVAL
        } else {
            self.random.between(Duration::ZERO, PROBE_WAIT)
        };
        let random = self.random.fork();
        self.claim = Some(Claim::new(self.mac, address, random, now + pause));
    }

    /// 169.254.1.0 to 169.254.254.255 (RFC 3927 2.1).
    fn choose(&mut self) -> Ipv4Address {
        let random = self.random.next();
        let third = 1 + (random >> 8) % 254;
        // Both are below 256.
        Ipv4Address::new(169, 254, third as u8, random as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::LinkLocal;
    use crate::arp::Arp;
    use smoltcp::time::{Duration, Instant};
    use smoltcp::wire::{EthernetAddress, Ipv4Address};

    const OURS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
    const THEIRS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

    /// Runs until the address is ours; what was sent, with times.
    fn claim(link_local: &mut LinkLocal, mut now: Instant) -> (Instant, Vec<(Instant, Arp)>) {
        let mut sent = Vec::new();
        while let Some(at) = link_local.deadline() {
            now = at;
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
            let at = link_local.deadline().unwrap();
            let candidate = link_local.poll(at).unwrap().target;
            let next = link_local.deadline();
            assert_eq!(link_local.hear(&conflict(OURS, candidate), at, false), None);
            assert_eq!(link_local.deadline(), next, "our own echo");
            link_local.hear(&conflict(THEIRS, candidate), at, false);
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
            link_local.hear(&claim_of_theirs, now, false),
            Some(Arp::announcement(OURS, address))
        );
        let later = now + Duration::from_secs(11);
        assert_eq!(
            link_local.hear(&claim_of_theirs, later, false),
            Some(Arp::announcement(OURS, address))
        );
        let soon = later + Duration::from_secs(9);
        assert_eq!(link_local.hear(&claim_of_theirs, soon, false), None);
        assert_eq!(link_local.address(), None);
    }

    #[test]
    fn ten_conflicts_slow_it_down() {
        let mut link_local = LinkLocal::new(OURS);
        link_local.start(Instant::ZERO);
        for _ in 0..10 {
            let candidate = link_local.claim.as_ref().unwrap().address();
            assert!(link_local.deadline().unwrap() <= Instant::from_secs(1));
            let theirs = Arp::announcement(THEIRS, candidate);
            link_local.hear(&theirs, Instant::ZERO, false);
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
