//! The IPv4 address of an interface that nobody has chosen: leased, and link-local while no server
//! answers.
//!
//! In: the DHCP socket's events, ARP frames, time, whether a donor is connected. Out: the address
//! to use, ARP frames to send, what is to be declined, the rival.

use std::time::Duration as StdDuration;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::{Socket, dhcpv4};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DhcpRepr, EthernetAddress, Ipv4Address, Ipv4Cidr};

use super::{Assigned, PAUSE, Rivalry, Rivals, is_host, rivalry};
use crate::acd::{Claim, Conflict, Random};
use crate::arp::Arp;
use crate::decline::Decline;
use crate::fact::AddressSource;
use crate::linklocal::LinkLocal;

/// How long a DHCP server has before we help ourselves.
const DHCP_PATIENCE: Duration = Duration::from_secs(10);
/// RFC 2131 4.1 wants 4 s before the first repetition; an interface that a switch has just opened
/// loses the first ones.
const DISCOVER_INTERVAL: Duration = Duration::from_secs(4);
/// An answer that tells how long it holds; what follows in a longer one is not for us.
const ANSWER_BYTES: usize = 1500;
/// RFC 3927 2.1: link-local addresses are one network of 16 bits.
const LINK_LOCAL_PREFIX_LEN: u8 = 16;

/// DHCP, and link-local behind it.
#[derive(Debug)]
pub(crate) struct Automatic {
    mac: EthernetAddress,
    random: Random,
    /// Looks for a server, except while it rests.
    client: Option<SocketHandle>,
    rest: Option<Rest>,
    lease: Option<Lease>,
    /// Since when a server is looked for; `None` while we have a lease, or no link.
    searching_since: Option<Instant>,
    link_local: LinkLocal,
    decline: Option<Decline>,
    rivals: Rivals,
}

/// After an address was declined, nothing is asked of any server until then.
#[derive(Debug)]
struct Rest {
    socket: Box<Socket<'static>>,
    until: Instant,
}

/// The lease of a server.
#[derive(Debug)]
struct Lease {
    assigned: Assigned,
    server: Ipv4Address,
    /// As the server has given it. It may change with every renewal.
    time: Option<StdDuration>,
    claim: Claim,
}

impl Automatic {
    /// The socket's preconditions hold by construction: the medium is Ethernet, the ports stay the
    /// standard ones, and an interface's MTU is at least 576.
    pub(super) fn new(
        mac: EthernetAddress,
        sockets: &mut SocketSet<'static>,
        now: Instant,
    ) -> Self {
        let mut socket = dhcpv4::Socket::new();
        let mut retry = dhcpv4::RetryConfig::default();
        retry.discover_timeout = DISCOVER_INTERVAL;
        retry.initial_request_timeout = DISCOVER_INTERVAL;
        socket.set_retry_config(retry);
        // The socket borrows it for ever and does not give it back: once for an interface, and when
        // a person changes its addressing.
        socket.set_receive_packet_buffer(vec![0; ANSWER_BYTES].leak());
        Self {
            mac,
            random: Random::of(mac),
            client: Some(sockets.add(socket)),
            rest: None,
            lease: None,
            searching_since: Some(now),
            link_local: LinkLocal::new(mac),
            decline: None,
            rivals: Rivals::default(),
        }
    }

    pub(super) fn end(self, sockets: &mut SocketSet<'static>) {
        if let Some(socket) = self.client {
            sockets.remove(socket);
        }
    }

    pub(super) fn lease_time(&self) -> Option<StdDuration> {
        self.lease.as_ref()?.time
    }

    pub(super) fn wanted(&self) -> Option<Assigned> {
        let leased = self.lease.as_ref().map(|lease| lease.assigned);
        leased.or_else(|| self.link_local())
    }

    pub(super) fn due(&mut self, now: Instant) -> Option<Arp> {
        let lease = self.lease.as_mut();
        let leased = lease.and_then(|lease| lease.claim.poll(now));
        leased.or_else(|| self.link_local.poll(now))
    }

    pub(super) fn take_rivalry(&mut self, now: Instant) -> Option<Rivalry> {
        self.rivals.take(now)
    }

    pub(super) const fn take_decline(&mut self) -> Option<Decline> {
        self.decline.take()
    }

    fn link_local(&self) -> Option<Assigned> {
        let address = self.link_local.address()?;
        Some(Assigned {
            cidr: Ipv4Cidr::new(address, LINK_LOCAL_PREFIX_LEN),
            gateway: None,
            source: AddressSource::LinkLocal,
        })
    }

