//! The IPv6 addresses of one interface: a link-local one always, one in each network that a router
//! announces (RFC 4862) or the one that a person chose; each is probed before it is used, announced
//! to switches, defended and given up in time.
//!
//! In: time, and what the interface hears of neighbours and routers. Out: frames to send, addresses
//! in use, the way to other networks. No I/O here.

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, Ipv6Address, Ipv6Cidr};

use crate::config::Fixed;
use crate::fact::AddressSource;
use crate::ndp::{self, ADDRESSES, Advertisement, Frame, Ndp, Prefix};

// RFC 4861 10, RFC 4862 5.1, RFC 3810 9.
const PROBE_WAIT: Duration = Duration::from_secs(1);
const RETRANS_TIMER: Duration = Duration::from_secs(1);
const SOLICITATIONS: u8 = 3;
const SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
const REPORTS: u8 = 2;
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// RFC 4862 5.5.3 (e): nobody on the link can make an address invalid in less.
const SHORTEST_LIFE: Duration = Duration::from_secs(2 * 3600);
/// RFC 4861 4.6.2: for ever.
const FOREVER: u32 = u32::MAX;
/// All networks in which machines make their own addresses have such prefixes (RFC 2464 4).
const PREFIX_LEN: u8 = 64;
const LINK_LOCAL: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
/// The smallest MTU that IPv6 runs over (RFC 8200 5).
pub(crate) const MTU_MIN: usize = 1280;

/// An address in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assigned6 {
    pub(crate) cidr: Ipv6Cidr,
    pub(crate) source: AddressSource,
}

/// The addresses in use, the link-local one first.
pub(crate) type InUse = heapless::Vec<Assigned6, ADDRESSES>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next step is due at `at`.
    Probing { has_asked: bool, at: Instant },
    /// Ours.
    Held,
    /// Somebody else's.
    Taken,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    assigned: Assigned6,
    state: State,
    /// `None`: for ever.
    valid_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Router {
    address: Ipv6Address,
    /// `None`: for ever.
    until: Option<Instant>,
}

/// Something to be sent several times.
#[derive(Clone, Copy, Debug)]
struct Repeated {
    left: u8,
    at: Instant,
}

/// IPv6 of one interface.
#[derive(Debug)]
pub(crate) struct Ip6 {
    mac: EthernetAddress,
    random: u64,
    /// The first is the link-local one.
    entries: heapless::Vec<Entry, ADDRESSES>,
    /// A person chose the address: what routers announce is not asked for.
    is_fixed: bool,
    router: Option<Router>,
    solicitations: Repeated,
    reports: Repeated,
    /// An address that turned out to be another machine's, until that was reported.
    conflict: Option<(Ipv6Address, EthernetAddress)>,
}

impl Ip6 {
    /// Starts with the link-local address, and with the one that was chosen.
    pub(crate) fn new(
        mac: EthernetAddress,
        seed: u64,
        chosen: Option<&Fixed<Ipv6Address>>,
        now: Instant,
    ) -> Self {
        let nothing = Repeated { left: 0, at: now };
        let mut ip6 = Self {
            mac,
            random: seed,
            entries: heapless::Vec::new(),
            is_fixed: chosen.is_some(),
            router: None,
            solicitations: nothing,
            reports: nothing,
            conflict: None,
        };
        ip6.add(
            Ipv6Cidr::new(ndp::with_interface(LINK_LOCAL, mac.0), PREFIX_LEN),
            AddressSource::LinkLocal,
            None,
            now,
        );
        if let Some(chosen) = chosen.filter(|chosen| is_host(chosen.address)) {
            let cidr = Ipv6Cidr::new(chosen.address, chosen.prefix_len.clamp(1, 128));
            ip6.add(cidr, AddressSource::Static, None, now);
            let gateway = chosen.gateway.filter(|gateway| is_host(*gateway));
            ip6.router = gateway.map(|address| Router {
                address,
                until: None,
            });
        }
        ip6.restart(now);
        ip6
    }

