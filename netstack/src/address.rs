//! The IPv4 address of an interface: leased (RFC 2131), link-local while no server answers, or
//! chosen by a person; and what becomes of it when another machine has it too.
//!
//! RFC 5227 2.1.1 asks for an address for five to seven seconds before it is used. Nobody can see
//! these seconds on a screen, and all who boot would wait for them, so what a person or a server
//! has given us is used while it is asked for: a machine that has it answers within a millisecond.
//! Nothing takes it from that machine meanwhile: it is announced only once nobody has answered, and
//! a beacon is no ARP. Like anything in use it is defended against probes, so of two machines that
//! begin at once both may give way and ask again, rather than both at each probe (against 2.1.1,
//! which counts a probe as a conflict: switches that track their hosts send such probes).
//!
//! In: the DHCP socket's events, the link-local state, ARP frames, time, and whether a donor is
//! connected. Out: the one address to use.

use std::time::Duration as StdDuration;

use smoltcp::iface::SocketSet;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, Ipv4Address, Ipv4Cidr};

use crate::acd::Conflict;
use crate::arp::Arp;
use crate::config::Fixed;
use crate::decline::Decline;
use crate::fact::AddressSource;

mod chosen;
mod leased;

pub(crate) use chosen::Static;
pub(crate) use leased::Automatic;

/// RFC 2131 3.1 (5): before a server is asked again whose address was taken. A person's is asked
/// for again after the same time.
const PAUSE: Duration = Duration::from_secs(10);

/// Between two rivals that are reported.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// An address in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub(crate) cidr: Ipv4Cidr,
    pub(crate) gateway: Option<Ipv4Address>,
    pub(crate) source: AddressSource,
}

/// Another machine uses one of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rivalry {
    pub(crate) address: Ipv4Address,
    pub(crate) by: EthernetAddress,
    /// We use it as well; otherwise it is left to the other.
    pub(crate) is_kept: bool,
    /// Others since the last that was reported.
    pub(crate) unshown: u32,
}

impl Rivalry {
    fn is_same(&self, other: &Self) -> bool {
        (self.address, self.by, self.is_kept) == (other.address, other.by, other.is_kept)
    }
}

/// What there is to tell of rivals: the same one once, and of many one in [`TELL_INTERVAL`] with
/// their count. Who sends an ARP frame chooses its sender, and each line takes a serial console ten
/// milliseconds.
#[derive(Debug, Default)]
struct Rivals {
    known: Option<Rivalry>,
    untold: Option<Rivalry>,
    told: Option<Instant>,
}

impl Rivals {
    fn note(&mut self, rivalry: Rivalry) {
        let is_known = |known: Rivalry| known.is_same(&rivalry);
        if self.known.is_some_and(is_known) {
            return;
        }
        let unshown = self
            .untold
            .map_or(0, |before| before.unshown.saturating_add(1));
        self.known = Some(rivalry);
        self.untold = Some(Rivalry { unshown, ..rivalry });
    }

    /// The last of them, when its time has come. That an address is given up is reported at once:
    /// it takes [`PAUSE`] to have it again.
    fn take(&mut self, now: Instant) -> Option<Rivalry> {
        let is_early = self.told.is_some_and(|told| now < told + TELL_INTERVAL);
        let rivalry = self
            .untold
            .take_if(|rivalry| !(rivalry.is_kept && is_early))?;
        self.told = Some(now);
        Some(rivalry)
    }

    /// The rival is gone: the next one is news.
    const fn forget(&mut self) {
        (self.known, self.untold) = (None, None);
    }
}

/// Where an interface's address comes from.
#[derive(Debug)]
pub(crate) enum Addresses {
    /// Nowhere: another interface was meant, or no host can have what was chosen.
    None,
    Static(Static),
    Automatic(Automatic),
}

impl Addresses {
    /// A person's choice; `None` when no host can have that address.
    pub(crate) fn fixed(
        mac: EthernetAddress,
        chosen: &Fixed<Ipv4Address>,
        now: Instant,
    ) -> Option<Self> {
        Static::new(mac, chosen, now).map(Self::Static)
    }

    /// Starts DHCP.
    pub(crate) fn automatic(
        mac: EthernetAddress,
        sockets: &mut SocketSet<'static>,
        now: Instant,
    ) -> Self {
        Self::Automatic(Automatic::new(mac, sockets, now))
    }

    /// Stops to look for one.
    pub(crate) fn end(&mut self, sockets: &mut SocketSet<'static>) {
        if let Self::Automatic(automatic) = std::mem::replace(self, Self::None) {
            automatic.end(sockets);
        }
    }

    /// For how long the address was leased.
    pub(crate) fn lease_time(&self) -> Option<StdDuration> {
        match self {
            Self::Automatic(automatic) => automatic.lease_time(),
            Self::None | Self::Static(_) => None,
        }
    }