    pub(super) fn hear(&mut self, arp: &Arp, now: Instant, must_stay: bool) -> Option<Arp> {
        let Some(lease) = &mut self.lease else {
            return self.link_local.hear(arp, now, must_stay);
        };
        let conflict = lease.claim.hear(arp, now, must_stay)?;
        self.rivals.note(rivalry(arp, conflict));
        let Conflict::Kept(answer) = conflict else {
            self.decline = Some(Decline {
                mac: self.mac,
                address: lease.assigned.cidr.address(),
                server: lease.server,
                // Only a server would compare it, with nothing.
                transaction: self.random.next() as u32,
            });
            self.lease = None;
            return None;
        };
        answer
    }

    pub(super) fn poll(&mut self, sockets: &mut SocketSet<'static>, now: Instant) {
        if self.decline.is_some() {
            self.go_to_rest(sockets, now);
        }
        if self.rest.as_ref().is_some_and(|rest| rest.until <= now) {
            self.wake(sockets);
        }
        if let Some(socket) = self.client {
            let event = sockets.get_mut::<dhcpv4::Socket>(socket).poll();
            match event {
                Some(dhcpv4::Event::Configured(config)) => self.take(&config, now),
                Some(dhcpv4::Event::Deconfigured) => {
                    self.lease = None;
                    self.searching_since.get_or_insert(now);
                }
                None => {}
            }
        }
        if self
            .searching_since
            .is_some_and(|since| since + DHCP_PATIENCE <= now)
        {
            // Of another network, should it be from before the cable was pulled.
            self.lease = None;
            self.link_local.start(now);
        }
    }

    /// A renewal changes nothing about whose the address is.
    fn take(&mut self, config: &dhcpv4::Config<'_>, now: Instant) {
        let before = self.lease.take().map(|lease| lease.claim);
        let Some(assigned) = assigned(config) else {
            return;
        };
        let address = assigned.cidr.address();
        let claim = before.filter(|claim| claim.address() == address);
        self.lease = Some(Lease {
            assigned,
            server: config.server.identifier,
            time: lease_time(config),
            claim: claim.unwrap_or_else(|| Claim::new(self.mac, address, self.random.fork(), now)),
        });
        self.searching_since = None;
        self.link_local.stop();
    }

    fn go_to_rest(&mut self, sockets: &mut SocketSet<'static>, now: Instant) {
        if let Some(client) = self.client.take() {
            let socket = sockets.get_mut::<dhcpv4::Socket>(client);
            socket.reset();
            // That it has no lease any more is known.
            let _ = socket.poll();
            self.rest = Some(Rest {
                socket: Box::new(sockets.remove(client)),
                until: now + PAUSE,
            });
        }
        self.searching_since = Some(now);
    }

    fn wake(&mut self, sockets: &mut SocketSet<'static>) {
        if let Some(rest) = self.rest.take()
            && let Socket::Dhcpv4(socket) = *rest.socket
        {
            self.client = Some(sockets.add(socket));
        }
    }

    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let patience = self
            .searching_since
            .map(|since| since + DHCP_PATIENCE)
            .filter(|at| *at > now);
        let rest = self.rest.as_ref().map(|rest| rest.until);
        let claim = self.lease.as_ref().and_then(|lease| lease.claim.deadline());
        [patience, rest, claim, self.link_local.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn restart(&mut self, sockets: &mut SocketSet<'static>, now: Instant) {
        self.wake(sockets);
        if let Some(client) = self.client {
            let socket = sockets.get_mut::<dhcpv4::Socket>(client);
            socket.reset();
            // That it has no lease any more: it is kept here for now.
            let _ = socket.poll();
        }
        if let Some(lease) = &mut self.lease {
            let address = lease.assigned.cidr.address();
            lease.claim = Claim::new(self.mac, address, self.random.fork(), now);
        }
        self.searching_since = Some(now);
        self.link_local.stop();
    }
}

/// The valid part of a server's offer.
fn assigned(config: &dhcpv4::Config<'_>) -> Option<Assigned> {
    if !is_host(config.address.address()) {
        log::debug!("network: lease refused address={}", config.address);
        return None;
    }
    // A gateway outside the network cannot be asked for its hardware address.
    let gateway = config
        .router
        .filter(|router| is_host(*router) && config.address.contains_addr(router));
    Some(Assigned {
        cidr: config.address,
        gateway,
        source: AddressSource::Dhcp,
    })
}

fn lease_time(config: &dhcpv4::Config<'_>) -> Option<StdDuration> {
    let answer = DhcpRepr::parse(config.packet.as_ref()?).ok()?;
    let seconds = answer.lease_duration?;
    Some(StdDuration::from_secs(seconds.into()))
}