    /// The cable was plugged in, perhaps into another network: every address is probed again, and
    /// routers are asked.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.entries
            .retain(|entry| entry.assigned.source != AddressSource::Slaac);
        if !self.is_fixed {
            self.router = None;
        }
        // RFC 4862 5.4.2: not all machines of a room at once.
        let at = now + self.jitter();
        for entry in &mut self.entries {
            entry.state = State::Probing {
                has_asked: false,
                at,
            };
        }
        let left = if self.is_fixed { 0 } else { SOLICITATIONS };
        self.solicitations = Repeated { left, at };
        self.reports = Repeated { left: REPORTS, at };
    }

    /// Those that are ours. A link-local address that is not takes the others along: the hardware
    /// address it was made of is not ours alone (RFC 4862 5.4.5).
    pub(crate) fn in_use(&self) -> InUse {
        let held = |entry: &&Entry| entry.state == State::Held;
        let is_on = self.entries.first().as_ref().is_some_and(held);
        let held = self.entries.iter().filter(held);
        held.filter(|_| is_on).map(|entry| entry.assigned).collect()
    }

    /// The way to other networks.
    pub(crate) fn gateway(&self) -> Option<Ipv6Address> {
        self.router.map(|router| router.address)
    }

    /// An address that somebody else has, and who, once.
    pub(crate) const fn take_conflict(&mut self) -> Option<(Ipv6Address, EthernetAddress)> {
        self.conflict.take()
    }

    /// The next packet that is due now; ask until there is none.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Frame> {
        self.entries
            .retain(|entry| entry.valid_until.is_none_or(|until| until > now));
        self.router = self
            .router
            .filter(|router| router.until.is_none_or(|until| until > now));
        if self.is_off() {
            return None;
        }
        // Before the first probe: a switch may keep the answers from us otherwise (RFC 4862 5.4.2).
        if self.reports.take(now, REPORT_INTERVAL) {
            return Some(self.report());
        }
        for entry in &mut self.entries {
            let State::Probing { has_asked, at } = entry.state else {
                continue;
            };
            if at > now {
                continue;
            }
            if !has_asked {
                entry.state = State::Probing {
                    has_asked: true,
                    at: now + RETRANS_TIMER,
                };
                return Some(ndp::probe(self.mac, entry.assigned.cidr.address()));
            }
            entry.state = State::Held;
        }
        let own = self.in_use().first()?.cidr.address();
        self.solicitations
            .take(now, SOLICITATION_INTERVAL)
            .then(|| ndp::router_solicitation(self.mac, own))
    }

    /// When `poll` has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let lives = self.entries.iter().filter_map(|entry| entry.valid_until);
        let lives = lives.chain(self.router.and_then(|router| router.until));
        if self.is_off() {
            return lives.min();
        }
        let probes = self.entries.iter().filter_map(|entry| match entry.state {
            State::Probing { at, .. } => Some(at),
            State::Held | State::Taken => None,
        });
        // Routers are asked once there is an address to ask from.
        let can_solicit = !self.in_use().is_empty();
        let solicitation = self.solicitations.due().filter(|_| can_solicit);
        lives
            .chain(probes)
            .chain(self.reports.due())
            .chain(solicitation)
            .min()
    }

    /// Takes note of a neighbour or router; what it returns is to be sent.
    pub(crate) fn hear(&mut self, heard: &Ndp, now: Instant) -> Option<Frame> {
        match heard {
            // A switch may send our own frames back to us.
            Ndp::Probe { mac, .. } | Ndp::Claim { mac, .. } if *mac == self.mac => None,
            Ndp::Probe { target, mac } => {
                let is_held = self.is_taken_from_us(target, *mac);
                is_held.then(|| ndp::claim(self.mac, *target))
            }
            Ndp::Claim { target, mac } => {
                // One that comes later than our probe is not acted upon: it could be anybody's
                // (RFC 4862 5.4).
                self.is_taken_from_us(target, *mac);
                None
            }
            Ndp::Query => (!self.is_off()).then(|| self.report()),
            Ndp::Router(advertisement) => {
                if !self.is_fixed {
                    self.follow(advertisement, now);
                }
                None
            }
        }
    }

    /// Gives up `target` if it is being probed; true when it is ours already.
    fn is_taken_from_us(&mut self, target: &Ipv6Address, by: EthernetAddress) -> bool {
        let mut entries = self.entries.iter_mut();
        let entry = entries.find(|entry| entry.assigned.cidr.address() == *target);
        let Some(entry) = entry else {
            return false;
        };
        if let State::Probing { .. } = entry.state {
            entry.state = State::Taken;
            self.conflict = Some((*target, by));
        }
        entry.state == State::Held
    }

    fn follow(&mut self, advertisement: &Advertisement, now: Instant) {
        self.solicitations.left = 0;
        let until = now + Duration::from_secs(advertisement.lifetime_secs.into());
        let is_new = self
            .router
            .is_none_or(|router| router.address == advertisement.router);
        if is_new {
            // One router will do, for as long as it says that it is one.
            self.router = (advertisement.lifetime_secs > 0).then_some(Router {
                address: advertisement.router,
                until: Some(until),
            });
        }
        for prefix in &advertisement.prefixes {
            self.follow_prefix(prefix, now);
        }
    }

    /// RFC 4862 5.5.3.
    fn follow_prefix(&mut self, prefix: &Prefix, now: Instant) {
        let address = ndp::with_interface(prefix.prefix, self.mac.0);
        let is_usable = prefix.is_autonomous
            && prefix.len == PREFIX_LEN
            && prefix.preferred_secs <= prefix.valid_secs
            && !prefix.prefix.is_unicast_link_local()
            && is_host(address);
        if !is_usable {
            return;
        }
        let valid_until = (prefix.valid_secs != FOREVER)
            .then(|| now + Duration::from_secs(prefix.valid_secs.into()));
        let mut entries = self.entries.iter_mut();
        match entries.find(|entry| entry.assigned.cidr.address() == address) {
            Some(entry) if entry.assigned.source == AddressSource::Slaac => {
                let shortest = now + SHORTEST_LIFE;
                entry.valid_until = match (valid_until, entry.valid_until) {
                    (None, _) => None,
                    (Some(until), Some(before)) if until < shortest && until < before => {
                        Some(before.min(shortest))
                    }
                    (Some(until), None) => Some(until.max(shortest)),
                    (Some(until), Some(_)) => Some(until),
                };
            }
            Some(_) => {}
            None if prefix.valid_secs == 0 => {}
            None => {
                // Machines of a network that is not on the link are reached through the router.
                let len = if prefix.is_on_link { PREFIX_LEN } else { 128 };
                let cidr = Ipv6Cidr::new(address, len);
                self.add(cidr, AddressSource::Slaac, valid_until, now);
                self.reports = Repeated {
                    left: REPORTS,
                    at: now,
                };
            }
        }
    }

    fn add(
        &mut self,
        cidr: Ipv6Cidr,
        source: AddressSource,
        valid_until: Option<Instant>,
        now: Instant,
    ) {
        let at = now + self.jitter();
        // A network too many is left out.
        let _ = self.entries.push(Entry {
            assigned: Assigned6 { cidr, source },
            state: State::Probing {
                has_asked: false,
                at,
            },
            valid_until,
        });
    }

    /// Nothing is sent when not even the link-local address is ours.
    fn is_off(&self) -> bool {
        self.entries
            .first()
            .is_none_or(|entry| entry.state == State::Taken)
    }

    fn report(&self) -> Frame {
        let source = self.in_use().first().map(|own| own.cidr.address());
        let addresses: heapless::Vec<Ipv6Address, ADDRESSES> = self
            .entries
            .iter()
            .map(|entry| entry.assigned.cidr.address())
            .collect();
        // RFC 3590 4: while there is no address, from none.
        ndp::report(
            self.mac,
            source.unwrap_or(Ipv6Address::UNSPECIFIED),
            &addresses,
        )
    }

    /// SplitMix64: no secret hangs on it, and a test can foresee it.
    fn jitter(&mut self) -> Duration {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_micros((mixed ^ (mixed >> 31)) % PROBE_WAIT.total_micros())
    }
}

impl Repeated {
    /// True when it is due; then the next one is due after `pause`.
    fn take(&mut self, now: Instant, pause: Duration) -> bool {
        let is_due = self.due().is_some_and(|at| at <= now);
        if is_due {
            self.left = self.left.saturating_sub(1);
            self.at = now + pause;
        }
        is_due
    }

    const fn due(&self) -> Option<Instant> {
        if self.left > 0 { Some(self.at) } else { None }
    }
}

/// smoltcp panics when an interface gets anything else.
const fn is_host(address: Ipv6Address) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback()
}

#[cfg(test)]
mod tests;
