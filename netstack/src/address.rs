//! Which IPv4 address a port has: leased (RFC 2131), link-local while no server answers, or chosen by a person.
//!
//! In: the DHCP socket's events, the link-local state, time, and whether a donor is connected. Out: the one address to use.

use std::time::Duration as StdDuration;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DhcpRepr, EthernetAddress, Ipv4Address, Ipv4Cidr};

use crate::config::Fixed;
use crate::fact::AddressSource;
use crate::linklocal::LinkLocal;

/// How long a DHCP server has before we help ourselves.
const DHCP_PATIENCE: Duration = Duration::from_secs(10);
/// RFC 2131 4.1 wants 4 s before the first repetition; a port that a switch has just opened loses the first ones.
const DISCOVER_INTERVAL: Duration = Duration::from_secs(4);
/// An answer that tells how long it holds; what follows in a longer one is not for us.
const ANSWER_BYTES: usize = 1500;
/// RFC 3927 2.1: link-local addresses are one network of 16 bits.
const LINK_LOCAL_PREFIX_LEN: u8 = 16;

/// An address in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub(crate) cidr: Ipv4Cidr,
    pub(crate) gateway: Option<Ipv4Address>,
    pub(crate) source: AddressSource,
}

/// Where a port's address comes from.
#[derive(Debug)]
pub(crate) enum Addresses {
    /// Nowhere: another port was meant, or no host can have what was chosen.
    None,
    Static(Assigned),
    Automatic(Automatic),
}

/// DHCP, and link-local behind it.
#[derive(Debug)]
pub(crate) struct Automatic {
    socket: SocketHandle,
    lease: Option<Assigned>,
    /// As the server has given it. No part of the lease: it may change with every renewal.
    lease_time: Option<StdDuration>,
    /// Since when a server is looked for; `None` while we have a lease, or no link.
    searching_since: Option<Instant>,
    pub(crate) link_local: LinkLocal,
}

impl Addresses {
    /// A person's choice; `None` when no host can have that address.
    pub(crate) fn fixed(chosen: &Fixed<Ipv4Address>) -> Option<Self> {
        if !is_host(chosen.address) || !(1..=32).contains(&chosen.prefix_len) {
            return None;
        }
        Some(Self::Static(Assigned {
            cidr: Ipv4Cidr::new(chosen.address, chosen.prefix_len),
            gateway: chosen.gateway.filter(|gateway| is_host(*gateway)),
            source: AddressSource::Static,
        }))
    }

    /// Starts DHCP. The socket's preconditions hold by construction: the medium is Ethernet, the ports stay the standard
    /// ones, and a port's MTU is at least 576.
    pub(crate) fn automatic(
        mac: EthernetAddress,
        sockets: &mut SocketSet<'static>,
        now: Instant,
    ) -> Self {
        let mut socket = dhcpv4::Socket::new();
        let mut retry = dhcpv4::RetryConfig::default();
        retry.discover_timeout = DISCOVER_INTERVAL;
        retry.initial_request_timeout = DISCOVER_INTERVAL;
        socket.set_retry_config(retry);
        // The socket borrows it for ever and does not give it back: once for a port, and when a person changes its addressing.
        socket.set_receive_packet_buffer(vec![0; ANSWER_BYTES].leak());
        Self::Automatic(Automatic {
            socket: sockets.add(socket),
            lease: None,
            lease_time: None,
            searching_since: Some(now),
            link_local: LinkLocal::new(mac),
        })
    }

    /// Stops to look for one.
    pub(crate) fn end(&mut self, sockets: &mut SocketSet<'static>) {
        if let Self::Automatic(automatic) = std::mem::replace(self, Self::None) {
            sockets.remove(automatic.socket);
        }
    }

    /// For how long the address was leased.
    pub(crate) fn lease_time(&self) -> Option<StdDuration> {
        match self {
            Self::Automatic(automatic) => automatic.lease.and(automatic.lease_time),
            Self::None | Self::Static(_) => None,
        }
    }

    /// The address that should be used now.
    pub(crate) fn wanted(&self) -> Option<Assigned> {
        match self {
            Self::None => None,
            Self::Static(assigned) => Some(*assigned),
            Self::Automatic(automatic) => automatic.lease.or_else(|| {
                automatic.link_local.address().map(|address| Assigned {
                    cidr: Ipv4Cidr::new(address, LINK_LOCAL_PREFIX_LEN),
                    gateway: None,
                    source: AddressSource::LinkLocal,
                })
            }),
        }
    }

    pub(crate) fn link_local(&mut self) -> Option<&mut LinkLocal> {
        match self {
            Self::Automatic(automatic) => Some(&mut automatic.link_local),
            Self::None | Self::Static(_) => None,
        }
    }

    /// Takes note of what the DHCP socket learnt, and of time.
    pub(crate) fn poll(&mut self, sockets: &mut SocketSet<'static>, now: Instant) {
        let Self::Automatic(automatic) = self else {
            return;
        };
        match sockets.get_mut::<dhcpv4::Socket>(automatic.socket).poll() {
            Some(dhcpv4::Event::Configured(config)) => {
                automatic.lease = assigned(&config);
                automatic.lease_time = lease_time(&config);
                if automatic.lease.is_some() {
                    automatic.searching_since = None;
                    automatic.link_local.stop();
                }
            }
            Some(dhcpv4::Event::Deconfigured) => {
                automatic.lease = None;
                automatic.searching_since.get_or_insert(now);
            }
            None => {}
        }
        if automatic
            .searching_since
            .is_some_and(|since| since + DHCP_PATIENCE <= now)
        {
            automatic.link_local.start(now);
        }
    }

    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let Self::Automatic(automatic) = self else {
            return None;
        };
        let patience = automatic
            .searching_since
            .map(|since| since + DHCP_PATIENCE)
            .filter(|at| *at > now);
        [patience, automatic.link_local.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The cable was plugged in again, perhaps into another network: look for a server afresh. A lease is kept until the
    /// new server has spoken, in case it was only a short interruption.
    pub(crate) fn restart(&mut self, sockets: &mut SocketSet<'static>, now: Instant) {
        let Self::Automatic(automatic) = self else {
            return;
        };
        sockets.get_mut::<dhcpv4::Socket>(automatic.socket).reset();
        automatic.searching_since = Some(now);
        automatic.link_local.stop();
    }
}

/// What a server offered, as far as it makes sense.
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

/// smoltcp panics when an interface gets anything else.
const fn is_host(address: Ipv4Address) -> bool {
    !address.is_unspecified()
        && !address.is_broadcast()
        && !address.is_multicast()
        && !address.is_loopback()
}