    /// The address that should be used now.
    pub(crate) fn wanted(&self) -> Option<Assigned> {
        match self {
            Self::None => None,
            Self::Static(chosen) => chosen.wanted(),
            Self::Automatic(automatic) => automatic.wanted(),
        }
    }

    /// The next packet to send now; ask until there is none.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Arp> {
        match self {
            Self::None => None,
            Self::Static(chosen) => chosen.due(now),
            Self::Automatic(automatic) => automatic.due(now),
        }
    }

    /// Takes note of somebody's ARP frame; what it returns is to be sent. An address that
    /// `must_stay` is given to nobody.
    pub(crate) fn hear(&mut self, arp: &Arp, now: Instant, must_stay: bool) -> Option<Arp> {
        match self {
            Self::None => None,
            Self::Static(chosen) => chosen.hear(arp, now, must_stay),
            Self::Automatic(automatic) => automatic.hear(arp, now, must_stay),
        }
    }

    /// Another machine that uses our address, once.
    pub(crate) fn take_rivalry(&mut self, now: Instant) -> Option<Rivalry> {
        match self {
            Self::None => None,
            Self::Static(chosen) => chosen.take_rivalry(now),
            Self::Automatic(automatic) => automatic.take_rivalry(now),
        }
    }

    /// The DHCPDECLINE for such an address, once.
    pub(crate) const fn take_decline(&mut self) -> Option<Decline> {
        match self {
            Self::Automatic(automatic) => automatic.take_decline(),
            Self::None | Self::Static(_) => None,
        }
    }

    /// Takes note of what the DHCP socket learnt, and of time.
    pub(crate) fn poll(&mut self, sockets: &mut SocketSet<'static>, now: Instant) {
        match self {
            Self::None => {}
            Self::Static(chosen) => chosen.poll(now),
            Self::Automatic(automatic) => automatic.poll(sockets, now),
        }
    }

    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::Static(chosen) => chosen.deadline(),
            Self::Automatic(automatic) => automatic.deadline(now),
        }
    }

    /// The cable was plugged in again, perhaps into another network: what we have is asked for
    /// there (RFC 5227 2.1), and a server is looked for afresh. A lease is kept until a server has
    /// spoken, or none has for ten seconds: most often it was only a short interruption.
    pub(crate) fn restart(&mut self, sockets: &mut SocketSet<'static>, now: Instant) {
        match self {
            Self::None => {}
            Self::Static(chosen) => chosen.restart(now),
            Self::Automatic(automatic) => automatic.restart(sockets, now),
        }
    }
}

fn rivalry(arp: &Arp, conflict: Conflict) -> Rivalry {
    Rivalry {
        address: arp.sender,
        by: arp.sender_mac,
        is_kept: conflict != Conflict::Lost,
        unshown: 0,
    }
}

/// smoltcp panics when an interface gets anything else.
const fn is_host(address: Ipv4Address) -> bool {
    !address.is_unspecified()
        && !address.is_broadcast()
        && !address.is_multicast()
        && !address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::{Rivalry, Rivals};
    use smoltcp::time::Instant;
    use smoltcp::wire::{EthernetAddress, Ipv4Address};

    fn rivalry(number: u32, is_kept: bool) -> Rivalry {
        let [_, a, b, c] = number.to_be_bytes();
        Rivalry {
            address: Ipv4Address::new(10, 9, 0, 5),
            by: EthernetAddress([2, 0, 0, a, b, c]),
            is_kept,
            unshown: 0,
        }
    }

    #[test]
    fn many_rivals_are_a_line_in_ten_seconds_with_their_count() {
        let mut rivals = Rivals::default();
        let mut told = Vec::new();
        // A thousand a second, for 25 s, each with another sender.
        for number in 0..25_000 {
            rivals.note(rivalry(number, true));
            told.extend(rivals.take(Instant::from_millis(number)));
        }
        let told: Vec<_> = told.iter().map(|rivalry| rivalry.unshown).collect();
        assert_eq!(told, [0, 9_999, 9_999]);
        // The last of them is not lost; that the address is given up is reported at once.
        assert!(rivals.untold.is_some());
        rivals.note(rivalry(25_000, false));
        let last = rivals.take(Instant::from_secs(25)).unwrap();
        assert!(last.is_same(&rivalry(25_000, false)) && last.unshown > 4_000);
        rivals.note(rivalry(25_000, false));
        assert_eq!(rivals.take(Instant::from_secs(99)), None, "the same one");
        rivals.forget();
        rivals.note(rivalry(25_000, false));
        assert!(rivals.take(Instant::from_secs(100)).is_some());
    }
}
